"""From the records of a cohort to datalists: target, headers, contents, and one split or several."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.contract import Target
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.content import content_hashes
from monai_tff.data.grid import note_headers, summarise_grid
from monai_tff.data.overlap import (
    SECTIONS,
    UNLABELLED,
    check_groups,
    check_no_overlap,
    duplicate_contents,
    join_unlabelled,
    split_hash,
)
from monai_tff.data.records import Record
from monai_tff.data.split_plan import PlannedSplit, SplitPlan
from monai_tff.data.targets import define_target, raw_label
from monai_tff.errors import DatalistError, UserError

OTHER_CLASSES = "scans: other classes"
NO_SECTION = "scans: in no section of this split"
NOT_PRETRAINED = "scans: without label, of a subject or group in validation or test"


@dataclasses.dataclass(frozen=True)
class _Material:
    """What all splits of a cohort share.

    Attributes:
        target: its definition.
        records: labelled scans whose header can be used.
        unlabelled: scans that may join phases 1 and 2.
        others: scans of these subjects that no record uses.
        grid: what the headers have in common.
        left_out: how many scans, subjects or rows were left out, by reason.
        faults: sentences about scans that cannot be used.
    """

    target: Target
    records: list[Record]
    unlabelled: list[Record]
    others: list[dict[str, Any]]
    grid: dict[str, Any]
    left_out: dict[str, int]
    faults: list[str]


def build_datalist(
    cohort: Cohort,
    target: str,
    *,
    dataset_dir: str | os.PathLike[str],
    plan: SplitPlan | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Turns a cohort into one datalist, see `build_datalists`.

    Args:
        cohort: of a cohort reader.
        target: name of the target.
        dataset_dir: folder that image paths start from.
        plan: of one single split; the default one if None.
        **options: of `build_datalists`.

    Returns:
        The datalist, ready for `write_datalist`.
    """
    (datalist,) = build_datalists(cohort, target, dataset_dir=dataset_dir, plan=plan or SplitPlan(), **options)
    return datalist


def build_datalists(
    cohort: Cohort,
    target: str,
    *,
    dataset_dir: str | os.PathLike[str],
    plan: SplitPlan,
    kind: str | None = None,
    classes: Sequence[str] | None = None,
    mask: str = "auto",
    name: str | None = None,
    pretrain_unlabelled: bool = False,
    content: bool = True,
    workers: int | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Turns a cohort into datalists: one for a single split, one per fold otherwise.

    Args:
        cohort: of a cohort reader, the labels as written in its table.
        target: name of the target.
        dataset_dir: folder that image paths start from.
        plan: how the groups are split.
        kind: `binary`, `multiclass` or `regression`; found from the labels if None.
        classes: names in the order of the class index; records of other classes are left out and counted.
        mask: `auto` notes the mask beside each scan, `nonzero` none.
        name: of the cohort; if None the folder's name, of a derivative that of its dataset.
        pretrain_unlabelled: let scans without a label, or of other classes, join phases 1 and 2.
        content: hash the voxels of every scan, so that the same data under two names is found; reads every scan.
        workers: threads that hash; None for one per core, 16 at most.
        progress: whether to show progress bars.

    Returns:
        The datalists, ready for `write_datalist`; scans that cannot be read are left out, see their `faults`.

    Raises:
        UserError: when the labels make no target, the groups no split, or two subjects have the same voxels.
    """
    folder = Path(dataset_dir)
    labelled = _with_labels(cohort, target, kind, classes, pretrain_unlabelled)
    material = _with_headers(labelled, folder, mask, progress)
    plan.splits(material.records, material.target)  # what makes no split is said before hours of reading
    if content:
        material = _with_contents(material, folder, workers, progress)
    check_groups([*material.records, *material.unlabelled])
    _refuse_two_names([*material.records, *material.unlabelled, *material.others])
    facts = {"name": name or _cohort_name(folder), "denoising": cohort.denoising}
    return [
        _datalist(material, {**facts, "allowed": list(cohort.allowed)}, split)
        for split in plan.splits(material.records, material.target)
    ]


def _cohort_name(folder: Path) -> str:
    """`<dataset>` of `<dataset>/derivatives/<pipeline>`: cohorts of one name are compared by subject."""
    place = Path(os.path.abspath(folder))
    return (place.parents[1].name if place.parent.name == "derivatives" else "") or place.name


def _with_labels(
    cohort: Cohort, target: str, kind: str | None, classes: Sequence[str] | None, pretrain_unlabelled: bool
) -> _Material:
    definition = define_target(target, [record["label"] for record in cohort.records], kind=kind, classes=classes)
    labelled = [{**record, "label": raw_label(record["label"], definition)} for record in cohort.records]
    other_classes = [record for record in labelled if record["label"] is None]
    left_out = {reason: len(names) for reason, names in cohort.left_out.items()}
    if other_classes:
        left_out[OTHER_CLASSES] = len(other_classes)
    unlabelled = [dict(record) for record in (*cohort.unlabelled, *other_classes)]
    unused = [] if pretrain_unlabelled else [{key: r[key] for key in ("image", "subject")} for r in unlabelled]
    return _Material(
        target=definition,
        records=[record for record in labelled if record["label"] is not None],
        unlabelled=unlabelled if pretrain_unlabelled else [],
        others=[*(dict(scan) for scan in cohort.others), *unused],
        grid={},
        left_out=left_out,
        faults=list(cohort.faults),
    )


def _with_headers(material: _Material, folder: Path, mask: str, progress: bool) -> _Material:
    records = [*material.records, *material.unlabelled]
    headers = note_headers(records, folder, mask=mask, progress=progress)
    faults = [str(found) for found in headers if isinstance(found, UserError)]
    good = [not isinstance(found, UserError) for found in headers]
    if not any(good[: len(material.records)]):
        raise DatalistError(f"{folder}: none of {len(material.records)} scans can be used; the first: {faults[0]}")
    split = len(material.records)
    return dataclasses.replace(
        material,
        records=[record for record, usable in zip(records[:split], good[:split], strict=True) if usable],
        unlabelled=[record for record, usable in zip(records[split:], good[split:], strict=True) if usable],
        grid=summarise_grid([found for found in headers if not isinstance(found, UserError)]),
        faults=[*material.faults, *faults],
    )


def _with_contents(material: _Material, folder: Path, workers: int | None, progress: bool) -> _Material:
    """Notes the content of each scan; one that cannot be read to its end is left out."""
    subjects = {record["subject"] for record in (*material.records, *material.unlabelled)}
    others = [scan for scan in material.others if scan["subject"] in subjects]
    scans: list[dict[str, Any]] = [*material.records, *material.unlabelled, *others]
    found = content_hashes([folder / scan["image"] for scan in scans], workers=workers, progress=progress)
    for scan, content in zip(scans, found, strict=True):
        scan["content"] = None if isinstance(content, UserError) else content
    # a scan that no record uses may be damaged
    used = len(material.records) + len(material.unlabelled)
    faults = [str(content) for content in found[:used] if isinstance(content, UserError)]
    return dataclasses.replace(
        material,
        records=[record for record in material.records if record["content"] is not None],
        unlabelled=[record for record in material.unlabelled if record["content"] is not None],
        others=others,
        faults=[*material.faults, *faults],
    )


def _refuse_two_names(scans: Sequence[Mapping[str, Any]]) -> None:
    """Refuses the same voxels under two subjects of one family, or in a scan that is not used."""
    for same in duplicate_contents([dict(scan) for scan in scans]):
        names = {scan["subject"]: scan["image"] for scan in same}
        if len(names) > 1:
            (first, image), (second, other), *_ = names.items()
            raise DatalistError(
                f"{image} of subject {first} and {other} of subject {second}: have the same voxels, expected each scan "
                "under one subject; remove the scan that has the wrong name, and build the datalist again."
            )


def _datalist(material: _Material, facts: Mapping[str, Any], split: PlannedSplit) -> dict[str, Any]:
    """One datalist; the keys in the order of `KEYS`."""
    sections = split.sections
    joined, dropped = join_unlabelled(sections, material.unlabelled, held_out_site=split.facts.get("held_out_site"))
    excluded = dict(material.left_out)
    for reason, records in ((NOT_PRETRAINED, dropped), (NO_SECTION, split.left_out)):
        if records:
            excluded[reason] = len(records)
    unused = [{key: record[key] for key in ("image", "subject", "content")} for record in (*dropped, *split.left_out)]
    whole: dict[str, list[Record]] = {**{section: sections[section] for section in SECTIONS}, UNLABELLED: joined}
    check_no_overlap(whole)
    groups = {section: len({record["group"] for record in sections[section]}) for section in SECTIONS}
    target = {**dataclasses.asdict(material.target), "class_names": list(material.target.class_names)}
    return {
        "name": facts["name"],
        "target": target,
        "grid": material.grid,
        "denoising": facts["denoising"],
        "allowed": facts["allowed"],
        "split": {**split.facts, "groups": groups, "hash": split_hash(whole)},
        "excluded": excluded,
        "faults": material.faults,
        **whole,
        "others": [*material.others, *unused],
    }
