"""What was done: the cohort and its split, what was left out, the input contract, settings, seeds and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_tff.contract import InputContract, Target
from monai_tff.data.splits import SECTIONS
from monai_tff.report.html import Child, Element, element, folded, paragraph, table
from monai_tff.report.material import PHASES, Material, phase_folder, read_object
from monai_tff.report.numbers import NOTHING, count
from monai_tff.report.page import Section, absent
from monai_tff.report.sections.subjects_by_class import subjects_by_class
from monai_tff.resources import shipped_path

SHIPPED = {
    "autoencoder": "monai_tff:bundles/tff_fmri_reconstruction/configs/train.yaml",
    "transformer": "monai_tff:bundles/tff_fmri_reconstruction/configs/train.yaml",
    "finetune": "monai_tff:bundles/tff_fmri_prediction/configs/train.yaml",
}
PLACES = {
    "dataset_dir",
    "datalist",
    "run_dir",
    "bundle_root",
    "initial_weights",
    "packed_dir",
    "device",
    "phase",
    "resume",
}
"""Keys that say where things lie, not what is done."""

EXCLUDED_SHOWN = 8


def what_was_done(material: Material) -> Section:
    """Contract, split, counts, exclusions, settings, seeds and versions."""
    return Section(
        "done",
        "What was done",
        [
            *_splits(material),
            folded(
                _contract_summary(material.study.contract),
                paragraph("What the weights expect of a scan; a scan that differs is refused."),
                definitions(contract_lines(material.study.contract)),
            ),
            *_settings(material),
            *_versions(material),
        ],
    )


def definitions(lines: Sequence[tuple[str, Child]]) -> Element:
    """A list of names and what they stand for."""
    return element("dl", *(child for name, text in lines for child in (element("dt", name), element("dd", text))))


def _splits(material: Material) -> list[Child]:
    known = {split: found for split, found in material.runs.items() if found is not None}
    if not known:
        return [absent("The datalist cannot be read any more, so the split and its counts are not known here.")]
    datalist, target = next(iter(known.values()))[1], material.study.target
    split = datalist["split"]
    lines: list[tuple[str, Child]] = [
        ("Cohort", str(datalist["name"])),
        (
            "Target",
            f"{target.name} ({target.kind}{': ' + ', '.join(target.class_names) if target.class_names else ''})",
        ),
        ("Denoising", str(datalist["denoising"])),
        ("Split", _scheme(split)),
        *(
            (
                f"Hash of the split{'' if len(known) == 1 else ' ' + name}",
                element("code", str(found[1]["split"]["hash"])),
            )
            for name, found in known.items()
        ),
    ]
    content: list[Child] = [definitions(lines)]
    for name, (_, datalist) in known.items():
        title = "Scans and subjects of each section" + ("" if len(known) == 1 else f", {name}")
        counts = _counts(datalist, target, title)
        content.append(counts if len(known) == 1 else folded(title, counts))
    # the splits share their subjects
    who = subjects_by_class(datalist, target, "Who the subjects are")
    return [*content, *([] if who is None else [who]), *_excluded(next(iter(known.values()))[1])]


def _scheme(split: Mapping[str, Any]) -> str:
    parts = [str(split.get("scheme", NOTHING))]
    if split.get("ratios"):
        parts.append("ratios " + " : ".join(f"{ratio:g}" for ratio in split["ratios"]))
    for key in ("folds", "fold", "repeat", "held_out_site", "stratified_by", "seed"):
        if split.get(key) is not None:
            parts.append(f"{key.replace('_', ' ')} {split[key]}")
    return ", ".join(parts)


def _counts(datalist: Mapping[str, Any], target: Target, caption: str) -> Element:
    names = [*SECTIONS, *(["unlabelled"] if datalist["unlabelled"] else [])]
    head = ["Section", "Scans", "Subjects", "Groups", *(target.class_names or [f"{target.name}, mean (range)"])]
    rows = [[name, *_section_counts(datalist[name], target)] for name in names]
    return table(head, rows, caption=caption)


def _section_counts(records: Sequence[Mapping[str, Any]], target: Target) -> list[str]:
    counts = [len(records), *(len({record[key] for record in records}) for key in ("subject", "group"))]
    labels = [record["label"] for record in records if record["label"] is not None]
    if target.kind != "regression":
        # subjects, not scans: a class is as large as the people in it
        subjects = Counter(label for _, label in {(record["subject"], record["label"]) for record in records})
        return [*map(str, counts), *(str(subjects[name]) for name in target.class_names)]
    numbers = [float(label) for label in labels]
    described = f"{sum(numbers) / len(numbers):.4g} ({min(numbers):g} to {max(numbers):g})" if numbers else NOTHING
    return [*map(str, counts), described]


def _excluded(datalist: Mapping[str, Any]) -> list[Child]:
    lines: list[Child] = []
    for reason, found in datalist["excluded"].items():
        scans = found if isinstance(found, list) else [str(found)]
        more = f" and {len(scans) - EXCLUDED_SHOWN} more" if len(scans) > EXCLUDED_SHOWN else ""
        named = ", ".join(map(str, scans[:EXCLUDED_SHOWN]))
        lines.append(
            element("li", f"{reason}: " + (f"{len(scans)} ({named}{more})" if isinstance(found, list) else named))
        )
    for fault in datalist["faults"]:
        lines.append(element("li", str(fault)))
    if datalist["others"]:
        lines.append(element("li", f"{count(len(datalist['others']), 'scan')} of the cohort not used"))
    heading = element("h3", "Left out, and faults that were found")
    return [heading, element("ul", *lines) if lines else paragraph("No scan was left out, and no fault was found.")]


def contract_lines(contract: InputContract) -> list[tuple[str, Child]]:
    """The input contract as names and texts."""
    lines: list[tuple[str, Child]] = []
    for name, value in contract.to_dict().items():
        if name == "target" or value is None:
            continue
        text = " x ".join(map(str, value)) if name in ("spatial_size", "voxel_size") else str(value)
        lines.append((name.replace("_", " ").capitalize(), text))
    return lines


def _contract_summary(contract: InputContract) -> str:
    size = " x ".join(map(str, contract.spatial_size))
    seconds = "" if contract.repetition_time is None else f", repetition time {contract.repetition_time:g} s"
    return f"Input contract: {size} voxels, windows of {contract.window_length} frames{seconds}"


def _settings(material: Material) -> list[Child]:
    rows: list[list[Child]] = []
    for phase in PHASES:
        path = phase_folder(material.study.members[0], phase) / "configs" / "train.yaml"
        if path.is_file():
            rows += [[f"{phase}: {key}", default, used] for key, default, used in changed_settings(path, phase)]
    if not rows:
        return [paragraph("No setting differs from the defaults, or the configurations are gone.")]
    head = ("Key", "Default of train.yaml", "Used")
    several = len(material.study.members) > 1
    note = " (of the first training)" if several else ""
    summary = f"{count(len(rows), 'setting')} that differ from the defaults{note}"
    return [folded(summary, table(head, rows, caption="Changed values of the phases"))]


def changed_settings(path: Path, phase: str) -> list[tuple[str, str, str]]:
    """Plain values of a merged configuration that are not those of the shipped one.

    Args:
        path: `configs/train.yaml` of a run folder.
        phase: which shipped file it began with.

    Returns:
        Key, default and used value, in the order of the file.
    """
    used = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    defaults = yaml.safe_load(shipped_path(SHIPPED[phase], Path.cwd()).read_text(encoding="utf-8"))
    changed = []
    for key, value in used.items():
        default = defaults.get(key)
        if key in PLACES or isinstance(value, dict) or isinstance(default, dict) or str(value) == str(default):
            continue
        if isinstance(value, str) and value.startswith("$"):
            continue
        changed.append((str(key), NOTHING if key not in defaults else str(default), str(value)))
    return changed


def _versions(material: Material) -> list[Child]:
    members = material.study.members
    seeds = ", ".join(str(seed) for seed in sorted({member.seed for member in members}))
    versions = read_object(members[0].folder / "versions.json") or {}
    lines = [(name, str(version)) for name, version in versions.items() if name not in ("datalist", "split")]
    named = f"Seed {seeds}" if len(members) == 1 else f"{len(members)} trainings, seeds {seeds}"
    if not lines:
        return [paragraph(f"{named}; the versions of the packages are not known.")]
    program = f"monai_tff {versions['monai_tff']}, " if "monai_tff" in versions else ""
    return [folded(f"{named}; {program}versions of {count(len(lines), 'package')}", definitions(lines))]
