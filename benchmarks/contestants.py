"""The networks, losses and optimisers that benchmarks compare: published layout and ours, with its options."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from measuring import now
from published_layout import PublishedLayout
from published_losses import PublishedReconstructionLoss, random_vgg16
from torch import nn

from monai_tff.losses import PerceptualLoss, ReconstructionLoss
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

STAGES = ("forward", "loss", "backward", "optimiser")
PUBLISHED, OURS, CHECKPOINTING = "published", "ours", "ours, checkpointing"
BFLOAT16, COMPILED, CHANNELS_LAST = "ours, bfloat16", "ours, compiled", "ours, channels last"
NETWORKS: dict[str, Callable[..., Any]] = {
    "autoencoder": TFFAutoEncoder,
    "transformer": TFFReconstructor,
    "finetune": TFFPredictor,
}


@dataclasses.dataclass(frozen=True)
class Phase:
    """A phase as published, or a part of it; `fraction` is the perceptual loss's."""

    number: int
    name: str
    batch_size: int
    num_frames: int
    dropout: float
    fraction: float = 0.0
    grid: tuple[int, int, int] = (75, 93, 81)
    hidden_size: int = 2640

    @property
    def words(self) -> str:
        return f"{self.number} (B{self.batch_size} T{self.num_frames})"


PHASES = (
    Phase(1, "autoencoder", 4, 1, 0.2, 0.25),
    Phase(2, "transformer", 1, 20, 0.2, 0.1),
    Phase(3, "finetune", 1, 20, 0.35),
)
SMALL: dict[str, Any] = {"grid": (16, 18, 14), "hidden_size": 160}


def our_network(phase: Phase, device: str) -> nn.Module:
    torch.manual_seed(0)
    more = {} if phase.name == "autoencoder" else {"max_frames": max(29, phase.num_frames)}
    network = NETWORKS[phase.name](phase.grid, hidden_size=phase.hidden_size, dropout=phase.dropout, **more)
    return network.to(device)


def published_network(phase: Phase, device: str) -> PublishedLayout:
    torch.manual_seed(0)
    shape = (phase.grid, phase.hidden_size, phase.batch_size, phase.dropout)
    return PublishedLayout(phase.name, *shape).to(device)


def ellipsoid(grid: tuple[int, int, int]) -> torch.Tensor:
    """Bool [H, W, D], 0.4 of the voxels, as a brain in the paper's crop."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in grid), indexing="ij")
    return sum(axis**2 for axis in axes) < 0.84


def make_image(phase: Phase, device: str, frame_major: bool) -> torch.Tensor:
    """Noise in the brain and 0 outside, [B, 2, H, W, D, T], in memory as a loader gives it; nothing is copied."""
    torch.manual_seed(1)
    inside = ellipsoid(phase.grid).to(device)
    if frame_major:
        frames = torch.empty((phase.batch_size, phase.num_frames, 2, *phase.grid), device=device).normal_()
        return frames.mul_(inside).permute(0, 2, 3, 4, 5, 1)
    windows = torch.empty((phase.batch_size, 2, *phase.grid, phase.num_frames), device=device).normal_()
    return windows.mul_(inside[..., None])


def make_loss(phase: Phase, published: bool) -> nn.Module:
    if phase.name == "finetune":
        return nn.BCEWithLogitsLoss()
    if published:
        return PublishedReconstructionLoss(phase.fraction, random_vgg16())
    return ReconstructionLoss(perceptual=PerceptualLoss(fraction=phase.fraction, weights=random_vgg16()))


class Contestant:
    """A network that can be trained a step, stage by stage."""

    def __init__(
        self, name: str, phase: Phase, device: str, network: nn.Module, optimizer: Any, image: torch.Tensor
    ) -> None:
        self.device, self.network, self.image = device, network, image
        published = name == PUBLISHED
        self.checkpointing = name == CHECKPOINTING
        self.bfloat16 = name == BFLOAT16
        self.loss = make_loss(phase, published).to(device)
        parameters = [value for value in network.parameters() if value.requires_grad]
        # The published optimiser is torch's default one, ours is fused.
        self.optimizer = optimizer or torch.optim.Adam(parameters, lr=1e-4, fused=None if published else True)
        self.labels = torch.ones(phase.batch_size, 1, device=device) if phase.name == "finetune" else None

    def stages(self, image: torch.Tensor) -> Iterator[None]:
        """Trains a step on an image, and gives way after each of `STAGES`."""
        self.network.checkpoint_activations = self.checkpointing  # contestants may share a network
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bfloat16):
            output = self.network(image)
        output = output.to(image.dtype)
        yield
        loss = self.loss(output, image if self.labels is None else self.labels)
        yield
        loss.backward()
        yield
        self.optimizer.step()
        yield

    def step(self) -> list[float]:
        """Trains a step on its own image; seconds of each of `STAGES`."""
        times = [now(self.device)]
        times += [now(self.device) for _ in self.stages(self.image)]
        return [end - start for start, end in itertools.pairwise(times)]

    def train_on(self, image: torch.Tensor) -> None:
        """Trains a step without waiting for the device."""
        for _ in self.stages(image):
            pass


def prepared(name: str, network: nn.Module) -> nn.Module:
    """A network of ours as its contestant trains it."""
    if name == CHANNELS_LAST:
        network = network.to(memory_format=torch.channels_last_3d)
    if name == COMPILED:
        network.compile()
    return network


def make(name: str, phase: Phase, device: str) -> Contestant:
    """A contestant, and no other network."""
    published = name == PUBLISHED
    network = published_network(phase, device) if published else prepared(name, our_network(phase, device))
    return Contestant(name, phase, device, network, None, make_image(phase, device, frame_major=not published))


def make_all(names: list[str], phase: Phase, device: str) -> dict[str, Contestant]:
    """Contestants with the same parameters and input; those whose network is the same one share it."""
    ours = make(OURS, phase, device)
    found = {OURS: ours}
    for name in [name for name in names if name != OURS]:
        network, optimizer = ours.network, None
        if name == PUBLISHED:
            network = published_network(phase, device).take_parameters(ours.network)
        elif name in (CHECKPOINTING, BFLOAT16):
            optimizer = ours.optimizer
        else:
            network = prepared(name, copy.deepcopy(ours.network))
        image = ours.image.contiguous() if name == PUBLISHED else ours.image
        found[name] = Contestant(name, phase, device, network, optimizer, image)
    return {name: found[name] for name in names}
