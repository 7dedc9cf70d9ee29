"""Several splits of one cohort: folds, repeated folds, one site left out at a time, or a split that is given."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from monai_tff.data.overlap import SECTIONS, Record, check_groups, check_no_overlap
from monai_tff.data.splits import (
    ATTEMPTS,
    DEFAULT_RATIOS,
    draw_sections,
    is_complete,
    random_state,
    record_order,
    records_by_group,
)
from monai_tff.data.strata import pool_small, site_of_group, stratification, target_strata
from monai_tff.errors import DatalistError

DEFAULT_VALIDATION = DEFAULT_RATIOS[1] / (DEFAULT_RATIOS[0] + DEFAULT_RATIOS[1])
"""Share of validation in what is not tested, as in a single split."""


@dataclasses.dataclass(frozen=True)
class Fold:
    """One of several splits.

    Attributes:
        sections: sorted records of training, validation and test.
        description: facts for the datalist's `split`, which JSON can hold: `scheme`, seed, validation's share, what was
            stratified by, and for folds their number, `fold` and `repeat` (from 1 on), for sites `held_out_site`.
        left_out: records in no section, because their group is tested and they are from another site.
    """

    sections: dict[str, list[Record]]
    description: dict[str, Any]
    left_out: list[Record] = dataclasses.field(default_factory=list)


def split_folds(
    records: Sequence[Record],
    *,
    kind: str,
    folds: int,
    repeats: int = 1,
    seed: int = 0,
    validation: float = DEFAULT_VALIDATION,
    by_site: bool = False,
) -> list[Fold]:
    """Splits records by group into folds, so that each group is tested once per repeat.

    The groups are dealt out by scikit-learn's `StratifiedKFold`, stratified by class or by quantile bin; bins with
    fewer groups than folds are merged. Each fold in turn is the test section; validation is drawn from the others.

    Args:
        records: see `split_records`.
        kind: of the target.
        folds: their number.
        repeats: how often the folds are drawn anew.
        seed: of every draw.
        validation: share of validation in what is not tested; 0 leaves the section empty.
        by_site: spread the sites over the folds too, within each class or bin; sites with fewer groups than folds of
            one are dealt out together, see `pool_small`.

    Returns:
        `folds` times `repeats` splits, one repeat after the other.

    Raises:
        DatalistError: for numbers that make no folds, fewer groups than folds with a class, or a subject, image or
            content in two groups.
    """
    _check_numbers(folds, repeats, validation)
    check_groups(records)
    members = records_by_group(records)
    labels = {group: [record["label"] for record in members[group]] for group in members}
    _check_enough(labels, kind, folds)
    strata = _strata(members, labels, kind, folds, by_site)
    words = stratification(_target_word(kind), kind, len(labels), least=folds, by_site=by_site)
    found = []
    for repeat in range(repeats):
        for number, tested in enumerate(_deal(members, labels, strata, kind, folds, (seed, repeat)), start=1):
            test = [record for group in tested for record in members[group]]
            rest = [record for group in members if group not in tested for record in members[group]]
            source = f"split, fold {number} of {folds}"
            sections = _sections(test, rest, kind, validation, [seed, repeat, number], by_site, source)
            place = {"folds": folds, "fold": number, "repeats": repeats, "repeat": repeat + 1}
            facts = {"seed": seed, "validation": validation, "stratified_by": words}
            found.append(Fold(sections, {"scheme": "folds", **place, **facts}))
    return found


def split_sites(
    records: Sequence[Record], *, kind: str, validation: float = DEFAULT_VALIDATION, seed: int = 0
) -> list[Fold]:
    """Leaves one site out at a time: its scans are the test section, the other sites train and validate.

    The test section holds scans of its site alone. Where a group was scanned at several sites, its scans from the
    others are in no section of that fold: they would leak as training, and as test they are not from the site that is
    asked about. Validation is drawn from the other sites, stratified by class or quantile bin and by site. A site need
    not have every class.

    Args:
        records: see `split_records`, each with `site`.
        kind: of the target.
        validation: share of validation in what is left; 0 leaves the section empty.
        seed: of the draw.

    Returns:
        One split per site, sorted by site.

    Raises:
        DatalistError: for a scan without a site, one site only, a class that the other sites do not have, or a
            subject, image or content in two groups.
    """
    _check_numbers(2, 1, validation)
    check_groups(records)
    sites = _sites(records)
    found = []
    for number, site in enumerate(sites):
        source = f"split, site '{site}' held out"
        groups = {record["group"] for record in records if record["site"] == site}
        test = [record for record in records if record["site"] == site]
        rest = [record for record in records if record["group"] not in groups]
        elsewhere = [record for record in records if record["group"] in groups and record["site"] != site]
        _check_classes(rest, records, kind, source)
        sections = _sections(test, rest, kind, validation, [seed, number], True, source)
        words = stratification(_target_word(kind), kind, len({record["group"] for record in rest}), by_site=True)
        description = {
            **{"scheme": "leave one site out", "held_out_site": site, "sites": len(sites)},
            **{"seed": seed, "validation": validation, "stratified_by": words, "left_out": len(elsewhere)},
        }
        found.append(Fold(sections, description, sorted(elsewhere, key=record_order)))
    return found


def split_given(
    records: Sequence[Record], assignment: Mapping[str, str]
) -> tuple[dict[str, list[Record]], list[Record]]:
    """Splits records as somebody else did, a published split for example.

    Args:
        records: see `split_records`; the labels are not looked at.
        assignment: section of each subject; subjects without records may be among them.

    Returns:
        Sorted records of each section, and the records of subjects without a section.

    Raises:
        DatalistError: for a section that does not exist, subjects that match no record, or a group, subject, image or
            content in two sections.
    """
    for subject, section in assignment.items():
        if section not in SECTIONS:
            raise DatalistError(
                f"split: subject '{subject}' is given the section '{section}', expected one of {', '.join(SECTIONS)}."
            )
    ordered = sorted(records, key=record_order)
    sections = {s: [record for record in ordered if assignment.get(record["subject"]) == s] for s in SECTIONS}
    if not any(sections.values()):
        raise DatalistError(
            f"split: none of the {len(assignment)} subjects of the given split has a scan, expected subjects such as "
            f"'{ordered[0]['subject'] if ordered else 'none'}'; write the subjects as the datalist does."
        )
    check_no_overlap(sections, "the given split")
    return sections, [record for record in ordered if record["subject"] not in assignment]


def _sections(
    test: Sequence[Record],
    rest: Sequence[Record],
    kind: str,
    validation: float,
    seeds: Sequence[int],
    by_site: bool,
    source: str,
) -> dict[str, list[Record]]:
    """The sections of a fold: what is tested, and the rest drawn into training and validation."""
    sections = draw_sections(rest, kind, (1 - validation, validation, 0.0), seeds, by_site=by_site, source=source)
    return {**sections, "test": sorted(test, key=record_order)}


def _target_word(kind: str) -> str:
    return "target" if kind == "regression" else "class"


def _check_numbers(folds: int, repeats: int, validation: float) -> None:
    if folds < 2 or repeats < 1:
        raise DatalistError(
            f"split: {folds} folds and {repeats} repeats, expected at least 2 folds and 1 repeat; a single split has "
            "ratios instead."
        )
    if not 0 <= validation < 1:
        raise DatalistError(f"split: validation's share of the rest is {validation}, expected 0 or more, below 1.")


def _check_enough(labels: Mapping[str, list[Any]], kind: str, folds: int) -> None:
    if len(labels) < folds:
        raise DatalistError(
            f"split: there are {len(labels)} groups, expected at least {folds}, one for each fold; use fewer folds."
        )
    if kind == "regression":
        return
    counts = Counter(label for values in labels.values() for label in set(values))
    for label, count in sorted(counts.items()):
        if count < folds:
            raise DatalistError(
                f"split: class '{label}' is in {count} of {len(labels)} groups, expected at least {folds}, one for "
                "each fold; use fewer folds, or leave the class out."
            )


def _strata(
    members: Mapping[str, list[Record]], labels: Mapping[str, list[Any]], kind: str, folds: int, by_site: bool
) -> dict[str, str]:
    """The stratum of each group. Sites are pooled within a class, or within a bin: the target comes first."""
    strata = target_strata(labels, kind, folds)
    sites = site_of_group(members) if by_site else dict.fromkeys(members, "")
    found = {}
    for name, groups in strata.items():
        pooled = pool_small([sites[group] for group in groups], least=folds)
        found.update({group: f"{name}, {site}" for group, site in zip(groups, pooled, strict=True)})
    return {group: found[group] for group in members}


def _deal(
    members: Mapping[str, list[Record]],
    labels: Mapping[str, list[Any]],
    strata: Mapping[str, str],
    kind: str,
    folds: int,
    seeds: tuple[int, int],
) -> list[set[str]]:
    """Deals the groups out to folds, each of which gets every class."""
    groups = np.asarray(list(strata), dtype=object)
    # a class that lives in mixed groups may be the rarest in a few of them only, too few for a stratum of its own
    names = pool_small(list(strata.values()), least=folds)
    for attempt in range(ATTEMPTS):
        splitter = StratifiedKFold(folds, shuffle=True, random_state=random_state(*seeds, 0, attempt))
        dealt = [set(groups[test]) for _, test in splitter.split(groups, names)]
        tested = [[record for group in fold for record in members[group]] for fold in dealt]
        if all(is_complete(records, labels, kind) for records in tested):
            return dealt
    raise DatalistError(
        f"split: {len(labels)} groups could not be divided into {folds} folds with every class in each, because "
        "classes share their groups; use fewer folds, or add groups."
    )


def _sites(records: Sequence[Record]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        if record.get("site") is None:
            raise DatalistError(
                f"{record['image']}: has no site, expected one for every scan to leave sites out; complete the column "
                "of the sites, or use folds."
            )
        counts[record["site"]] += 1
    if len(counts) < 2:
        raise DatalistError(
            f"split: all {len(records)} scans are from {len(counts)} site, expected at least 2 to leave one out; use "
            "folds instead."
        )
    return sorted(counts)


def _check_classes(rest: Sequence[Record], records: Sequence[Record], kind: str, source: str) -> None:
    if kind == "regression":
        return
    absent = sorted({record["label"] for record in records} - {record["label"] for record in rest})
    if absent:
        raise DatalistError(
            f"{source}: class '{absent[0]}' has no group at the other sites alone, expected every class there to train "
            "on; leave the class out, or use folds."
        )
