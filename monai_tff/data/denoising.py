"""Denoising as the contract says: nuisance regressors are removed from the time course of each voxel.

The mean of a voxel is put back: without it the global channel, which is the brain's intensity, would be noise around
0, and there would be no background to tell from signal.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from monai_tff.contract import CLEANING, DENOISING
from monai_tff.data.confounds import read_regressors
from monai_tff.data.frames import StoredFrames
from monai_tff.errors import ConfigError, ScanError

BLOCK_ELEMENTS = 2**22
"""Elements that are cleaned at once: 32 MB, of which nilearn makes about four copies."""

LARGEST_IN_MEMORY = 2**28
"""Bytes of cleaned frames that are kept in memory; more go to a scratch file."""


def check_denoising(text: str) -> None:
    """Refuses a denoising that there is none of.

    Args:
        text: `none`, `fix`, `by_cohort` or `clean_img:STRATEGY`.

    Raises:
        ConfigError: naming those that there are.
    """
    if text in DENOISING:
        return
    why = " (scrubbing drops frames, and a window needs consecutive ones)" if text == f"{CLEANING}scrubbing" else ""
    raise ConfigError(f"denoising is '{text}'{why}, expected one of {', '.join(DENOISING)}.")


def parse_denoising(text: str) -> str | None:
    """The strategy of a denoising that is done when a scan is loaded.

    Args:
        text: `none`, `fix`, `by_cohort` or `clean_img:STRATEGY`.

    Returns:
        The strategy; None for the others, which leave nothing to do.

    Raises:
        ConfigError: for an unknown denoising.

    Example:
        >>> parse_denoising("clean_img:simple")
        'simple'
    """
    check_denoising(text)
    return text.removeprefix(CLEANING) if text.startswith(CLEANING) else None


def confounds_table(denoising: str, image: str | os.PathLike[str], given: str | os.PathLike[str] | None) -> Path | None:
    """The table of confounds that is used for a scan.

    Args:
        denoising: of the contract.
        image: the scan.
        given: table that its record names.

    Returns:
        That table, else the one beside the scan; None without, or where nothing is left to clean.
    """
    if parse_denoising(denoising) is None:
        return None
    if given is not None:
        return Path(given)
    # the readers of cohorts import what loads scans
    from monai_tff.data.cohorts.motion import find_confounds

    return find_confounds(image)


def denoised(
    frames: StoredFrames,
    voxels: torch.Tensor,
    *,
    denoising: str,
    image: str | os.PathLike[str],
    confounds: str | os.PathLike[str] | None,
    repetition_time: float | None,
    trim: int,
    scratch: str | os.PathLike[str] | None = None,
) -> StoredFrames:
    """Cleans some voxels of a trimmed scan with nilearn.

    `nilearn.signal.clean` is what `nilearn.image.clean_img` calls. Here it gets the voxels in blocks, so that memory
    stays bounded whatever the length of the scan: linear detrending, then the projection on what is orthogonal to
    the regressors, then the mean of each voxel back. A voxel that is constant (background among them) or has
    elements that are not finite stays as it is.

    Args:
        frames: the trimmed scan, [T, X, Y, Z].
        voxels: int64 [V], positions in the flattened grid of the frames.
        denoising: `clean_img:STRATEGY`.
        image: the scan's file.
        confounds: its table of confounds; None for the sibling that fMRIPrep wrote.
        repetition_time: seconds, None where unknown.
        trim: frames that were dropped at the start; the table has rows for them.
        scratch: folder for the scratch file of a long scan; None for the system's.

    Returns:
        Frames of shape [T, V, 1, 1], float32, the voxels in the order given.

    Raises:
        ScanError: for a table that is missing or does not fit the scan, too few frames for the regressors, or a
            scratch folder without space.
        ConfigError: for an unknown denoising.
    """
    strategy = parse_denoising(denoising)
    if strategy is None:
        raise ValueError(f"denoising '{denoising}' leaves nothing to clean")
    regressors = _regressors(Path(image), confounds, strategy, len(frames), repetition_time, trim)
    cleaned = _storage((len(frames), len(voxels)), scratch, Path(image))
    per_block = max(1, BLOCK_ELEMENTS // len(frames))
    for start in range(0, len(voxels), per_block):
        block = slice(start, start + per_block)
        cleaned[:, block] = _clean(frames.reader(voxels[block])(slice(None)).numpy(), regressors)
    return StoredFrames(cleaned.reshape(*cleaned.shape, 1, 1), first_frame=frames.first_frame)


def _regressors(
    image: Path,
    confounds: str | os.PathLike[str] | None,
    strategy: str,
    count: int,
    repetition_time: float | None,
    trim: int,
) -> np.ndarray:
    """Regressors of the trimmed frames, float64 [count, R]."""
    confounds = confounds_table(CLEANING + strategy, image, confounds)
    if confounds is None:
        raise ScanError(
            f"{image}: there are no confounds, expected a table of fMRIPrep for denoising: {CLEANING}{strategy}; put "
            "it beside the scan or name it in the datalist (confounds), or use denoising: none."
        )
    regressors = read_regressors(
        Path(confounds), strategy, image=image, num_frames=trim + count, repetition_time=repetition_time
    )[trim:]
    # mean and linear trend go too
    if regressors.shape[1] + 2 >= count:
        raise ScanError(
            f"{confounds}: {regressors.shape[1]} regressors, mean and trend leave nothing of the {count} frames of "
            f"{image}, expected more frames than that; use a longer scan or denoising: none."
        )
    return regressors


def _clean(signals: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    """Removes regressors [T, R] from signals [T, V]; both float64."""
    from nilearn.signal import clean

    with np.errstate(invalid="ignore"):
        spread = np.ptp(signals, axis=0)
    # false for NaN and infinity too
    varying = (spread > 0) & (spread < np.inf)
    kept = signals[:, varying]
    if kept.size:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="nilearn")
            rest = clean(kept, confounds=regressors, detrend=True, standardize=None, filter=False)
        signals[:, varying] = rest + kept.mean(axis=0)
    return signals


def _storage(shape: tuple[int, int], scratch: str | os.PathLike[str] | None, image: Path) -> np.ndarray:
    """float32 array in memory, or in a file without a name that vanishes with the array."""
    size = shape[0] * shape[1] * np.dtype(np.float32).itemsize
    if size <= LARGEST_IN_MEMORY:
        return np.empty(shape, np.float32)
    folder = Path(scratch or tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # without its blocks a full disk would end the process at the first write
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as error:
        raise ScanError(
            f"{image}: its cleaned frames need a scratch file of {size / 1e9:.2f} GB in {folder}, which cannot be made "
            f"({error.strerror}); free some space, or choose a folder on another disk."
        ) from error
