"""Codes of frames on disk: what a frozen encoder makes of every frame of a scan, computed once for a whole training.

A file holds the codes of one scan. Its name has a digest of the encoder's weights and of what the encoder saw, the
compact scan, so that codes of other weights, another scan or another input contract are never taken for it. Trainings
with the same encoder may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath

import torch
from safetensors import SafetensorError, safe_open

from monai_tff.data.bids_names import split_extension
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ScanError

CODES_VERSION = 1
"""Goes up when the same weights and scan would give other codes."""

CODES = "codes"
"""Name of the tensor in a file, float32 [T, hidden]."""

_NUMBERS = (
    *("encoding", "slope", "intercept", "offset", "zero_code"),
    *("global_mean", "global_std", "global_fill", "num_frames"),
)
_STATISTICS = ("mask", "voxel_mean", "voxel_mean_rest", "voxel_std")


class FrameCodes:
    """The files of codes in a folder, and windows of them by the name of a scan.

    Args:
        folder: where the files are, or will be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._paths: dict[str, Path] = {}

    def add(self, name: str, scan: CompactScan, encoder: str) -> Path:
        """Makes the codes of a scan known under a name.

        Args:
            name: the scan's path in the datalist.
            scan: the whole trimmed scan.
            encoder: digest of the encoder's weights.

        Returns:
            Where the codes are, or belong: `<folder>/<name without extension>__<digest>.safetensors`.
        """
        digest = hashlib.sha256(f"{CODES_VERSION} {encoder} {scan_digest(scan)}".encode()).hexdigest()[:16]
        # a path that leads out of its dataset must not lead out of the folder
        parts = [part for part in PurePosixPath(name).parts if part not in ("..", "/")]
        stem, _ = split_extension(parts[-1])
        self._paths[name] = self.folder.joinpath(*parts[:-1], f"{stem}__{digest}.safetensors")
        return self._paths[name]

    def window(self, name: str, start: int, length: int) -> torch.Tensor:
        """Reads the codes of a window; the file is mapped, and nothing else of it is read.

        Args:
            name: the scan's path in the datalist.
            start: first frame.
            length: frames.

        Returns:
            float32 [length, hidden].

        Raises:
            ScanError: where there are no codes of the scan, or the file is damaged.
        """
        path = self._paths.get(name)
        if path is None:
            raise ScanError(
                f"{name}: its frames were not encoded, expected codes in {self.folder}; only the scans of the training "
                "and validation sections have them."
            )
        try:
            with safe_open(path, framework="pt") as file:
                # a copy: the slice would hold, and take to another process, the whole file
                return file.get_slice(CODES)[start : start + length].clone()
        except (SafetensorError, OSError) as error:
            raise ScanError(
                f"{path}: cannot be read as codes of frames ({error}), expected the file that this training made; "
                "remove it and continue with --resume true."
            ) from error


def is_encoded(path: Path, num_frames: int, hidden_size: int) -> bool:
    """Whether a file of codes is there and whole.

    Args:
        path: of the file.
        num_frames: frames of the scan.
        hidden_size: length of a code.
    """
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.get_slice(CODES).get_shape()) == [num_frames, hidden_size]
    except (SafetensorError, OSError):  # it is made again
        return False


def scan_digest(scan: CompactScan) -> str:
    """What tells a compact scan from others, without reading all of its values.

    Mask, encoding, statistics over all frames (of the whole scan and of each voxel), and the first and the last frame.

    Args:
        scan: the whole trimmed scan.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps([getattr(scan, name) for name in _NUMBERS]).encode())
    for tensor in (*(getattr(scan, name) for name in _STATISTICS), scan.values[0], scan.values[-1]):
        digest.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
