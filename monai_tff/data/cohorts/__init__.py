"""Readers of cohorts: each is a function from a folder and its tables to records."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from monai_tff.data.cohorts.bids import read_bids
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.errors import DatalistError

READERS = {
    "bids": "bids:read_bids",
    "hcp": "hcp:read_hcp",
    "ucla": "ucla:read_ucla",
    "oasis3": "oasis3:read_oasis3",
    "development_fmri": "public:read_development_fmri",
    "adhd": "public:read_adhd",
    "abide": "public:read_abide",
    "published": "published:read_published",
}
"""Where the reader of each kind of cohort is: module and function."""

__all__ = ["READERS", "Cohort", "read_bids", "read_cohort", "reader_of"]


def reader_of(kind: str) -> Callable[..., Cohort]:
    """The reader of a kind of cohort.

    Raises:
        DatalistError: naming the kinds that there are.
    """
    if kind not in READERS:
        raise DatalistError(f"cohort '{kind}': there is no such reader, expected one of {', '.join(READERS)}.")
    module, _, function = READERS[kind].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)


def read_cohort(
    kind: str, folder: str | os.PathLike[str], target: str, options: Mapping[str, Any] | None = None
) -> Cohort:
    """Reads a cohort with the reader of its kind.

    Args:
        kind: name of the reader, see `READERS`.
        folder: of the cohort.
        target: what is predicted.
        options: keyword arguments of the reader; None and empty values count as not given.

    Returns:
        The cohort.

    Raises:
        DatalistError: for an option that this reader does not take, or what the reader refuses.
    """
    reader = reader_of(kind)
    given = {name: value for name, value in (options or {}).items() if value not in (None, False, (), [])}
    taken = list(inspect.signature(reader).parameters)[2:]
    for name in given:
        if name not in taken:
            known = ", ".join(_option(parameter) for parameter in taken) or "no options"
            raise DatalistError(f"{_option(name)}: the reader of {kind} takes no such option, expected {known}.")
    return reader(folder, target, **given)


def _option(parameter: str) -> str:
    """The name of a parameter on the command line."""
    return "--table" if parameter == "tables" else f"--{parameter.replace('_', '-')}"
