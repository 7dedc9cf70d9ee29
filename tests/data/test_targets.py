from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.contract import Target
from monai_tff.data.targets import as_number, canonical, define_target, encode_label, is_missing, raw_label
from monai_tff.errors import DatalistError

SEX = Target("sex", "binary", ("F", "M"))
DIAGNOSIS = Target("diagnosis", "multiclass", ("ADHD", "CONTROL", "SCHZ"))
AGE = Target("age", "regression")


@pytest.mark.parametrize("value", [None, "", "  ", "n/a", "N/A", "NA", "nan", float("nan")])
def test_missing_values(value: object) -> None:
    assert is_missing(value)


@pytest.mark.parametrize("value", ["0", "none", "F", 0, 0.0, False])
def test_values_that_are_not_missing(value: object) -> None:
    assert not is_missing(value)


@pytest.mark.parametrize(
    ("values", "kind", "class_names"),
    [
        (["M", "F", "M"], "binary", ("F", "M")),
        (["SCHZ", "ADHD", "CONTROL"], "multiclass", ("CONTROL", "ADHD", "SCHZ")),
        (["2", "1.0", "10"], "multiclass", ("1", "2", "10")),
        ([0, 1.0, 1], "binary", ("0", "1")),
        ([str(age) for age in range(10)], "multiclass", tuple(str(age) for age in range(10))),
        ([str(age) for age in range(11)], "regression", ()),
        ([f"site{site:02d}" for site in range(12)], "multiclass", tuple(f"site{site:02d}" for site in range(12))),
    ],
)
def test_kind_follows_from_the_values(values: list[object], kind: str, class_names: tuple[str, ...]) -> None:
    assert define_target("x", values) == Target("x", kind, class_names)


def test_names_with_underscores_are_no_numbers() -> None:
    # HCP writes families as 51807_81149, and Python reads that as a number
    assert [as_number(text) for text in ("1_2", "51807_81149", " 1.5 ", "-3")] == [None, None, 1.5, -3.0]
    assert canonical("51807_81149") == "51807_81149"
    assert define_target("stage", ["1_2", "12"]).class_names == ("12", "1_2")
    assert define_target("x", [f"{number}_1" for number in range(12)]).kind == "multiclass"


def test_kind_and_classes_can_be_chosen() -> None:
    assert define_target("age", ["20", "30.5"], kind="regression") == AGE
    assert define_target("sex", ["F", "M"], classes=["M", "F"]).class_names == ("M", "F")
    assert define_target("dx", [1, 2, 3], classes=["3", "1.0"]) == Target("dx", "binary", ("3", "1"))
    assert define_target("age", [str(age) for age in range(30)], classes=["3", "4"]).kind == "binary"


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "target 'x': no scan has a value, expected classes or numbers"),
        (["F", "F"], {}, r"all scans that can be used are of one class \(F: 2\), expected at least two"),
        (["F", "M"], {"classes": ["F"]}, r"of one class \(F: 1, M: 1\)"),
        (["F", "M"], {"classes": ["F", "X"]}, r"'X' does not occur, expected some of F: 1, M: 1"),
        (["F", "M"], {"classes": ["F", "F"]}, "F, F names a class twice"),
        (["a", "b", "c"], {"kind": "binary"}, "found the classes a, b, c, which are not binary"),
        (["a", "b"], {"kind": "multiclass"}, "found the classes a, b, which are not multiclass"),
        (["20", "36+"], {"kind": "regression"}, r"'36\+' is not a finite number \(1 of 2 distinct values"),
        (["inf", "1"], {"kind": "regression"}, "'inf' is not a finite number"),
        ([*map(str, range(20)), "36+"], {}, r"'36\+' is not a finite number \(1 of 21"),
        (["1", "2"], {"kind": "regression", "classes": ["1", "2"]}, "classes were given for a regression"),
        (["1", "2"], {"kind": "ordinal"}, "which are not ordinal"),
    ],
)
def test_a_column_that_makes_no_target_is_refused(values: list[str], options: dict[str, object], message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        define_target("x", values, **options)


@pytest.mark.parametrize(
    ("value", "target", "stored"),
    [("F", SEX, "F"), (" M ", SEX, "M"), ("X", SEX, None), ("31", AGE, 31.0), (31, AGE, 31.0), ("36+", AGE, None)],
)
def test_raw_labels(value: object, target: Target, stored: object) -> None:
    assert raw_label(value, target) == stored


@pytest.mark.parametrize(
    ("label", "target", "encoded"),
    [("F", SEX, 0.0), ("M", SEX, 1.0), ("ADHD", DIAGNOSIS, 0), ("SCHZ", DIAGNOSIS, 2), (31, AGE, 31.0)],
)
def test_encoded_labels(label: str | float, target: Target, encoded: float) -> None:
    result = encode_label(label, target)
    assert result == encoded
    assert type(result) is type(encoded)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_canonical_names_keep_the_number(number: float) -> None:
    assert as_number(canonical(number)) == number
    assert canonical(canonical(number)) == canonical(number)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["ADHD", "control"], ("control", "ADHD")),
        (["SCHZ", "CONTROL", "ADHD", "BIPOLAR"], ("CONTROL", "ADHD", "BIPOLAR", "SCHZ")),
        (["AD Dementia", "Cognitively normal"], ("Cognitively normal", "AD Dementia")),
        (["CDR > 0", "CDR 0"], ("CDR 0", "CDR > 0")),
        (["yes", "no"], ("no", "yes")),
        (["M", "F"], ("F", "M")),
    ],
)
def test_the_class_that_others_are_compared_with_comes_first(found: list[str], names: tuple[str, ...]) -> None:
    assert define_target("x", found).class_names == names
    assert define_target("x", found[::-1]).class_names == names


def test_given_classes_keep_their_order() -> None:
    assert define_target("x", ["ADHD", "control"], classes=["ADHD", "control"]).class_names == ("ADHD", "control")
