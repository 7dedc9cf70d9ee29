from __future__ import annotations

import numpy as np
import pytest

from monai_tff.metrics.values import binary_values, multiclass_values, regression_values
from monai_tff.report.terms import UNIT_TERMS, label_of, meanings

GENERATOR = np.random.default_rng(0)
TRUTH, WEIGHTS = np.arange(240) % 2, np.ones((1, 240))
SCORE = GENERATOR.random(240)
THREE = GENERATOR.dirichlet(np.ones(3), 240)
NUMBERS = {
    "two": list(binary_values(TRUTH, SCORE, WEIGHTS, 0.5)),
    "several": list(multiclass_values(np.arange(240) % 3, THREE, WEIGHTS, ("a", "b", "c"))),
    "number": list(regression_values(TRUTH + SCORE, SCORE, WEIGHTS, 0.5)),
}


@pytest.mark.parametrize("names", NUMBERS.values(), ids=NUMBERS)
def test_every_number_of_an_evaluation_has_a_meaning(names):
    told = [label for label, _ in meanings(names)]
    of_a_class = "Sensitivity for a class"
    expected = [of_a_class if name.startswith("sensitivity_") else label_of(name) for name in names]
    assert told == [*dict.fromkeys(expected), *UNIT_TERMS]


def test_calibration_of_a_number_is_not_told_in_logits():
    assert "logits" in dict(meanings(NUMBERS["two"]))["Calibration slope"]
    assert "true values on the predicted" in dict(meanings(NUMBERS["number"]))["Calibration slope"]
