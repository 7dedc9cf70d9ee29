from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.report.html import write
from monai_tff.report.numbers import count, interval, number, p_value, rounded


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.97712, "0.977"), (1.0, "1.000"), (0.0, "0.000"), (-0.07149, "-0.071"), (1234.56, "1234.6"), (0.00002, "2e-05")],
)
def test_numbers_are_rounded_for_the_eye(value: float, shown: str) -> None:
    assert rounded(value) == shown


@given(st.floats(-1e6, 1e6))
def test_a_rounded_number_is_near(value: float) -> None:
    assert math.isclose(float(rounded(value)), value, rel_tol=0.5, abs_tol=5.1e-4)
    assert abs(float(rounded(value)) - value) <= max(5.01e-4, 6e-5 * abs(value))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_defined_is_a_dash(value: float | None) -> None:
    assert rounded(value) == "-"
    assert write(number(value, "file#key")) == '<data value="" data-source="file#key">-</data>'
    assert write(interval((0.1, value))) == "<span>-</span>"
    assert write(interval(None)) == "<span>-</span>"


def test_a_number_carries_its_full_value_and_source() -> None:
    assert write(number(1 / 3, "a.json#b")) == f'<data value="{1 / 3!r}" data-source="a.json#b">0.333</data>'
    text = write(interval((0.25, 0.75), "a.json#b"))
    assert 'data-source="a.json#b.0">0.250' in text
    assert 'data-source="a.json#b.1">0.750' in text
    assert 'data-source="a.json#c">0.0005<' in write(p_value(0.0004997, "a.json#c"))
    assert ">0.82<" in write(p_value(0.8209))


def test_counts_have_their_noun() -> None:
    assert [count(1, "subject"), count(2, "subject"), count(0, "entry", "entries")] == [
        "1 subject",
        "2 subjects",
        "0 entries",
    ]
