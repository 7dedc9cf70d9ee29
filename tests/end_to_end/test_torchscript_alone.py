"""The programs of an exported bundle need torch alone, and give the numbers of a prediction with the bundle.

Here a process finds no package but torch and what torch requires; test_round_trip.py does the same in an environment
that has nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.testing import assert_close

pytestmark = pytest.mark.end_to_end
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("kind", ["sex", "age", "reconstruction"])
def test_programs(
    kind: str, exports: Callable[[str], Any], test_scans: list[Path], torch_alone: Callable[..., Any]
) -> None:
    result = torch_alone(exports(kind), test_scans[0])
    assert {"monai", "transformers", "monai_tff"} <= set(result.hidden)
    assert set(result.loaded) <= {"coverage"}  # which measures the tests
    assert set(result.programs) == {"ts", "pt2"}
    for outputs in result.programs.values():
        assert_close(outputs, result.network, **TOLERANCE)
        assert outputs.std() > 0


def test_outputs_are_the_logits_of_the_prediction(
    exports: Callable[[str], Any], test_scans: list[Path], torch_alone: Callable[..., Any]
) -> None:
    """A stranger with torch alone gets the probability of each window by one sigmoid."""
    result = torch_alone(exports("sex"), test_scans[1])
    expected = [window["scores"]["M"] for window in result.predicted]
    assert len(expected) == 3
    for outputs in result.programs.values():
        assert outputs.shape == (3, 1)
        assert [1 / (1 + math.exp(-value)) for value in outputs[:, 0].tolist()] == pytest.approx(expected, abs=1e-6)
