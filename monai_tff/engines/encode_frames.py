"""Encodes every frame of a training once, with the frozen encoder, before its first step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ignite.distributed as idist
import torch
from monai.data import CacheDataset
from safetensors.torch import save
from torch import nn

from monai_tff.data.frame_codes import CODES, FrameCodes, is_encoded
from monai_tff.data.scan import CompactScan
from monai_tff.data.windows import WindowDataset, scan_name
from monai_tff.errors import ConfigError
from monai_tff.handlers.files import replaced_file
from monai_tff.handlers.progress import clock
from monai_tff.networks import load_finished
from monai_tff.networks.base import ENCODER
from monai_tff.networks.digest import tensors_digest
from monai_tff.networks.weights import part_of

LONGEST_WAIT = 1800.0
"""Seconds that a process waits for the next file of another one."""


class _Scan(NamedTuple):
    """A scan whose frames are to be encoded."""

    dataset: CacheDataset
    number: int
    path: Path
    num_frames: int

    def frames(self) -> CompactScan:
        return _loaded(self.dataset, self.number)


def encode_scans(
    network: nn.Module,
    codes: FrameCodes,
    datasets: Sequence[CacheDataset],
    *,
    augmentation: bool = False,
    checkpoint: str | None = None,
    frames_per_batch: int = 20,
    seconds: float = 30.0,
) -> int:
    """Encodes all frames of all scans, in float32, and makes their codes known to `codes`.

    A scan whose file is there already is left out, so that it goes on where it was stopped. Several processes encode
    their shares and wait for each other's files. Memory does not grow with the scans.

    Args:
        network: one of the TFF networks with a frozen encoder, on its device.
        codes: where they go.
        datasets: of compact scans under `image`, training and validation.
        augmentation: whether the training would augment its windows, which codes cannot be.
        checkpoint: of the run; where it exists, the training continues and its network is the one that encodes.
        frames_per_batch: frames encoded at once.
        seconds: between two lines of progress.

    Returns:
        Scans that this process encoded.

    Raises:
        ConfigError: if the encoder is not frozen, windows are to be augmented, or the disk refuses a file.
    """
    plain: Any = network
    _refuse(plain.encoder_is_frozen, augmentation)
    if checkpoint is not None and Path(checkpoint).is_file():
        load_finished(network, checkpoint)
    missing, total = _missing_scans(plain, codes, datasets)
    idist.barrier()  # every process looks before the first one writes
    share = missing[idist.get_rank() :: idist.get_world_size()]
    if idist.get_rank() == 0:
        print(f"codes of frames: {total - len(missing)} of {total} scans are in {codes.folder}", flush=True)
    progress = _Progress(sum(scan.num_frames for scan in share), seconds)
    for scan in share:
        encoded = torch.cat(list(_encoded(plain, scan.frames(), frames_per_batch, progress)))
        with replaced_file(scan.path) as file:
            file.write(save({CODES: encoded}))
    _wait_for(missing, plain.hidden_size)
    return len(share)


def _refuse(is_frozen: bool, augmentation: bool) -> None:
    if not is_frozen:
        raise ConfigError(
            "frozen_encoder is false, but windows of codes are wanted, expected an encoder that stays as it is; set "
            "frozen_encoder to true."
        )
    if augmentation:
        raise ConfigError(
            "use_augmentation is true, but the frames are encoded once and for all, expected false; a training on "
            "codes cannot augment its windows."
        )


def encoder_digest(network: nn.Module) -> str:
    """What tells the weights of an encoder from others.

    Args:
        network: one of the TFF networks.

    Returns:
        64 hexadecimal digits.
    """
    return tensors_digest({name: tensor for name, tensor in network.state_dict().items() if part_of(name) in ENCODER})


def _missing_scans(network: Any, codes: FrameCodes, datasets: Sequence[CacheDataset]) -> tuple[list[_Scan], int]:
    """The scans that have no codes yet, and how many there are in all."""
    encoder = encoder_digest(network)
    missing: list[_Scan] = []
    total = 0
    for dataset in datasets:
        for number, record in enumerate(dataset.data):
            scan = _loaded(dataset, number)
            path = codes.add(scan_name(record), scan, encoder)
            total += 1
            if not is_encoded(path, scan.num_frames, network.hidden_size):
                missing.append(_Scan(dataset, number, path, scan.num_frames))
    return missing, total


def _wait_for(scans: Sequence[_Scan], hidden_size: int) -> None:
    """Waits for the files of other processes; a collective operation would not wait as long as a share may take."""
    left = [scan for scan in scans if not is_encoded(scan.path, scan.num_frames, hidden_size)]
    since = time.monotonic()
    while left:
        time.sleep(0.2)
        still = [scan for scan in left if not is_encoded(scan.path, scan.num_frames, hidden_size)]
        if len(still) < len(left):
            left, since = still, time.monotonic()
        elif time.monotonic() - since > LONGEST_WAIT:
            raise ConfigError(
                f"{left[0].path}: no process has written it, nor any other of {len(left)} files, for "
                f"{clock(LONGEST_WAIT)} minutes, expected all processes to use one folder; set codes_dir to one that "
                "all machines share, then continue with --resume true."
            )


def _loaded(dataset: CacheDataset, number: int) -> CompactScan:
    record: Any = dataset.scan(number) if isinstance(dataset, WindowDataset) else dataset[number]
    return record["image"]


def _encoded(network: Any, scan: CompactScan, frames_per_batch: int, progress: _Progress) -> Iterator[torch.Tensor]:
    """The codes of a scan, float32 [frames, hidden] at a time."""
    device = next(network.parameters()).device
    for start in range(0, scan.num_frames, frames_per_batch):
        frames = scan.window(start, min(frames_per_batch, scan.num_frames - start))
        with torch.no_grad():
            codes = network.encode_frames(frames.to(device).unpack()[None])
        yield codes[0].cpu()
        progress.add(frames.num_frames)


class _Progress:
    """A line per tenth of the frames, and in between after some seconds; the first process alone shows it."""

    def __init__(self, total: int, seconds: float) -> None:
        self.total = total
        self.seconds = seconds
        self.done = 0
        self.begin = self.last = time.monotonic()

    def add(self, frames: int) -> None:
        tenth = (self.done + frames) * 10 // self.total > self.done * 10 // self.total
        self.done += frames
        now = time.monotonic()
        if idist.get_rank() == 0 and (tenth or now - self.last >= self.seconds):
            self.last = now
            rate = self.done / max(now - self.begin, 1e-9)
            left = clock((self.total - self.done) / rate)
            print(
                f"encoding frames: {self.done} of {self.total} ({100 * self.done // self.total} %), "
                f"{rate:.3g} frames/s, {left} left",
                file=sys.stderr,
                flush=True,
            )
