from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.contract import Target
from monai_tff.errors import ContractError, DatalistError
from monai_tff.metrics import aggregate, score_columns

BINARY = Target("sex", "binary", ("F", "M"))
AGE = Target("age", "regression")
SITE = Target("site", "multiclass", ("a", "b", "c"))


@pytest.fixture(scope="module")
def two_subjects(make_windows):
    """Subject 01: one scan of 1 window, one of 3; subject 02: one scan."""
    return make_windows(
        [
            ("01", None, "01_run-1", 0, 1, 0.8),
            ("01", None, "01_run-2", 0, 1, 0.1),
            ("01", None, "01_run-2", 20, 1, 0.2),
            ("01", None, "01_run-2", 40, 1, 0.3),
            ("02", None, "02_run-1", 0, 0, 0.4),
        ]
    )


def test_windows_then_scans_then_unit(two_subjects):
    units = aggregate(two_subjects, BINARY)
    assert list(units.columns) == ["subject", "session", "group", "scans", "windows", "score", "spread", "truth"]
    assert units["subject"].tolist() == ["01", "02"]
    assert units["score"].tolist() == pytest.approx([(0.8 + 0.2) / 2, 0.4])
    assert units["scans"].tolist() == [2, 1]
    assert units["windows"].tolist() == [4, 1]
    assert units["truth"].tolist() == [1.0, 0.0]
    assert units["group"].tolist() == ["01", "02"]
    assert units["session"].isna().all()


def test_flat_mean_over_windows(two_subjects):
    assert aggregate(two_subjects, BINARY, flat=True)["score"].tolist() == pytest.approx([1.4 / 4, 0.4])


def test_spread_is_unbiased_and_zero_for_one_window(two_subjects):
    spread = aggregate(two_subjects, BINARY)["spread"].tolist()
    assert spread == pytest.approx([np.std([0.8, 0.1, 0.2, 0.3], ddof=1), 0.0])


def test_the_unit_is_the_session_where_the_target_differs(make_windows):
    windows = make_windows(
        [
            ("01", "1", "01_ses-1", 0, 70.0, 71.0),
            ("01", "2", "01_ses-2", 0, 75.0, 74.0),
            ("02", "1", "02_ses-1", 0, 60.0, 61.0),
            ("02", "2", "02_ses-2", 0, 60.0, 63.0),
        ]
    )
    units = aggregate(windows, AGE)
    assert units[["subject", "session"]].to_numpy().tolist() == [["01", "1"], ["01", "2"], ["02", "1"], ["02", "2"]]
    assert units["truth"].tolist() == [70.0, 75.0, 60.0, 60.0]


def test_the_unit_is_the_subject_where_the_target_stays(make_windows):
    windows = make_windows(
        [
            ("01", "1", "01_ses-1", 0, 1, 0.2),
            ("01", "2", "01_ses-2", 0, 1, 0.6),
            ("02", "1", "02_ses-1", 0, 0, 0.3),
        ]
    )
    units = aggregate(windows, BINARY)
    assert units["subject"].tolist() == ["01", "02"]
    assert units["session"].tolist() == [None, "1"]
    assert units["score"].tolist() == pytest.approx([0.4, 0.3])
    assert len(aggregate(windows, BINARY, unit="session")) == 3


def test_classes_are_averaged_as_probabilities(make_windows):
    windows = make_windows(
        [
            ("01", None, "s", 0, 2, 0.1, 0.2, 0.7),
            ("01", None, "s", 20, 2, 0.3, 0.4, 0.3),
        ]
    )
    units = aggregate(windows, SITE)
    assert units[score_columns(SITE)].to_numpy()[0] == pytest.approx([0.2, 0.3, 0.5])
    assert units["spread"][0] == pytest.approx(np.std([0.7, 0.3], ddof=1))


def test_rows_that_a_distributed_sampler_repeats_count_once(two_subjects):
    padded = pd.concat([two_subjects, two_subjects.iloc[[0, 2]]])
    pd.testing.assert_frame_equal(aggregate(padded, BINARY, flat=True), aggregate(two_subjects, BINARY, flat=True))


def test_unknown_truth_stays_unknown(two_subjects):
    units = aggregate(two_subjects.assign(truth=None), BINARY)
    assert units["truth"].isna().all()
    assert units["score"].tolist() == pytest.approx([0.5, 0.4])


def test_the_table_is_not_changed(two_subjects):
    before = two_subjects.copy(deep=True)
    aggregate(two_subjects, BINARY)
    pd.testing.assert_frame_equal(two_subjects, before)


windows_of_subjects = st.lists(
    st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=3), min_size=1, max_size=4
)


def rows_of(subjects: list[list[list[float]]]) -> list[tuple]:
    return [
        (f"{s:02}", None, f"{s:02}_run-{r}", 20 * w, s % 2, score)
        for s, runs in enumerate(subjects)
        for r, scores in enumerate(runs)
        for w, score in enumerate(scores)
    ]


@settings(max_examples=25, deadline=None)
@given(subjects=windows_of_subjects, seed=st.integers(0, 100), flat=st.booleans())
def test_the_order_of_rows_changes_nothing(make_windows, subjects, seed, flat):
    windows = make_windows(rows_of(subjects))
    shuffled = windows.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(
        aggregate(shuffled, BINARY, flat=flat), aggregate(windows, BINARY, flat=flat), check_exact=True
    )


@settings(max_examples=25, deadline=None)
@given(score=st.floats(0, 1), counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), flat=st.booleans())
def test_identical_windows_give_their_own_score(make_windows, score, counts, flat):
    units = aggregate(make_windows(rows_of([[[score] * count for count in counts]])), BINARY, flat=flat)
    assert units["score"][0] == pytest.approx(score, rel=1e-12, abs=1e-300)
    assert units["spread"][0] == pytest.approx(0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(st.floats(0, 1), min_size=4, max_size=12).filter(lambda scores: len(scores) % 2 == 0))
def test_a_scan_split_evenly_into_runs_gives_the_same_score(make_windows, scores):
    half = len(scores) // 2
    whole = aggregate(make_windows(rows_of([[scores]])), BINARY)
    split = aggregate(make_windows(rows_of([[scores[:half], scores[half:]]])), BINARY)
    assert split["score"][0] == pytest.approx(whole["score"][0], rel=1e-12)
    assert split["spread"][0] == pytest.approx(whole["spread"][0], rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(subjects=windows_of_subjects)
def test_both_averages_lie_between_the_lowest_and_highest_window(make_windows, subjects):
    windows = make_windows(rows_of(subjects))
    bounds = windows.groupby("subject")["score"].agg(["min", "max"]).to_numpy()
    for flat in (True, False):
        score = aggregate(windows, BINARY, flat=flat)["score"].to_numpy()
        assert (score >= bounds[:, 0] - 1e-12).all()
        assert (score <= bounds[:, 1] + 1e-12).all()


def test_two_truths_in_a_unit(two_subjects):
    windows = two_subjects.assign(truth=[1, 0, 0, 0, 0])
    with pytest.raises(DatalistError, match=r"subject '01' session '' has more than one value of 'sex' \(1.0, 0.0\)"):
        aggregate(windows, BINARY)
    with pytest.raises(DatalistError, match="subject '01' has more than one value of 'sex'"):
        aggregate(windows, BINARY, unit="subject")


def test_two_groups_in_a_subject(two_subjects):
    with pytest.raises(DatalistError, match=r"subject '01' has more than one group \(f1, f2\)"):
        aggregate(two_subjects.assign(group=["f1", "f2", "f2", "f2", "f3"]), BINARY)


def test_missing_columns(two_subjects):
    with pytest.raises(DatalistError, match="there is no column group, truth, expected subject, session"):
        aggregate(two_subjects.drop(columns=["group", "truth"]), BINARY)
    with pytest.raises(DatalistError, match="there is no column score_0, score_1, score_2"):
        aggregate(two_subjects, SITE)


def test_no_rows(two_subjects):
    with pytest.raises(DatalistError, match="there are no rows"):
        aggregate(two_subjects.iloc[:0], BINARY)


def test_a_class_name_instead_of_its_index(two_subjects):
    with pytest.raises(DatalistError, match=r"is no number \(.*'F'\).*a class is given by its index"):
        aggregate(two_subjects.assign(truth="F"), BINARY)


@pytest.mark.parametrize(
    ("score", "found"), [(float("nan"), "nan, expected finite"), (1.5, "1.5, expected probabilities")]
)
def test_scores_that_are_no_scores(two_subjects, score, found):
    windows = two_subjects.assign(score=[0.5, 0.5, score, 0.5, 0.5])
    with pytest.raises(ContractError, match=f"01_run-2: the score of the window at frame 20 is {found}"):
        aggregate(windows, BINARY)


def test_class_scores_that_do_not_add_up(make_windows):
    with pytest.raises(ContractError, match=r"is 0.1, 0.2, 0.3, expected probabilities"):
        aggregate(make_windows([("01", None, "s", 0, 2, 0.1, 0.2, 0.3)]), SITE)


def test_unknown_unit(two_subjects):
    with pytest.raises(ValueError, match="unit is 'run'"):
        aggregate(two_subjects, BINARY, unit="run")
