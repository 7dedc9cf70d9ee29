"""How a cohort is to be split: once, by folds, by site, or as a published split says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai_tff.contract import Target
from monai_tff.data.folds import split_folds, split_given, split_sites
from monai_tff.data.records import Record
from monai_tff.data.splits import DEFAULT_RATIOS, split_records, stratification
from monai_tff.errors import DatalistError

Sections = Mapping[str, list[Record]]


class PlannedSplit(NamedTuple):
    """One split of a plan.

    Attributes:
        sections: records of training, validation and test.
        facts: what the datalist says of the split.
        left_out: records in no section.
    """

    sections: Sections
    facts: dict[str, Any]
    left_out: Sequence[Record] = ()


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """A plan for one split or several; groups stay whole in each.

    Attributes:
        seed: of every draw.
        ratios: shares of the groups for training, validation and test. With folds or sites the test section is the
            fold or site, and validation gets its share of what is left for both.
        folds: number of folds; None for a single split.
        repeats: how often the folds are drawn anew.
        by_site: stratify by site as well as by target.
        leave_one_site_out: one split for each site, which is the test section.
        assignment: section of each subject, of a published split; nothing is drawn then.
    """

    seed: int = 0
    ratios: Sequence[float] = DEFAULT_RATIOS
    folds: int | None = None
    repeats: int = 1
    by_site: bool = False
    leave_one_site_out: bool = False
    assignment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        chosen = [
            name
            for name, given in (
                ("folds", self.folds is not None),
                ("leave_one_site_out", self.leave_one_site_out),
                ("assignment", self.assignment is not None),
            )
            if given
        ]
        if len(chosen) > 1:
            raise DatalistError(f"split: {' and '.join(chosen)} are given, expected one of them; leave the others out.")
        if self.repeats != 1 and self.folds is None:
            raise DatalistError(f"split: {self.repeats} repeats of a single split, expected folds; give their number.")

    def splits(self, records: Sequence[Record], target: Target) -> list[PlannedSplit]:
        """Splits the records.

        Args:
            records: with `group`, `subject`, `session`, `image`, `site` and `label`.
            target: what the split is stratified by.

        Returns:
            One split, or one for each fold or site.

        Raises:
            DatalistError: when the groups allow no such split.
        """
        if self.assignment is not None:
            sections, left_out = split_given(records, self.assignment)
            return [PlannedSplit(sections, {"scheme": "given"}, left_out)]
        common: dict[str, Any] = {"kind": target.kind, "seed": self.seed}
        if self.leave_one_site_out:
            found = split_sites(records, validation=self._validation(), **common)
        elif self.folds is not None:
            found = split_folds(
                records,
                folds=self.folds,
                repeats=self.repeats,
                validation=self._validation(),
                by_site=self.by_site,
                **common,
            )
        else:
            return [self._single(records, target)]
        return [PlannedSplit(fold.sections, fold.description, fold.left_out) for fold in found]

    def _single(self, records: Sequence[Record], target: Target) -> PlannedSplit:
        sections = split_records(records, kind=target.kind, ratios=self.ratios, seed=self.seed, by_site=self.by_site)
        num_groups = len({record["group"] for record in records})
        words = stratification(target.name, target.kind, num_groups, by_site=self.by_site)
        facts = {"scheme": "single", "seed": self.seed, "ratios": list(self.ratios), "stratified_by": words}
        return PlannedSplit(sections, facts)

    def _validation(self) -> float:
        """Validation's share of what is left for training and validation."""
        training, validation, *_ = self.ratios
        if not training > 0:
            raise DatalistError(f"split: the ratios are {list(self.ratios)}, expected a share for training above 0.")
        return validation / (training + validation)

    @property
    def is_single(self) -> bool:
        """Whether the plan gives one split."""
        return self.folds is None and not self.leave_one_site_out


def split_suffixes(splits: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the file names of the splits of one plan end with, so that they lie side by side.

    Args:
        splits: facts of each split, from its datalist.

    Returns:
        For each `_repeat-2_fold-1` or `_site-Prisma` for example, nothing for a single split. Sites whose names differ
        only in letters that no file name should have are numbered.
    """
    found: list[str] = []
    taken: set[str] = set()
    for facts in splits:
        wanted = suffix = _suffix(facts)
        number = 1
        while suffix.lower() in taken:
            number += 1
            suffix = f"{wanted}-{number}"
        taken.add(suffix.lower())
        found.append(suffix)
    return found


def _suffix(facts: Mapping[str, Any]) -> str:
    numbers = [f"_repeat-{facts['repeat']}"] if facts.get("repeats", 1) > 1 else []
    numbers += [f"_fold-{facts['fold']}"] if "fold" in facts else []
    numbers += [f"_site-{facts['held_out_site']}"] if "held_out_site" in facts else []
    return re.sub(r"[^\w.-]", "-", "".join(numbers))
