"""The public studies that nilearn downloads: their tables' columns and codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from monai_tff.data.cohorts.cells import Columns, first_column
from monai_tff.errors import DatalistError

_SEX = {"F": "F", "M": "M"}


@dataclasses.dataclass(frozen=True)
class Study:
    """What has to be known of a study to make records of what nilearn downloads.

    Attributes:
        name: of the study in messages.
        fetcher: nilearn's function.
        folder: that nilearn makes in its data folder.
        task: what the subjects did.
        scan_column: column of the table that names a scan.
        subject_column: column of the subjects' IDs, without `sub-`.
        columns: column of each target that has a name of its own, `age`, `sex` and the like.
        codes: for such a target, the word for each code of the column; another code is a fault.
        site_column: None where all scans come from one site.
        motion_column: mean framewise displacement in mm; None where it is read from the confounds.
        sibling_column: names a sibling among the subjects.
        repetition_time: in seconds, for scans whose header has none; None refuses such scans.
        denoising: what the study removed from the time courses, see `InputContract`.
    """

    name: str
    fetcher: str
    folder: str
    task: str
    scan_column: str
    subject_column: str
    columns: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str]]
    site_column: str | None = None
    motion_column: str | None = None
    sibling_column: str | None = None
    repetition_time: float | None = None
    denoising: str = "none"


DEVELOPMENT_FMRI = Study(
    name="development_fmri",
    fetcher="fetch_development_fmri",
    folder="development_fmri",
    task="pixar",
    scan_column="participant_id",
    subject_column="participant_id",
    columns={"age": "Age", "sex": "Gender", "age_group": "AgeGroup", "child_adult": "Child_Adult"},
    codes={"sex": _SEX},
    repetition_time=2.0,
)
"""155 children and adults who watch a film (Richardson et al. 2018): prepared by fMRIPrep, 50x59x50 at 4 mm, TR 2 s."""

ADHD = Study(
    name="adhd",
    fetcher="fetch_adhd",
    folder="adhd",
    task="rest",
    scan_column="Subject",
    subject_column="Subject",
    columns={"age": "age", "sex": "sex", "diagnosis": "adhd"},
    codes={
        "sex": {**_SEX, "Female": "F", "Male": "M", "0": "F", "1": "M"},
        "diagnosis": {"0": "control", "1": "ADHD"},
    },
    site_column="site",
    motion_column="MeanFD",
    sibling_column="sibling_id",
    repetition_time=2.0,
)
"""40 subjects of ADHD-200 at rest."""

ABIDE = Study(
    name="abide",
    fetcher="fetch_abide_pcp",
    folder="ABIDE_pcp",
    task="rest",
    scan_column="FILE_ID",
    subject_column="SUB_ID",
    columns={"age": "AGE_AT_SCAN", "sex": "SEX", "diagnosis": "DX_GROUP", "site": "SITE_ID"},
    codes={"sex": {"1": "M", "2": "F"}, "diagnosis": {"1": "autism", "2": "control"}},
    site_column="SITE_ID",
    motion_column="func_mean_fd",
    denoising="by_cohort",
)
"""ABIDE as the Preprocessed Connectomes Project prepared it: nuisances are regressed out, the TR differs by site."""

ABIDE_PIPELINES = ("cpac", "ccs", "dparsf", "niak")
ABIDE_STRATEGIES = {
    "nofilt_noglobal": (False, False),
    "nofilt_global": (False, True),
    "filt_noglobal": (True, False),
    "filt_global": (True, True),
}
"""Whether frequencies outside 0.01-0.1 Hz, and the global signal, are removed."""


def abide_variant(variant: str | None) -> tuple[str, bool, bool]:
    """Pipeline and strategy of ABIDE's scans.

    Args:
        variant: `PIPELINE/STRATEGY` as the folders are named; `cpac/nofilt_noglobal` if None.

    Returns:
        The pipeline, whether frequencies are filtered, whether the global signal is removed.

    Raises:
        DatalistError: naming the pipelines and strategies that there are.

    Example:
        >>> abide_variant("ccs/filt_noglobal")
        ('ccs', True, False)
    """
    pipeline, _, strategy = (variant or "cpac/nofilt_noglobal").partition("/")
    if pipeline not in ABIDE_PIPELINES or strategy not in ABIDE_STRATEGIES:
        raise DatalistError(
            f"--variant: found '{variant}', expected PIPELINE/STRATEGY with one of {', '.join(ABIDE_PIPELINES)} and "
            f"one of {', '.join(ABIDE_STRATEGIES)}, such as cpac/nofilt_noglobal."
        )
    return (pipeline, *ABIDE_STRATEGIES[strategy])


def target_column(study: Study, columns: Columns, target: str) -> tuple[str, Mapping[str, str]]:
    """The column that a target is in, and the words for its codes.

    Args:
        study: whose table it is.
        columns: of the table.
        target: a name of `study.columns`, or a column by its own name (in any case), whose cells stay as written.

    Returns:
        The table's name of the column; words by code, empty where cells stay as written.

    Raises:
        DatalistError: for a target that the table does not have.
    """
    named = study.columns.get(target)
    column = first_column(columns, [named if named is not None else target])
    if column is None:
        raise DatalistError(
            f"{study.name}: its table has no '{target}', expected {', '.join(study.columns)} or one of its columns "
            f"{', '.join(name for name in columns if name)}; choose among these."
        )
    return column, study.codes.get(target, {}) if named is not None else {}
