"""Scans that the published code stored as tensors: where they are, and one frame of them at a time.

Its preprocessing leaves one file for each frame and normalisation, `SUBJECT/global_normalize/rfMRI_LR_TR_0.pt` and
`SUBJECT/per_voxel_normalize/rfMRI_LR_TR_0.pt` (its loader expects `TR_0.pt`). Other code around it stores whole scans.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch

from monai_tff.data.bids_names import without_prefix
from monai_tff.errors import DatalistError, ScanError

_FRAME = re.compile(r"(?:(?P<prefix>.+)_)?TR_(?P<index>\d+)\.pt")
_NORMS = ("global", "per_voxel")
"""Words that tell the folders of the two normalisations."""


@dataclasses.dataclass(frozen=True)
class PublishedScan:
    """The files of one scan.

    Attributes:
        subject: ID without `sub-`.
        run: what tells the runs of a subject apart (`LR`), None where the names say nothing.
        files: globally normalised frames in their order, or one file with the whole scan.
        voxel_files: the same frames normalised per voxel; empty where they are not there.
        whole: whether it is one file with the whole scan.
    """

    subject: str
    run: str | None
    files: tuple[Path, ...]
    voxel_files: tuple[Path, ...] = ()
    whole: bool = False


def find_published(source: str | os.PathLike[str]) -> tuple[list[PublishedScan], list[str]]:
    """Finds the scans in a folder of published material.

    Args:
        source: folder with a folder for each subject (with or without folders of the two normalisations in it, or the
            other way round), or with a whole-scan file for each subject.

    Returns:
        The scans in the order of their names, and one sentence for each that is incomplete or has no usable name.

    Raises:
        DatalistError: when there is no such folder, or no `.pt` file in it.
    """
    root = Path(source)
    files = sorted(_tensor_files(root))
    if not files:
        found = "has no .pt file" if root.is_dir() else "there is no such folder"
        raise DatalistError(f"{root}: {found}, expected the published code's frames or whole scans; check the path.")
    frames: dict[tuple[str, str | None], dict[str, dict[int, Path]]] = defaultdict(lambda: defaultdict(dict))
    whole: dict[str, list[Path]] = defaultdict(list)
    faults = []
    for file in files:
        subject, norm = _subject_and_norm(root, file)
        name = _FRAME.fullmatch(file.name)
        if not subject.isalnum():
            faults.append(f"{file}: the subject is '{subject}', expected letters and digits; rename its folder.")
        elif name is None:
            whole[subject].append(file)
        elif file != frames[subject, _run(name["prefix"])][norm].setdefault(int(name["index"]), file):
            faults.append(f"{file}: frame {int(name['index'])} of {subject} is there twice, expected once; remove one.")
    scans = []
    for (subject, run), norms in frames.items():
        fault = _fault(subject, norms)
        if fault is None:
            in_order = [tuple(norms[norm][index] for index in sorted(norms[norm])) for norm in _NORMS]
            scans.append(PublishedScan(subject, run, in_order[0], in_order[1]))
        else:
            faults.append(fault)
    for subject, paths in whole.items():
        runs = [_run(path.stem) if len(paths) > 1 else None for path in paths]
        scans += [PublishedScan(subject, run, (path,), whole=True) for run, path in zip(runs, paths, strict=True)]
    return _each_once(scans, faults)


def load_frame(path: str | os.PathLike[str]) -> torch.Tensor:
    """Reads one frame.

    Args:
        path: file with a tensor [X, Y, Z, 1] or [X, Y, Z].

    Returns:
        float32 [X, Y, Z].

    Raises:
        ScanError: for a file that is damaged, holds something else, or would run code on loading.
    """
    frame = load_tensor(path)
    if frame.ndim == 4 and frame.shape[3] == 1:
        frame = frame[..., 0]
    if frame.ndim != 3:
        raise ScanError(f"{path}: has the shape {tuple(frame.shape)}, expected one frame [X, Y, Z, 1]; leave it out.")
    return frame.to(torch.float32)


def load_whole(path: str | os.PathLike[str]) -> torch.Tensor:
    """Opens a whole scan; its frames stay on disk until they are used, where the file's format allows it.

    Args:
        path: file with a tensor [T, 1, X, Y, Z].

    Returns:
        The tensor [T, X, Y, Z].

    Raises:
        ScanError: see `load_frame`.
    """
    scan = load_tensor(path, mmap=zipfile.is_zipfile(path))
    if scan.ndim != 5 or scan.shape[1] != 1:
        raise ScanError(
            f"{path}: has the shape {tuple(scan.shape)}, expected a whole scan [T, 1, X, Y, Z]; leave it out."
        )
    return scan[:, 0]


def load_tensor(path: str | os.PathLike[str], *, mmap: bool = False) -> torch.Tensor:
    """Reads a file that holds one tensor of numbers, with `weights_only`.

    Raises:
        ScanError: see `load_frame`.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a damaged pickle can raise anything
        if isinstance(error, pickle.UnpicklingError):
            raise ScanError(
                f"{path}: holds Python objects that could run code on loading, or is damaged, expected one tensor; "
                "save the tensor alone with torch.save."
            ) from error
        raise ScanError(
            f"{path}: cannot be read ({type(error).__name__}), expected one tensor of torch.save; copy it again."
        ) from error
    if not isinstance(content, torch.Tensor):
        raise ScanError(f"{path}: holds a {type(content).__name__}, expected one tensor; save the tensor alone.")
    if content.layout != torch.strided or content.dtype == torch.bool or content.is_complex():
        raise ScanError(f"{path}: holds {content.dtype} ({content.layout}), expected plain numbers; leave it out.")
    return content.detach()


def _tensor_files(root: Path) -> Iterator[Path]:
    """All `.pt` files; linked folders are followed once."""
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in visited:
            subfolders.clear()
            continue
        visited.add(os.path.realpath(folder))
        yield from (Path(folder) / name for name in names if name.endswith(".pt"))


def _subject_and_norm(root: Path, file: Path) -> tuple[str, str]:
    """Subject and normalisation by the folders below the root; frames in a folder of neither count as global."""
    folders = file.relative_to(root).parts[:-1]
    norms = [word for folder in folders for word in _NORMS if word in folder.lower()]
    left = [folder for folder in folders if not any(word in folder.lower() for word in _NORMS)]
    if not left and _FRAME.fullmatch(file.name) is None:
        left = [file.stem]
    return without_prefix(left[-1] if left else "", "sub"), norms[-1] if norms else _NORMS[0]


def _run(prefix: str | None) -> str | None:
    """A label for BIDS names: letters and digits only."""
    return re.sub(r"[^A-Za-z0-9]", "", (prefix or "").removeprefix("rfMRI_")) or None


def _fault(subject: str, norms: dict[str, dict[int, Path]]) -> str | None:
    if _NORMS[0] not in norms:
        file = next(iter(norms[_NORMS[1]].values()))
        return (
            f"{file.parent}: {subject} has frames normalised per voxel only, expected the folder global_normalize too: "
            "the scan cannot be restored from them."
        )
    for norm, frames in norms.items():
        missing = sorted(set(range(max(frames) + 1)) - set(frames))
        if missing:
            folder = next(iter(frames.values())).parent
            return f"{folder}: frame {missing[0]} of {max(frames) + 1} is missing, expected all; copy the folder again."
        if len(frames) != len(norms[_NORMS[0]]):
            return (
                f"{next(iter(frames.values())).parent}: has {len(frames)} frames in '{norm}' and "
                f"{len(norms[_NORMS[0]])} in 'global', expected as many; copy the folders again."
            )
    return None


def _each_once(scans: list[PublishedScan], faults: list[str]) -> tuple[list[PublishedScan], list[str]]:
    first: dict[tuple[str, str | None], PublishedScan] = {}
    for scan in scans:
        if first.setdefault((scan.subject, scan.run), scan) is not scan:
            faults.append(
                f"{scan.files[0]}: the same run of {scan.subject} as {first[scan.subject, scan.run].files[0]}, "
                "expected each run once; remove one."
            )
    return [first[key] for key in sorted(first, key=lambda key: (key[0], key[1] or ""))], faults
