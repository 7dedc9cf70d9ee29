from __future__ import annotations

import numpy as np
import pytest

from monai_tff.metrics.units import in_order, value_function


def test_thresholds_follow_their_units(make_units):
    units = make_units("binary", 9)
    units["subject"], units["session"] = list("cbaabbcca"), [None, "2", "1", "2", "1", None, "2", "1", None]
    table, thresholds = in_order(units, np.arange(9) / 10)
    assert "".join(table["subject"]) == "aaabbbccc"
    assert table["session"].fillna("-").tolist() == ["-", "1", "2"] * 3
    assert thresholds.tolist() == [0.8, 0.2, 0.3, 0.5, 0.4, 0.1, 0.0, 0.7, 0.6]
    assert table.index.tolist() == list(range(9))
    assert in_order(units, 0.3)[1].tolist() == [0.3] * 9


@pytest.mark.parametrize("threshold", [[0.5] * 8, [[0.5] * 9]])
def test_another_number_of_thresholds(threshold, make_units):
    with pytest.raises(ValueError, match="expected one or one for each of 9"):
        in_order(make_units("binary", 9), threshold)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_values_for_many_weightings(kind, targets, make_units):
    units = make_units(kind, 20)
    weights = np.array([[1.0] * 20, [1.0] * 14 + [0.0] * 6])
    both = value_function(units, targets[kind])(weights)
    fewer = value_function(units.iloc[:14], targets[kind])(np.ones((1, 14)))
    assert {name: value[1] for name, value in both.items()} == pytest.approx(
        {name: value[0] for name, value in fewer.items()}, nan_ok=True
    )
