from __future__ import annotations

from typing import Any

import pytest

from monai_tff.contract import Target
from monai_tff.data.records import make_record
from monai_tff.data.split_plan import SplitPlan, split_suffixes
from monai_tff.errors import DatalistError

SEX = Target("sex", "binary", ("F", "M"))


def records(number: int = 24) -> list[dict[str, Any]]:
    return [make_record(f"{i}.nii", str(i), str(i), "FM"[i % 2], site="AB"[i // 2 % 2]) for i in range(number)]


@pytest.mark.parametrize(
    ("plan", "suffixes"),
    [
        (SplitPlan(), [""]),
        (SplitPlan(folds=3), ["_fold-1", "_fold-2", "_fold-3"]),
        (
            SplitPlan(folds=2, repeats=2),
            ["_repeat-1_fold-1", "_repeat-1_fold-2", "_repeat-2_fold-1", "_repeat-2_fold-2"],
        ),
        (SplitPlan(leave_one_site_out=True), ["_site-A", "_site-B"]),
        (SplitPlan(assignment={"1": "test", "2": "training"}), [""]),
    ],
)
def test_names_tell_the_splits_of_a_plan_apart(plan: SplitPlan, suffixes: list[str]) -> None:
    assert split_suffixes([split.facts for split in plan.splits(records(), SEX)]) == suffixes
    assert plan.is_single == (suffixes == [""])


@pytest.mark.parametrize(
    ("sites", "suffixes"),
    [
        (["GE 3T/b"], ["_site-GE-3T-b"]),
        (["A B", "A-B", "A-B-2", "A/B"], ["_site-A-B", "_site-A-B-2", "_site-A-B-2-2", "_site-A-B-3"]),
        # some file systems take these for one name
        (["kki", "KKI"], ["_site-kki", "_site-KKI-2"]),
    ],
)
def test_sites_with_other_letters_make_file_names_of_their_own(sites: list[str], suffixes: list[str]) -> None:
    assert split_suffixes([{"held_out_site": site} for site in sites]) == suffixes


@pytest.mark.parametrize(("ratios", "validation"), [((0.7, 0.15, 0.15), 4), ((0.4, 0.4, 0.2), 10), ((1, 0, 0), 0)])
def test_validation_gets_its_share_of_what_is_not_tested(ratios: tuple[float, ...], validation: int) -> None:
    split = SplitPlan(folds=6, ratios=ratios).splits(records(), SEX)[0]
    assert len(split.sections["test"]) == 4
    assert len(split.sections["validation"]) == pytest.approx(validation, abs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 3, "leave_one_site_out": True}, "folds and leave_one_site_out are given, expected one of them"),
        ({"folds": 3, "assignment": {}}, "folds and assignment are given, expected one of them"),
        ({"repeats": 2}, "2 repeats of a single split, expected folds"),
        ({"ratios": (0.0, 0.0, 1.0), "folds": 3}, "expected a share for training"),
    ],
)
def test_plans_that_contradict_themselves(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        SplitPlan(**options).splits(records(), SEX)
