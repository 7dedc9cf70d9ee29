"""How often the test set was used, as the evaluation noted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("test_set", "evaluations", "models", "others")


def read_ledger(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `metrics.json` says of earlier uses of the test set.

    Args:
        metrics: content of the model's `metrics.json`.

    Returns:
        `test_set` (its hash), `evaluations` and `models` (how many, this one among them) and `others` (of baselines and
        controls), None where it is not known, and `sentence`.
    """
    found = metrics.get("ledger") or {}
    values = {key: found.get(key) for key in KEYS}
    evaluations, models = values["evaluations"], values["models"]
    if evaluations is None or models is None:
        sentence = "How often this test set was used before is not known: the evaluation did not note it."
    elif evaluations <= 1:
        sentence = "This test set was used once, for this evaluation, as far as this ledger knows."
    else:
        sentence = (
            f"This test set was used {evaluations} times, for {models} model{'s' if models != 1 else ''}, as far as "
            "this ledger knows: the more models were compared on it, the better the best of them looks by chance."
        )
    return {**values, "sentence": sentence}
