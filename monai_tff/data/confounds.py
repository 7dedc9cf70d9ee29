"""Regressors of a denoising strategy, from the confounds that fMRIPrep writes beside a scan.

fMRIPrep 1.2 and later: nilearn's `load_confounds_strategy` chooses and fills the columns. Older fMRIPrep (OpenNeuro
ds000030, for example) has other names and no derivatives, and nilearn refuses it; the same regressors are made of its
columns here.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from monai_tff.errors import ScanError

HIGH_PASS = 1 / 128
"""Hz; the cosines that fMRIPrep writes from 1.2 on remove drifts slower than this."""

_OLD_MOTION = ("X", "Y", "Z", "RotX", "RotY", "RotZ")
_OLD_TISSUES = ("CSF", "WhiteMatter")
_OLD_COMPONENT = re.compile(r"aCompCor\d+")
_OLD_NAMES = {*_OLD_MOTION[3:], *_OLD_TISSUES, "GlobalSignal", "FramewiseDisplacement", "stdDVARS"}
_AROMA = "smoothAROMAnonaggr"


def read_regressors(
    confounds: Path, strategy: str, *, image: Path, num_frames: int, repetition_time: float | None
) -> np.ndarray:
    """Regressors of every frame of a scan, before the trim.

    `simple`: six motion parameters, their backward differences and the squares of both, mean signal of white matter
    and of cerebrospinal fluid, cosines up to 1/128 Hz. `compcor`: motion, anatomical components and cosines.
    `ica_aroma`: white matter, cerebrospinal fluid and cosines, for a scan that ICA-AROMA has cleaned.

    Args:
        confounds: table of fMRIPrep, `*_desc-confounds_timeseries.tsv`, `*_desc-confounds_regressors.tsv` or
            `*_confounds.tsv`.
        strategy: one of `monai_tff.contract.STRATEGIES`.
        image: the scan, for messages and for the kind of its file.
        num_frames: frames of the scan before the trim.
        repetition_time: seconds; only tables of old fMRIPrep need it.

    Returns:
        float64 [num_frames, R], all finite.

    Raises:
        ScanError: for a table that is missing, not readable, of another length than the scan, or without a column
            that the strategy needs; for `ica_aroma` on a scan that is no output of ICA-AROMA.
    """
    if strategy == "ica_aroma" and _AROMA not in image.name:
        raise ScanError(
            f"{image}: the strategy ica_aroma expects a scan that ICA-AROMA has cleaned, named *{_AROMA}*; use that "
            "file of the derivative, or denoising: clean_img:simple."
        )
    table = _read_table(confounds, image)
    if len(table) != num_frames:
        raise ScanError(
            f"{confounds}: has {len(table)} rows, expected {num_frames}, one for each frame of {image}; "
            "give the confounds of this run."
        )
    if _OLD_NAMES & set(table.columns):
        chosen = _of_old_fmriprep(table, strategy, confounds, repetition_time)
    else:
        chosen = _of_nilearn(table, strategy, confounds)
    unusable = [str(name) for name in chosen.columns if not np.isfinite(chosen[name]).all()]
    if unusable:
        raise ScanError(
            f"{confounds}: the column {unusable[0]} is not a number in every row, expected one for each frame of "
            f"{image}; correct the table, or use another strategy than {strategy}."
        )
    return chosen.to_numpy(dtype=np.float64)


def _read_table(confounds: Path, image: Path) -> pd.DataFrame:
    if not confounds.is_file():
        raise ScanError(
            f"{confounds}: there is no such table, expected the confounds of {image}; fetch them, or use "
            "denoising: none."
        )
    try:
        table = pd.read_csv(confounds, sep="\t", na_values=["n/a"])
    except (OSError, ValueError) as error:
        raise ScanError(
            f"{confounds}: cannot be read as a table ({str(error).splitlines()[0]}), expected the confounds of {image} "
            "separated by tabs; fetch them again."
        ) from error
    # a cell that is no number is refused by its column's name, once it is known which columns count
    return table.apply(pd.to_numeric, errors="coerce")


def _of_nilearn(table: pd.DataFrame, strategy: str, confounds: Path) -> pd.DataFrame:
    """What nilearn chooses; its sample mask is not used, because frames are dropped by the contract's trim alone."""
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    kind = f"desc-{_AROMA}_bold" if strategy == "ica_aroma" else "desc-preproc_bold"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # nilearn finds a table by the names in the scan's folder; a record may name any table
        table.to_csv(Path(folder) / "sub-1_desc-confounds_timeseries.tsv", sep="\t", na_rep="n/a", index=False)
        sidecar = confounds.with_suffix(".json")
        if sidecar.is_file():
            shutil.copyfile(sidecar, Path(folder) / "sub-1_desc-confounds_timeseries.json")
        warnings.filterwarnings("ignore", module="nilearn")
        try:
            chosen, _ = load_confounds_strategy(f"{folder}/sub-1_{kind}.nii.gz", denoise_strategy=strategy)
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split()).replace(f"{folder}/sub-1_desc-confounds_timeseries", "the table")
            raise ScanError(
                f"{confounds}: lacks what the strategy {strategy} needs ({reason.rstrip('.')}), expected the columns "
                "of fMRIPrep and the JSON beside them; fetch both, or use another strategy."
            ) from error
    return chosen


def _of_old_fmriprep(
    table: pd.DataFrame, strategy: str, confounds: Path, repetition_time: float | None
) -> pd.DataFrame:
    components = [str(name) for name in table.columns if _OLD_COMPONENT.fullmatch(str(name))]
    wanted = {
        "simple": (*_OLD_MOTION, *_OLD_TISSUES),
        "compcor": (*_OLD_MOTION, *(components or ["aCompCor00"])),
        "ica_aroma": _OLD_TISSUES,
    }[strategy]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ScanError(
            f"{confounds}: has no column {', '.join(missing)}, expected those of old fMRIPrep for the strategy "
            f"{strategy}; found {', '.join(map(str, table.columns))}; use another strategy."
        )
    if repetition_time is None:
        raise ScanError(
            f"{confounds}: was written by an fMRIPrep before 1.2, and the scan's repetition time is unknown; the "
            "high-pass filter needs it: give it in the datalist (tr) or in a JSON beside the scan."
        )
    chosen = table[list(wanted)]
    if strategy != "ica_aroma":
        chosen = pd.concat([chosen, _expanded(chosen[list(_OLD_MOTION)])], axis=1)
    return pd.concat([chosen, _cosines(len(table), repetition_time)], axis=1)


def _expanded(motion: pd.DataFrame) -> pd.DataFrame:
    """Backward differences and the squares of both; the first difference is taken as the second, as nilearn does."""
    differences = motion.diff()
    differences.iloc[:1] = differences.iloc[1:2].to_numpy() if len(motion) > 1 else 0.0
    both = pd.concat([motion, differences.add_suffix("_derivative1")], axis=1)
    return pd.concat([differences.add_suffix("_derivative1"), (both**2).add_suffix("_power2")], axis=1)


def _cosines(num_frames: int, repetition_time: float) -> pd.DataFrame:
    from nilearn.glm.first_level.design_matrix import create_cosine_drift

    drift = create_cosine_drift(HIGH_PASS, np.arange(num_frames) * repetition_time)
    # its last column is the constant
    return pd.DataFrame(drift[:, :-1]).add_prefix("cosine")
