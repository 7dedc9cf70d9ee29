from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_curve

from monai_tff.report.figures.ranking import GRID, precision_chart, precision_points, roc_chart, roc_points
from monai_tff.report.html import write


@st.composite
def drawn_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.integers(4, 30))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    positive = np.arange(count) % 3 == 0
    score = np.round(generator.random(count), draw(st.sampled_from([1, 3])))  # with ties, and without
    weights = generator.integers(0, 3, size=(2, count)).astype(float)
    weights[:, :2] += 1  # each class is drawn
    return positive, score, weights


@settings(max_examples=40)
@given(drawn_scores())
def test_points_are_those_of_scikit_learn(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, score, weights = found
    sensitivities, precisions = roc_points(positive, score, weights), precision_points(positive, score, weights)
    for row, draw in enumerate(weights):
        false, true, _ = roc_curve(positive, score, sample_weight=draw, drop_intermediate=False)
        expected = [true[false <= point + 1e-9].max() for point in GRID]
        np.testing.assert_allclose(sensitivities[row], expected, atol=1e-12)
        precision, recall, _ = precision_recall_curve(positive, score, sample_weight=draw)
        # recall falls along the arrays: the last point that reaches it has the highest threshold
        expected = [precision[np.flatnonzero(recall >= point - 1e-9)[-1]] for point in GRID]
        np.testing.assert_allclose(precisions[row], expected, atol=1e-12)


def test_a_draw_without_a_class_has_no_points() -> None:
    positive, score = np.array([True, True, False]), np.array([0.9, 0.2, 0.4])
    for points in (roc_points, precision_points):
        drawn = points(positive, score, np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]]))
        assert np.isnan(drawn[:2]).all()
        assert np.isfinite(drawn[2]).all()


def test_charts_are_drawn_from_their_seed() -> None:
    generator = np.random.default_rng(3)
    curve = ("class M", np.arange(12) % 2 == 0, generator.random(12))
    groups = [f"group-{number // 2}" for number in range(12)]
    first, again, other = (write(roc_chart("roc", [curve], groups, seed)) for seed in (0, 0, 7))
    assert first == again != other
    assert "var(--series-0)" in write(precision_chart("precision", curve, groups, 0))
