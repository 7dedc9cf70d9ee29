from __future__ import annotations

import re

import numpy as np
import pytest

from monai_tff.metrics.intervals import wilson
from monai_tff.report.figures.scores import MANY, calibration_bins, calibration_chart, strip_chart, truth_chart
from monai_tff.report.html import write


def test_bins_hold_equal_parts_and_count_groups() -> None:
    score = np.linspace(0.02, 0.98, 50)
    positive = np.arange(50) % 4 == 0
    groups = [f"family-{number // 2}" for number in range(50)]
    bins = calibration_bins(positive, score, groups)
    assert bins["units"].tolist() == [10] * 5
    for row, part in zip(bins.itertuples(), np.split(np.arange(50), 5), strict=True):
        assert row.score == pytest.approx(score[part].mean())
        assert row.share == pytest.approx(positive[part].mean())
        assert (row.low, row.high) == pytest.approx(wilson(positive[part].mean(), 5))  # five families of two


def test_equal_scores_share_a_bin() -> None:
    score = np.array([0.1] * 30 + [0.9] * 10)
    bins = calibration_bins(score > 0.5, score, [str(number) for number in range(40)])
    assert bins["units"].tolist() == [30, 10]
    assert bins["score"].tolist() == pytest.approx([0.1, 0.9])
    assert bins["share"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("count", "dots"), [(MANY, MANY), (MANY + 1, 0)])
def test_many_units_are_bars(count: int, dots: int) -> None:
    values = np.random.default_rng(0).random(count)
    text = write(strip_chart("strip", [("all", values)], "score"))
    used = re.findall(r'<use href="#strip-([^"]+)"', text)
    most = max((used.count(name) for name in set(used)), default=0)
    assert most == dots if dots else most < 20


def test_charts_stand_one_unit_and_one_bin() -> None:
    one = np.array([0.4])
    assert "<svg" in write(truth_chart("t", np.array([61.0]), np.array([58.0]), np.array([0.0]), "age"))
    assert "<svg" in write(calibration_chart("c", np.array([True, False]), np.array([0.4, 0.4]), ["a", "b"], "M"))
    assert "<svg" in write(strip_chart("s", [("F", one), ("M", one[:0])], "score", [0.5]))
