from __future__ import annotations

import numpy as np
import pytest

from monai_tff.contract import Target
from monai_tff.metrics import predicted_classes

BINARY = Target("sex", "binary", ("F", "M"))
SITES = Target("site", "multiclass", ("A", "B", "C"))


@pytest.mark.parametrize(
    ("target", "scores", "threshold", "expected"),
    [
        (BINARY, [[0.5], [0.51], [0.0]], 0.5, ["F", "M", "F"]),
        (BINARY, [[0.25], [0.31]], 0.3, ["F", "M"]),
        (SITES, [[0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7]], 0.5, ["B", "A", "C"]),
    ],
)
def test_names_of_classes(target: Target, scores: list[list[float]], threshold: float, expected: list[str]) -> None:
    assert predicted_classes(np.array(scores), target, threshold).tolist() == expected
