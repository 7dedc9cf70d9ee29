"""From the words of a table to the target of a network: classes or numbers, in a fixed order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from monai_tff.contract import Target
from monai_tff.errors import ContractError, DatalistError

MISSING = ("", "n/a", "na", "nan")
"""Words of a table that stand for no value, in any case."""

REFERENCE_CLASSES = (
    *("control", "controls", "healthy", "healthy control", "hc", "typically developing", "td"),
    *("cognitively normal", "cn", "normal", "negative", "no", "none", "false"),
)
"""Words for the class that others are compared with, in any case: it comes first, so that the other one is positive."""

MAX_NUMERIC_CLASSES = 10
"""Numbers with more distinct values than this are a regression target, with fewer they are names of classes."""


def is_missing(value: Any) -> bool:
    """Whether a table's cell holds no value: None, NaN, empty or `n/a`."""
    return value is None or str(value).strip().lower() in MISSING


def define_target(
    name: str, values: Iterable[Any], *, kind: str | None = None, classes: Sequence[str] | None = None
) -> Target:
    """Decides what kind of target a column is.

    Numbers with more than 10 distinct values are a regression; everything else are classes, sorted by name (by value
    where all are numbers), but a class that others are compared with, such as `control`, comes first.

    Args:
        name: of the column.
        values: its cells as text or numbers, missing ones left out.
        kind: `binary`, `multiclass` or `regression` to decide by hand.
        classes: class names in the order of the class index; values that are not among them are not used.

    Returns:
        The target.

    Raises:
        DatalistError: for one class only, a class that does not occur, a number of classes that contradicts `kind`,
            or a regression over words.

    Example:
        >>> define_target("sex", ["M", "F", "M"])
        Target(name='sex', kind='binary', class_names=('F', 'M'))
    """
    found = Counter(canonical(value) for value in values)
    if not found:
        raise DatalistError(
            f"target '{name}': no scan has a value, expected classes or numbers; choose another column."
        )
    if classes is None and (kind == "regression" or (kind is None and _is_regression(name, found))):
        _refuse_words(name, found)
        return Target(name, "regression")
    if kind == "regression":
        raise DatalistError(f"target '{name}': classes were given for a regression, expected one or the other.")
    names = _class_names(name, found, classes)
    try:
        return Target(name, kind or ("binary" if len(names) == 2 else "multiclass"), names)
    except ContractError as error:
        raise DatalistError(
            f"target '{name}': found the classes {', '.join(names)}, which are not {kind}; "
            "choose classes by name, or another kind."
        ) from error


def canonical(value: Any) -> str:
    """A class name as written in a datalist: stripped, and `1.0` as `1`, since tables turn integers into floats."""
    text = str(value).strip()
    number = as_number(text)
    return f"{int(number)}" if number is not None and number.is_integer() and abs(number) < 1e15 else text


def as_number(value: Any) -> float | None:
    """The finite number that a cell holds, or None; `1_2` is a name, which Python alone takes for 12."""
    text = str(value).strip()
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def raw_label(value: Any, target: Target) -> str | float | None:
    """A cell as the datalist stores it: class name or number; None for a value that is no class of the target."""
    if target.kind == "regression":
        return as_number(value)
    name = canonical(value)
    return name if name in target.class_names else None


def encode_label(label: str | float, target: Target) -> float | int:
    """A datalist's label as the network is given it.

    Args:
        label: class name, or number of a regression.
        target: of the datalist.

    Returns:
        0.0 or 1.0 for two classes, the class index for more, the number itself for a regression.
    """
    if target.kind == "regression":
        return float(label)
    index = target.class_names.index(str(label))
    return float(index) if target.kind == "binary" else index


def _is_regression(name: str, found: Counter[str]) -> bool:
    numeric = [value for value in found if as_number(value) is not None]
    if len(found) <= MAX_NUMERIC_CLASSES or not numeric:
        return False
    _refuse_words(name, found)
    return True


def _refuse_words(name: str, found: Counter[str]) -> None:
    words = sorted(value for value in found if as_number(value) is None)
    if words:
        raise DatalistError(
            f"target '{name}': '{words[0]}' is not a finite number ({len(words)} of {len(found)} distinct values are "
            "not), expected numbers for a regression; correct the table, or choose classes by name."
        )


def _class_names(name: str, found: Counter[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is None:
        names = sorted(found, key=_sort_key)
    else:
        names = [canonical(value) for value in classes]
        absent = [value for value in names if value not in found]
        if absent or len(set(names)) != len(names):
            wrong = f"'{absent[0]}' does not occur" if absent else f"{', '.join(names)} names a class twice"
            raise DatalistError(
                f"target '{name}': among the chosen classes {wrong}, expected some of {_counts(found)}."
            )
    if len(names) < 2:
        raise DatalistError(
            f"target '{name}': all scans that can be used are of one class ({_counts(found)}), expected at least two "
            "classes; choose another target or add scans."
        )
    return tuple(names)


def _sort_key(value: str) -> tuple[bool, float, str]:
    number = as_number(value)
    return (value.lower() not in REFERENCE_CLASSES, math.inf if number is None else number, value)


def _counts(found: Counter[str]) -> str:
    listed = [f"{value}: {found[value]}" for value in sorted(found, key=_sort_key)]
    return ", ".join(listed[:12] + (["..."] if len(listed) > 12 else []))
