"""Inference over a whole scan: windows slide over frame codes, and every frame is encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import torch
from monai.inferers import Inferer

from monai_tff.data.scan import CompactScan
from monai_tff.inferers.precision import mixed_precision
from monai_tff.transforms.temporal import window_starts

CODES_PER_BATCH = 512
"""Frame codes that the transformer takes at once: it reads 400 MB of weights each time, and codes are small."""


def plain_network(network: Any) -> Any:
    """The network itself, without the wrappers of distributed training and torch.compile."""
    while True:
        inner = getattr(network, "_orig_mod", None) or getattr(network, "module", None)
        if inner is None:
            return network
        network = inner


def frame_order(seed: int, num_frames: int, scan: str = "") -> torch.Tensor:
    """An order of the frames of a scan in which time tells nothing: the same in every process and run.

    Args:
        seed: another one gives other orders.
        num_frames: of the trimmed scan.
        scan: its file, of which the name alone counts, in whatever folder it is.

    Returns:
        A permutation of 0 to `num_frames` - 1, int64.
    """
    text = f"{seed} {num_frames} {PurePath(scan).name}"
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big", signed=True)
    return torch.randperm(num_frames, generator=torch.Generator().manual_seed(number))


class TemporalInferer(Inferer):
    """Slides a window over a whole trimmed scan.

    Frames are unpacked, normalised with the whole scan's statistics and encoded in chunks, so that memory does not
    grow with the scan; overlapping windows share the codes. A prediction network gives one row of outputs per
    window, a reconstruction network one volume per frame (the mean over the windows that hold the frame).

    Args:
        window_length: frames in a window.
        stride: frames between the starts of two windows; None for windows side by side. The last window always ends
            with the scan.
        frames_per_batch: frames encoded (and decoded) at once.
        amp: compute in bfloat16 where that is safe, see `monai_tff.inferers.mixed_precision`.
        frame_order_seed: a control: the codes of a scan come in another order before windows are cut, see
            `frame_order`; None leaves them in theirs.

    Example:
        >>> inferer = TemporalInferer(window_length=20)
        >>> inferer.starts(45)
        [0, 20, 25]
    """

    def __init__(
        self,
        window_length: int,
        stride: int | None = None,
        frames_per_batch: int = 20,
        amp: bool = False,
        frame_order_seed: int | None = None,
    ) -> None:
        super().__init__()
        self.window_length = window_length
        self.stride = stride
        self.frames_per_batch = frames_per_batch
        self.amp = amp
        self.frame_order_seed = frame_order_seed

    def starts(self, num_frames: int) -> list[int]:
        """First frames of the windows of a scan of `num_frames` frames."""
        return window_starts(num_frames, self.window_length, self.stride)

    def __call__(self, inputs: CompactScan | torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Applies the network to a scan.

        Args:
            inputs: a compact scan; the trimmed frames of one scan, [1, T, H, W, D], background 0; or the codes of all
                its frames, [1, T, hidden].
            network: a `TFFPredictor`, `TFFReconstructor` or `TFFAutoEncoder`.
            *args: not used, for MONAI's signature.
            **kwargs: not used, for MONAI's signature.

        Returns:
            [windows, outputs] from a prediction network; [1, 1, H, W, D, T] from a reconstruction network, in the
            units of the global normalisation.
        """
        network = plain_network(network)
        device = next(network.parameters()).device
        with mixed_precision(device, self.amp):
            if isinstance(inputs, torch.Tensor) and inputs.ndim == 3:
                name, starts, codes = "", self.starts(inputs.shape[1]), inputs.to(device)
            else:
                scan = inputs if isinstance(inputs, CompactScan) else _packed(inputs)
                name, starts = scan.source, self.starts(scan.num_frames)
                codes = torch.cat([network.encode_frames(frames) for frames in self._chunks(scan, device)], dim=1)
            if self.frame_order_seed is not None:
                codes = codes[:, frame_order(self.frame_order_seed, codes.shape[1], name).to(device)]
            return self._inferred(codes, network, starts)

    def _inferred(self, codes: torch.Tensor, network: Any, starts: list[int]) -> torch.Tensor:
        if hasattr(network, "predict_codes"):
            per_batch = max(1, CODES_PER_BATCH // self.window_length)
            windows = [codes[:, start : start + self.window_length] for start in starts]
            batches = [torch.cat(windows[i : i + per_batch]) for i in range(0, len(windows), per_batch)]
            return torch.cat([network.predict_codes(batch) for batch in batches]).float()
        return self._reconstructed(network, codes, starts)

    def _chunks(self, scan: CompactScan, device: torch.device) -> Iterator[torch.Tensor]:
        for start in range(0, scan.num_frames, self.frames_per_batch):
            length = min(self.frames_per_batch, scan.num_frames - start)
            yield scan.window(start, length).to(device).unpack()[None]

    def _reconstructed(self, network: Any, codes: torch.Tensor, starts: list[int]) -> torch.Tensor:
        num_frames = codes.shape[1]
        volumes = torch.zeros((num_frames, *network.spatial_size), device="cpu")
        counts = torch.zeros(num_frames)
        for start in starts:
            stop = start + self.window_length
            window = network.reconstruct_codes(codes[:, start:stop])[0, 0]  # [H, W, D, L]
            volumes[start:stop] += window.movedim(-1, 0).cpu()
            counts[start:stop] += 1
        volumes /= counts.reshape(-1, 1, 1, 1)
        return volumes.movedim(0, -1)[None, None]


def _packed(frames: torch.Tensor) -> CompactScan:
    """A compact scan of frames that came as a plain tensor, as MONAI Label hands them over."""
    if frames.ndim != 5 or frames.shape[0] != 1:
        raise ValueError(f"expected one scan of shape [1, T, H, W, D], found {tuple(frames.shape)}.")
    scan = frames[0]
    return CompactScan.from_frames(scan, (scan != 0).any(dim=0), encoding="float32")
