"""What the model card says of the data: how many, never who."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from monai_tff.bundle.export.card_text import bullets, paragraph, table
from monai_tff.contract import Target
from monai_tff.data.overlap import SECTIONS, UNLABELLED

Records = Sequence[Mapping[str, Any]]

PHASES = {
    "autoencoder": "phase 1 (reconstruction of frames)",
    "transformer": "phase 2 (reconstruction of windows)",
    "finetune": "phase 3 (prediction)",
}


def data_section(
    datalist: Mapping[str, Any] | None,
    split: str | None,
    lineage: Sequence[Mapping[str, Any]] | None,
    target: Target | None,
    cohort_name: str | None,
) -> str:
    """Writes the section `Data`.

    Args:
        datalist: of the run; None where it is not there any more.
        split: hash of the run's split.
        lineage: what the weights have seen; None where that is not known.
        target: what is predicted, None for a reconstruction.
        cohort_name: what the cohort is called in public.

    Returns:
        Markdown without the heading.
    """
    named = f"The cohort is {cohort_name}." if cohort_name else "The cohort is not named."
    parts = [
        paragraph(f"{named} 4D BOLD scans (NIfTI), listed with one target for each scan. No scan is in the bundle.")
    ]
    if datalist is None:
        parts.append(
            paragraph("The datalist was not at hand when the bundle was exported: its sections are not counted.")
        )
    else:
        parts.append(_sections(datalist, target))
    facts = [*(_split_facts(datalist) if datalist else []), *([f"hash of the split: `{split}`"] if split else [])]
    return "\n\n".join([*parts, bullets([*facts, *_seen(lineage)])])


def _sections(datalist: Mapping[str, Any], target: Target | None) -> str:
    """Counts of each section, and how the target is spread over subjects."""
    # a reconstruction uses no label, but its split was made for one
    spread = [] if target is None else [*target.class_names] or ["mean", "standard deviation"]
    names = [*SECTIONS, *([UNLABELLED] if datalist.get(UNLABELLED) else [])]
    rows = [[name, *_counts(datalist[name]), *_spread(datalist[name], target)] for name in names]
    return table(["section", "scans", "subjects", "groups", "sites", *spread], rows)


def _counts(records: Records) -> list[int]:
    sites = {record.get("site") for record in records} - {None}
    return [len(records), *(len({record[key] for record in records}) for key in ("subject", "group")), len(sites)]


def _spread(records: Records, target: Target | None) -> list[str]:
    """Subjects of each class (one whose sessions differ counts in each), or mean and deviation over scans."""
    if target is None:
        return []
    if target.class_names:
        pairs = {(record["subject"], record["label"]) for record in records}
        return [str(sum(label == name for _, label in pairs)) for name in target.class_names]
    values = [record["label"] for record in records if record["label"] is not None]
    if not values:
        return ["-", "-"]
    return [f"{statistics.fmean(values):.4g}", f"{statistics.pstdev(values):.4g}"]


def _split_facts(datalist: Mapping[str, Any]) -> list[str]:
    split = datalist["split"]
    facts = ["split by group: a family where families are known, else a subject; no group is in two sections"]
    if "fold" in split:
        facts.append(f"fold {split['fold']} of {split['folds']}")
    if "held_out_site" in split:
        facts.append("tested at a site that the training did not see")
    drawn = f"drawn with seed {split['seed']}, stratified by target" if "seed" in split else "as a published split says"
    sites = {record.get("site") for name in SECTIONS for record in datalist[name]} - {None}
    number = f"sites: {len(sites)}" if sites else "sites: not known"
    return [*facts, f"the split was {drawn}", number]


def _seen(lineage: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """What each phase has seen; contents alone where weights came from another bundle."""
    if lineage is None:
        return ["what the weights of earlier phases have seen is not known (pretraining overlap: unknown)"]
    facts = []
    for phase in lineage:
        scans = phase.get("scans")
        if scans is None:
            facts.append(
                f"earlier weights came from a bundle that carries the contents of {len(phase['contents'])} scans"
            )
        else:
            name = PHASES.get(str(phase["phase"]), "an earlier phase")
            subjects = len({scan["subject"] for scan in scans})
            facts.append(f"{name} has seen {len(scans)} scans of {subjects} subjects, training and validation together")
    return [*facts, "`content_hashes.json` holds SHA-256 hashes of the voxels of these scans, and nothing else of them"]
