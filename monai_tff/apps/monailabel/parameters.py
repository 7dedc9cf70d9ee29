"""The parameters that come in the body of a request: a short list of what is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monai_tff.apps.monailabel.refusals import RefusedError
from monai_tff.apps.monailabel.scan_folder import TAG

MAX_PARAMETER_BYTES = 64 * 1024
SAVING = ("save_label", "label_tag")
IGNORED = ("client_id",)
"""What MONAI Label's client adds to every request."""

IGNORED_IN_BATCH = (*IGNORED, "device", "multi_gpu", "gpus", "logging", "max_workers")
"""What MONAI Label's own batch request holds: where and how to predict is settled when the server starts."""


def read_parameters(text: str | bytes, allowed: tuple[str, ...], ignored: tuple[str, ...] = IGNORED) -> dict[str, Any]:
    """Reads parameters, strictly.

    Args:
        text: a JSON object, or nothing.
        allowed: names that may be there.
        ignored: names that may be there and mean nothing here.

    Returns:
        The values of the allowed names that are there.

    Raises:
        RefusedError: with the status 422 for anything else.
    """
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise RefusedError(422, "The parameters are no JSON.") from None
    if not isinstance(values, dict):
        raise RefusedError(422, "The parameters are no JSON object.")
    if not set(values) <= {*allowed, *ignored}:
        raise RefusedError(422, f"There is an unknown parameter; known are {', '.join(allowed)}.")
    kept = {name: value for name, value in values.items() if name in allowed}
    _check(kept)
    return kept


def _check(values: Mapping[str, Any]) -> None:
    if not isinstance(values.get("save_label", False), bool):
        raise RefusedError(422, "The parameter save_label is neither true nor false.")
    tag = values.get("label_tag", "a")
    if not isinstance(tag, str) or not TAG.fullmatch(tag):
        raise RefusedError(422, "The parameter label_tag must be letters, digits, '_', '.' and '-', 64 at most.")
    size = values.get("max_batch_size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RefusedError(422, "The parameter max_batch_size must be a whole number, 0 for all.")
