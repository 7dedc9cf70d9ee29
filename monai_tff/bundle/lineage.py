"""Lineage: which scans a set of weights has seen, in any phase. Private to the run folder, never exported.

Exported weights carry `content_hashes.json` instead: the contents of those scans, which say nothing to somebody who
does not have the voxels; IDs, and hashes of IDs, could be guessed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.datalist import load_datalist
from monai_tff.data.overlap import UNLABELLED
from monai_tff.errors import DatalistError

UNKNOWN = "unknown"
"""What is said of the overlap where something could not be compared."""

BY_CONTENT = "none (by content)"
"""What is said where contents were compared, but not who the scans are of."""

FILE_NAME = "lineage.json"
HASHES_FILE_NAME = "content_hashes.json"

EXPORTED = "before the export"
"""Phase of an entry that stands for weights which came with content hashes alone."""

UNLABELLED_PHASES = ("autoencoder", "transformer")
"""Phases that learn without labels."""

_SEEN_KEYS = ("group", "subject", "image", "content")
_OTHER_KEYS = ("subject", "image", "content")

Phase = Mapping[str, Any]
Record = Mapping[str, Any]


def read_lineage(weights: str | os.PathLike[str]) -> list[dict[str, Any]] | None:
    """Reads what is known of the scans that weights have seen.

    Args:
        weights: a file in the `models` folder of a run, or of an exported bundle.

    Returns:
        One entry per phase of a run's `lineage.json`; for a bundle with `content_hashes.json` one entry with the
        `contents` alone; None where the weights come with neither.

    Raises:
        DatalistError: for a file that is damaged.
    """
    folder = Path(weights).resolve().parent.parent
    if (folder / FILE_NAME).is_file():
        return list(_read(folder / FILE_NAME, "phases"))
    if (folder / HASHES_FILE_NAME).is_file():
        content = {key: _read(folder / HASHES_FILE_NAME, key) for key in ("hashes", "complete")}
        return [{"phase": EXPORTED, "contents": content["hashes"], "complete": content["complete"]}]
    return None


def lineage_entry(phase: str, datalist: Mapping[str, Any]) -> dict[str, Any]:
    """What a phase sees: every record of training and validation, and of `unlabelled` where it learns without labels.

    Args:
        phase: `autoencoder`, `transformer` or `finetune`.
        datalist: as `load_datalist` gives it.

    Returns:
        Phase, cohort, split, the `scans` seen, and the `others`: scans of the same subjects that the phase did not use.
    """
    unlabelled = datalist.get(UNLABELLED, ())
    seen = [*datalist["training"], *datalist["validation"], *(unlabelled if phase in UNLABELLED_PHASES else ())]
    images = {record["image"] for record in seen}
    subjects = {record["subject"] for record in seen}
    others = [r for r in (*unlabelled, *datalist.get("others", ())) if r["subject"] in subjects]
    return {
        **{"phase": phase, "cohort": datalist["name"], "split": datalist["split"]["hash"]},
        "scans": [{key: record.get(key) for key in _SEEN_KEYS} for record in seen],
        "others": [{key: scan.get(key) for key in _OTHER_KEYS} for scan in others if scan["image"] not in images],
    }


def refuse_overlap(lineage: Sequence[Phase], datalist: Mapping[str, Any], source: str) -> None:
    """Refuses weights that have seen a subject or group of the test section, or a scan of its subjects.

    Subjects and groups are compared within cohorts of one name. Contents are compared whatever the cohort is called: of
    all scans of the subjects on both sides, used or not, as far as they are known.

    Args:
        lineage: of the weights.
        datalist: as `load_datalist` gives it.
        source: the weights, for the message.

    Raises:
        DatalistError: naming the first subject, group or scan, and the phase that saw it.
    """
    for phase in lineage:
        if "cohort" in phase and phase["cohort"] == datalist["name"]:
            _refuse_names(phase, datalist, source)
        _refuse_contents(phase, datalist, source)


def known_overlap(lineage: Sequence[Phase] | None, datalist: Mapping[str, Any]) -> str:
    """What is known of the overlap with a test section that `refuse_overlap` found nothing in.

    Returns:
        `none` where subjects and groups could be compared; `none (by content)` where only the contents of all scans
        seen and tested could be, for a cohort of another name or weights that came with content hashes alone: other
        scans of the same person have other contents; `unknown` where not even these could be compared.
    """
    if lineage is None:
        return UNKNOWN
    elsewhere = [phase for phase in lineage if phase.get("cohort") != datalist["name"]]
    tested = [record.get("content") for record in datalist["test"]]
    if elsewhere and not (all(tested) and all(_is_complete(phase) for phase in elsewhere)):
        return UNKNOWN
    return BY_CONTENT if elsewhere else "none"


def content_hashes_of(lineage: Sequence[Phase]) -> list[str]:
    """Contents of every scan of the subjects that weights have seen, used or not, sorted: what an export may carry."""
    return sorted({content for phase in lineage for content, _ in _contents(phase)})


def write_content_hashes(folder: str | os.PathLike[str], lineage: Sequence[Phase] | None) -> Path | None:
    """Writes `content_hashes.json`, what a bundle that is passed on may say of its lineage.

    Args:
        folder: of the bundle.
        lineage: of its weights; where it is None nothing is known and nothing is written.

    Returns:
        The file. Its `complete` says whether the content of every scan seen is known.
    """
    if lineage is None:
        return None
    complete = all(_is_complete(phase) for phase in lineage)
    path = Path(folder) / HASHES_FILE_NAME
    content = {"complete": complete, "hashes": content_hashes_of(lineage)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def write_lineage(folder: Path, phases: Sequence[Phase] | None) -> None:
    """Writes `lineage.json` with mode 0600; without phases the earlier ones are unknown and nothing is written."""
    if phases is None:
        return
    # a temporary file is its owner's alone from the first byte on
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{FILE_NAME}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"phases": list(phases)}, file, indent=1)
        os.replace(temporary, folder / FILE_NAME)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def pretraining_overlap(
    weights: str | os.PathLike[str], datalist: str | os.PathLike[str], section: str = "test"
) -> str:
    """What is known of the overlap between what the weights have seen and the subjects that they are evaluated on.

    Args:
        weights: a file in the `models` folder of a run, or of an exported bundle.
        datalist: path of the datalist.
        section: that is evaluated.

    Returns:
        For a test section what `known_overlap` says, `unknown` for weights without a lineage, `yes` for a section that
        the training used.

    Raises:
        DatalistError: if the weights have seen a test subject.
    """
    lineage = read_lineage(weights)
    if lineage is None:
        return UNKNOWN
    if section != "test":
        return "yes"
    content = load_datalist(datalist)
    refuse_overlap(lineage, content, str(weights))
    return known_overlap(lineage, content)


def _refuse_names(phase: Phase, datalist: Mapping[str, Any], source: str) -> None:
    subjects = {scan["subject"] for scan in phase["scans"]}
    groups = {scan["group"] for scan in phase["scans"]}
    for record in datalist["test"]:
        if record["subject"] in subjects:
            found = f"subject {record['subject']} (group {record['group']}) of the test set"
        elif record["group"] in groups:
            found = f"group {record['group']} of subject {record['subject']} of the test set"
        else:
            continue
        another = f"; if the scans are of another cohort named {datalist['name']}, build its datalist with --name"
        raise _overlap(phase, source, f"{found} was seen", another)


def _refuse_contents(phase: Phase, datalist: Mapping[str, Any], source: str) -> None:
    seen = dict(_contents(phase))
    subjects = {record["subject"] for record in datalist["test"]}
    others = [scan for scan in datalist.get("others", ()) if scan["subject"] in subjects]
    for record in (*datalist["test"], *others):
        whose = seen.get(record.get("content") or "")
        if whose is not None:
            raise _overlap(
                phase,
                source,
                f"{record['image']} of subject {record['subject']} of the test set has the same content as {whose}, "
                "which was seen",
            )


def _overlap(phase: Phase, source: str, found: str, way_out: str = "") -> DatalistError:
    return DatalistError(
        f"{source}: {found} in the phase '{phase['phase']}' of these weights, expected no overlap; use the split of "
        f"that phase, or weights that never saw the test subjects{way_out}."
    )


def _contents(phase: Phase) -> Iterator[tuple[str, str]]:
    """Contents of the scans of an entry and whose they are, in words; a scan seen comes after one that is not used."""
    for content in phase.get("contents", ()):
        yield content, "a scan"
    for scan in phase.get("others", ()):
        if scan.get("content") is not None:
            yield scan["content"], f"{scan['image']}, not used itself, of subject {scan['subject']}"
    for scan in phase.get("scans", ()):
        if scan.get("content") is not None:
            yield scan["content"], f"{scan['image']} of subject {scan['subject']}"


def _is_complete(phase: Phase) -> bool:
    """Whether the content of every scan that a phase has seen is known."""
    if "contents" in phase:
        return bool(phase["complete"])
    return all(scan.get("content") is not None for scan in phase["scans"])


def _read(path: Path, key: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatalistError(
            f"{path}: cannot be read ({type(error).__name__}: {error}), expected '{key}' in JSON; restore the file, or "
            "remove it: the pretraining overlap is then unknown."
        ) from error
