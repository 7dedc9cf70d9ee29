"""The baseline of what is known of a scan besides its voxels: age, sex, site and motion, together and each alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from monai_tff.baselines.sections import Section
from monai_tff.bundle.baseline_folders import COVARIATES, SAME_NUMBER
from monai_tff.contract import Target
from monai_tff.data.records import Record

NUMBERS = tuple(SAME_NUMBER)
LEAST_KNOWN = 0.5
"""Share of the training subjects for whom a covariate must be known."""

NOT_KNOWN = "not known"


@dataclasses.dataclass(frozen=True)
class CovariateChoice:
    """Which covariates can be used, decided on training records alone.

    Attributes:
        used: names, in the order of `COVARIATES`.
        left_out: name to the reason, for a person.
        motion_kind: what the motion is, `mean FD` or `mean relative RMS`; other kinds count as not known.
    """

    used: tuple[str, ...]
    left_out: dict[str, str]
    motion_kind: str | None

    def sentence(self, target: Target) -> str:
        """Says which covariates are used, and why others are not."""
        parts = [f"covariates used to predict {target.name}: {', '.join(self.used) or 'none'}"]
        return "; ".join([*parts, *(f"{name} is left out: {reason}" for name, reason in self.left_out.items())]) + "."


def choose_covariates(training: Section, target: Target) -> CovariateChoice:
    """Chooses the covariates that are not the target and are known.

    A covariate is the target if it has its name, or if it says the same of every training scan of which both are
    known: texts that are equal (a sex by its first letter), numbers that lie within 1 year. A site that separates
    the classes is not the target: that it does is what the baseline has to show.

    Args:
        training: the training section.
        target: what is predicted.
    """
    kinds = Counter(record["motion_kind"] for record in training.records if record["motion"] is not None)
    motion_kind = min(kinds, key=lambda kind: (-kinds[kind], str(kind))) if kinds else None
    table = covariate_table(training.records, motion_kind)
    used, left_out = [], {}
    for name in COVARIATES:
        reason = _reason(name, table[name], training, target)
        if reason is None:
            used.append(name)
        else:
            left_out[name] = reason
    return CovariateChoice(tuple(used), left_out, motion_kind)


def covariate_table(records: Sequence[Record], motion_kind: str | None) -> pd.DataFrame:
    """The covariates of records, [scans]: numbers with NaN, and texts with `NOT_KNOWN`, where there is no value."""
    motion = [record["motion"] if record["motion_kind"] == motion_kind else None for record in records]
    columns: dict[str, pd.Series] = {"motion": pd.Series(motion, dtype=float)}
    columns["age"] = pd.Series([record["age"] for record in records], dtype=float)
    for name in ("sex", "site"):
        texts = [NOT_KNOWN if record[name] is None else str(record[name]) for record in records]
        columns[name] = pd.Series(texts, dtype=object)
    return pd.DataFrame(columns)


def _reason(name: str, values: pd.Series, training: Section, target: Target) -> str | None:
    """Why a covariate cannot be used, None if it can."""
    known = values.notna() if name in NUMBERS else values != NOT_KNOWN
    if name == target.name.casefold():
        return "it is the target"
    subjects = {record["subject"] for record, is_known in zip(training.records, known, strict=True) if is_known}
    if len(subjects) < LEAST_KNOWN * training.num_subjects:
        return f"it is known for {len(subjects)} of {training.num_subjects} training subjects, expected at least half"
    if values[known].nunique() < 2:
        return "it is the same for all training subjects"
    if _says_the_target(name, values[known], training.truth[known.to_numpy()], target):
        return "its column says the same as the target"
    return None


def _says_the_target(name: str, values: pd.Series, truth: NDArray[np.float64], target: Target) -> bool:
    if target.kind == "regression":
        # an age in another unit or a motion of another kind is not recognised: the caller reads which are used
        return name in SAME_NUMBER and bool(np.allclose(values, truth, rtol=0, atol=SAME_NUMBER[name]))
    if name in NUMBERS:
        return False
    labels = [target.class_names[int(index)].casefold() for index in truth]
    texts = [text.casefold() for text in values]
    if name == "sex":
        labels, texts = [label[:1] for label in labels], [text[:1] for text in texts]
    return texts == labels


class CovariateFeatures:
    """Imputed, one-hot and scaled covariates; everything is fitted on training records.

    A missing number becomes the training median, and a further column says that it was missing; a missing text is a
    class of its own; a class that training has not seen is none of the classes.

    Args:
        names: of the covariates.
        motion_kind: see `CovariateChoice`.
    """

    def __init__(self, names: Sequence[str], motion_kind: str | None) -> None:
        self.names, self.motion_kind = tuple(names), motion_kind
        self.pipeline: Pipeline = make_pipeline(
            ColumnTransformer(
                [
                    (
                        "numbers",
                        SimpleImputer(strategy="median", add_indicator=True),
                        [name for name in names if name in NUMBERS],
                    ),
                    (
                        "classes",
                        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                        [name for name in names if name not in NUMBERS],
                    ),
                ]
            ),
            StandardScaler(),
        )

    def fit(self, training: Section) -> CovariateFeatures:
        """Fits on training records."""
        self.pipeline.fit(covariate_table(training.records, self.motion_kind))
        return self

    def of_records(self, records: Sequence[Record]) -> NDArray[np.float64]:
        """The features of records, [scans, features], rows of a squared norm of about 1."""
        scaled = self.pipeline.transform(covariate_table(records, self.motion_kind))
        return scaled / np.sqrt(scaled.shape[1])


def covariate_baselines(choice: CovariateChoice, names: Sequence[str], say: Callable[[str], object]) -> dict[str, list]:
    """Which covariates each baseline uses; a baseline that cannot be made is said and left out.

    Args:
        choice: what can be used.
        names: of baselines.
        say: takes a sentence.

    Returns:
        Name of the baseline to names of covariates.
    """
    found: dict[str, list] = {}
    for name in names:
        alone = name.removeprefix("only_")
        if name == "covariates" and choice.used:
            found[name] = list(choice.used)
        elif name == "covariates":
            say("baseline covariates is not made: no covariate can be used.")
        elif alone in choice.used:
            found[name] = [alone]
        elif alone != name:
            say(f"baseline {name} is not made: {choice.left_out[alone]}.")
    return found
