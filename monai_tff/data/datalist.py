"""The datalist: a JSON file with the records of a cohort, its target and its split."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.contract import Target
from monai_tff.data.overlap import UNLABELLED, check_no_overlap, split_hash
from monai_tff.data.records import RECORD_KEYS, Record
from monai_tff.data.splits import SECTIONS
from monai_tff.data.targets import as_number, encode_label
from monai_tff.data.text_file import write_text
from monai_tff.errors import ContractError, DatalistError

FACTS = ("target", "grid", "split", "excluded")
KEYS = (
    *("name", "target", "grid", "denoising", "allowed", "split", "excluded", "faults"),
    *(*SECTIONS, UNLABELLED, "others"),
)
"""Keys of a datalist; `unlabelled` holds scans for phases 1 and 2 alone, `others` those that are not used at all."""


def write_datalist(datalist: Mapping[str, Any], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes a datalist whole or not at all.

    Args:
        datalist: from `build_datalist`.
        path: of the JSON file.
        overwrite: whether a file that exists may be replaced.

    Raises:
        DatalistError: when the file exists, or the folder cannot be written to.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    write_text(path, json.dumps(datalist, indent=4, allow_nan=False) + "\n")


def refuse_existing(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuses a file that exists, before the work that would replace it.

    Raises:
        DatalistError: when the file exists and `overwrite` is False, or is a folder.
    """
    if os.path.isdir(path):
        raise DatalistError(f"{path}: is a folder, expected the name of a JSON file; add one.")
    if os.path.exists(path) and not overwrite:
        raise DatalistError(f"{path}: exists already, expected a new file; choose another name, or --overwrite.")


def load_datalist(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a datalist and checks that it is whole, unedited and without overlap.

    Args:
        path: of the JSON file.

    Returns:
        The datalist.

    Raises:
        DatalistError: for a file that is missing or not a datalist, a split that does not match its hash, a group or
            subject in two sections, a label that is missing or unknown, or training records of one class only.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DatalistError(
            f"{path}: cannot be read ({error.strerror}), expected a datalist; "
            "make one with `python -m monai_tff datalist`."
        ) from error
    except ValueError as error:
        raise DatalistError(f"{path}: is not JSON ({error}), expected a datalist; build it again.") from error
    _check_keys(path, content)
    target = _target(path, content)
    sections = {section: content[section] for section in (*SECTIONS, UNLABELLED)}
    check_no_overlap(sections, str(path))
    # before the hash, which covers the labels: a missing label has a sentence of its own
    _check_labels(path, {section: content[section] for section in SECTIONS}, target)
    if split_hash(sections) != content["split"].get("hash"):
        raise DatalistError(
            f"{path}: was edited: the records do not match the hash of the split, expected the split as it was built; "
            "build the datalist again."
        )
    return content


def load_records(
    datalist: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    section: str = "training",
    *,
    with_unlabelled: bool = False,
    packed_dir: str | os.PathLike[str] | None = None,
) -> list[Record]:
    """Records of one section, ready for a dataset.

    Args:
        datalist: path of the JSON file.
        dataset_dir: folder that the paths of the datalist start from.
        section: `training`, `validation` or `test`.
        with_unlabelled: add the scans without a label, as phases 1 and 2 do.
        packed_dir: folder of packed scans; the scans themselves need not be there then.

    Returns:
        Records with absolute paths in `image`, `mask` and `confounds` (None without), the relative image path in
        `scan`, and `label` as the network is given it: 0.0 or 1.0, class index, or number (None without a label).

    Raises:
        DatalistError: when the datalist is not right, the section is missing or empty, or files do not exist.

    Example:
        >>> records = load_records("datalist.json", "ds000030", "training")  # doctest: +SKIP
    """
    content = load_datalist(datalist)
    if section not in SECTIONS:
        raise DatalistError(f"{datalist}: has no section '{section}', expected one of {', '.join(SECTIONS)}.")
    if not content[section]:
        raise DatalistError(
            f"{datalist}: the section '{section}' is empty, expected records; use another section or other ratios."
        )
    base = os.path.abspath(os.path.expanduser(dataset_dir))
    target = _target(datalist, content)
    names = [section, UNLABELLED] if with_unlabelled and content[UNLABELLED] else [section]
    records = [record for name in names for record in _resolved(datalist, content, name, base, target)]
    if packed_dir is None:
        _check_files(datalist, records, base)
    return records


def _resolved(
    datalist: str | os.PathLike[str], content: Mapping[str, Any], section: str, base: str, target: Target
) -> list[Record]:
    """Records of a section with absolute paths and encoded labels."""
    from monai.data import load_decathlon_datalist

    found = load_decathlon_datalist(datalist, is_segmentation=False, data_list_key=section, base_dir=base)
    # MONAI turns every text into a path when the folder has a file of that name (group `sub-01`): keep the own text
    return [
        {
            **stored,
            "image": resolved["image"],
            "scan": stored["image"],
            "mask": _below(base, stored["mask"]),
            "confounds": _below(base, stored["confounds"]),
            "label": None if stored["label"] is None else encode_label(stored["label"], target),
        }
        for stored, resolved in zip(content[section], found, strict=True)
    ]


def _below(base: str, path: str | None) -> str | None:
    return None if path is None else os.path.normpath(os.path.join(base, path))


def target_of(datalist: str | os.PathLike[str]) -> Target:
    """The target that a datalist defines.

    Raises:
        DatalistError: see `load_datalist`.
    """
    return _target(datalist, load_datalist(datalist))


def _check_keys(path: str | os.PathLike[str], content: Any) -> None:
    if not isinstance(content, dict):
        raise DatalistError(f"{path}: holds a JSON {type(content).__name__}, expected the object of a datalist.")
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise DatalistError(
            f"{path}: has no key '{missing[0]}', expected {', '.join(KEYS)}; "
            "make it with `python -m monai_tff datalist`."
        )
    for key in FACTS:
        if not isinstance(content[key], dict):
            raise DatalistError(
                f"{path}: '{key}' is {type(content[key]).__name__}, expected an object; build it again."
            )
    for section in (*SECTIONS, UNLABELLED):
        for number, record in enumerate(content[section] if isinstance(content[section], list) else [None]):
            absent = [key for key in RECORD_KEYS if not isinstance(record, dict) or key not in record]
            # a label is reported with its scan, by the check of labels
            if [key for key in absent if key != "label"]:
                raise DatalistError(
                    f"{path}: record {number} of '{section}' has no '{absent[0]}', expected the keys "
                    f"{', '.join(RECORD_KEYS)}; build the datalist again."
                )
            if not all(isinstance(record[key], str) for key in ("image", "subject", "group")):
                raise DatalistError(
                    f"{path}: record {number} of '{section}' has an image, subject or group that is not text, expected "
                    "text; build the datalist again."
                )


def _target(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Target:
    try:
        return Target(**content["target"])
    except (ContractError, TypeError) as error:
        raise DatalistError(
            f"{path}: 'target' is {content['target']} ({error}), expected name, kind and class_names; build it again."
        ) from error


def _check_labels(path: str | os.PathLike[str], sections: Mapping[str, Sequence[Record]], target: Target) -> None:
    wanted = "a number" if target.kind == "regression" else f"one of {', '.join(target.class_names)}"
    for section, records in sections.items():
        for record in records:
            label = record.get("label")
            known = isinstance(label, int | float) and as_number(label) is not None
            if not (known if target.kind == "regression" else label in target.class_names):
                found = "no label" if label is None else f"the label {label!r}"
                raise DatalistError(
                    f"{path}: '{record['image']}' in '{section}' has {found}, expected {wanted}; correct the cohort's "
                    "table and build the datalist again."
                )
    classes = {record["label"] for record in sections["training"]}
    if target.kind != "regression" and len(classes) == 1:
        raise DatalistError(
            f"{path}: all training records are of class '{classes.pop()}', expected each of "
            f"{', '.join(target.class_names)}; build the datalist again with more subjects or other ratios."
        )


def _check_files(datalist: str | os.PathLike[str], records: Sequence[Record], base: str) -> None:
    paths = [path for record in records for path in (record["image"], record["mask"]) if path is not None]
    absent = [path for path in paths if not os.path.isfile(path)]
    if absent:
        raise DatalistError(
            f"{datalist}: {len(absent)} of {len(paths)} files do not exist, the first is {absent[0]}, expected all "
            f"below {base}; set dataset_dir to the cohort's folder."
        )
