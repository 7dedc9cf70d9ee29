from __future__ import annotations

import pytest

from monai_tff.data.checking import axis_order
from monai_tff.errors import ConfigError


@pytest.mark.parametrize(("stored", "wanted", "order"), [
    ("RAS", "RAS", (0, 1, 2)), ("LPI", "RAS", (0, 1, 2)), ("PLS", "RAS", (1, 0, 2)), ("SAR", "RAS", (2, 1, 0)),
    ("ASL", "RAS", (2, 0, 1)), ("SAR", None, (0, 1, 2)),
])  # fmt: skip
def test_axis_order(stored, wanted, order):
    assert axis_order(stored, wanted) == order


@pytest.mark.parametrize("wanted", ["RA", "RRS", "XYZ"])
def test_unknown_orientations_are_refused(wanted):
    with pytest.raises(ConfigError, match=f"axis_codes is '{wanted}'"):
        axis_order("LAS", wanted)
