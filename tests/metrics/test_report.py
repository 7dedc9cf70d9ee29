from __future__ import annotations

import dataclasses

import pytest

from monai_tff.metrics import SubjectResult, evaluate_units, format_result

RESULT = SubjectResult(
    values={"balanced_accuracy": 0.9167, "cross_entropy": 0.2144, "auroc": 0.9722},
    intervals={"auroc": (0.9053, 1.0)},
    warnings=[],
    num_units=24,
    num_subjects=24,
    num_groups=24,
)
AGE = SubjectResult(
    values={"mae": 3.14159, "pearson_r": 0.714, "baseline_mae": 5.6},
    intervals={"pearson_r": (0.523, 0.831)},
    warnings=[],
    num_units=40,
    num_subjects=40,
    num_groups=33,
)


def test_two_classes(targets):
    assert format_result(RESULT, targets["binary"]) == [
        "test balanced accuracy 0.92, cross-entropy 0.21",
        "test AUROC 0.97 [0.91, 1.00] (24 subjects)",
    ]


def test_several_classes_and_another_split(targets):
    assert format_result(RESULT, targets["multiclass"], split="validation") == [
        "validation balanced accuracy 0.92, cross-entropy 0.21",
        "validation macro AUROC 0.97 [0.91, 1.00] (24 subjects)",
    ]


def test_a_number(targets):
    assert format_result(AGE, targets["regression"]) == [
        "test MAE 3.142, predicting the training mean 5.6",
        "test Pearson r 0.71 [0.52, 0.83] (40 subjects)",
    ]


def test_a_number_without_baseline(targets):
    result = dataclasses.replace(AGE, values={"mae": 3.0, "pearson_r": 0.5})
    assert format_result(result, targets["regression"])[0] == "test MAE 3"


def test_warnings_come_first(targets):
    result = dataclasses.replace(RESULT, warnings=["one.", "two."])
    lines = format_result(result, targets["binary"])
    assert lines[:2] == ["warning (test): one.", "warning (test): two."]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"num_subjects": 1, "num_units": 1}, "0.97 [0.91, 1.00] (1 subject)"),
        ({"num_subjects": 10}, "0.97 [0.91, 1.00] (24 sessions of 10 subjects)"),
        ({"intervals": {}}, "0.97 (24 subjects)"),
    ],
)
def test_ends_of_the_last_line(changes, end, targets):
    assert format_result(dataclasses.replace(RESULT, **changes), targets["binary"])[-1] == f"test AUROC {end}"


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lines_of_a_real_result(kind, targets, make_units):
    result = evaluate_units(make_units(kind, 12), targets[kind], baseline_value=40.0, bootstrap_samples=50)
    lines = format_result(result, targets[kind])
    assert len(lines) == len(result.warnings) + 2
    assert lines[-1].endswith("(12 subjects)")
