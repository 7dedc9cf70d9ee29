from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.contract import InputContract, Target
from monai_tff.errors import ContractError

SEX = Target("sex", "binary", ("F", "M"))


def contract(**changes: Any) -> InputContract:
    values: dict[str, Any] = {
        "spatial_size": (7, 8, 9),
        "window_length": 5,
        "voxel_size": (2.0, 3.0, 4.0),
        "repetition_time": 2.0,
        "trim": 3,
    }
    return InputContract(**(values | changes))


class TestTarget:
    @pytest.mark.parametrize(
        ("kind", "class_names", "num_outputs"),
        [("binary", ("F", "M"), 1), ("multiclass", ("a", "b", "c", "d"), 4), ("regression", (), 1)],
    )
    def test_number_of_outputs(self, kind: str, class_names: tuple[str, ...], num_outputs: int) -> None:
        assert Target("column", kind, class_names).num_outputs == num_outputs

    @pytest.mark.parametrize(
        ("kind", "class_names"),
        [("binary", ("F",)), ("binary", ("F", "M", "O")), ("multiclass", ("a", "b")), ("regression", ("a",))],
    )
    def test_refuses_classes_that_do_not_fit_the_kind(self, kind: str, class_names: tuple[str, ...]) -> None:
        with pytest.raises(ContractError, match=rf"target 'column': a {kind} target cannot have the classes"):
            Target("column", kind, class_names)

    def test_refuses_an_unknown_kind(self) -> None:
        with pytest.raises(ContractError, match=r"target 'sex': kind is 'ordinal', expected binary, multiclass or"):
            Target("sex", "ordinal")


class TestCheck:
    def test_accepts_a_scan_that_matches(self) -> None:
        contract().check(
            "scan.nii.gz", spatial_size=(7, 8, 9), frames=5, voxel_size=(2.0, 3.0, 4.0), repetition_time=2.0
        )

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ({"spatial_size": (7, 9, 8)}, r"the grid after the crop is 7 x 9 x 8, expected 7 x 8 x 9"),
            ({"frames": 4}, r"4 frames are left after dropping 3, expected at least 5"),
            ({"voxel_size": (2.0, 3.0, 4.1)}, r"the voxel size is 2 x 3 x 4.1 mm, expected 2 x 3 x 4 mm"),
            ({"repetition_time": 2.1}, r"the repetition time is 2.1 s, expected 2 s within 1 %"),
        ],
    )
    def test_names_the_scan_and_both_values(self, found: dict[str, Any], message: str) -> None:
        with pytest.raises(ContractError, match=rf"^scan.nii.gz: {message}.*; .*\.$"):
            contract().check("scan.nii.gz", **found)

    @pytest.mark.parametrize("changes", [{"tr_policy": "allow"}, {"repetition_time": None}])
    def test_another_repetition_time_passes_where_allowed_or_unknown(self, changes: dict[str, Any]) -> None:
        contract(**changes).check("scan.nii.gz", repetition_time=0.72)

    def test_what_is_unknown_is_not_compared(self) -> None:
        contract().check("scan.nii.gz")
        contract(voxel_size=None).check("scan.nii.gz", voxel_size=(1.0, 1.0, 1.0))

    @given(factor=st.floats(0.5, 2.0))
    def test_the_repetition_time_may_differ_by_one_per_cent(self, factor: float) -> None:
        if abs(factor - 1) < 0.0099:
            contract().check("scan.nii.gz", repetition_time=2.0 * factor)
        elif abs(factor - 1) > 0.0101:
            with pytest.raises(ContractError):
                contract().check("scan.nii.gz", repetition_time=2.0 * factor)


class TestForms:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"target": SEX, "crop": ((1, -1), (None, 8), (0, None)), "axis_codes": None, "threshold": 0.4},
            {"target": Target("age", "regression"), "target_mean": 41.5, "target_std": 12.25, "voxel_size": None},
        ],
    )
    def test_survives_json(self, changes: dict[str, Any]) -> None:
        original = contract(**changes)
        assert InputContract.from_dict(json.loads(json.dumps(original.to_dict()))) == original

    def test_lists_and_mappings_become_what_a_fresh_contract_has(self) -> None:
        from_yaml = contract(
            spatial_size=[7, 8, 9],
            voxel_size=[2, 3, 4],
            crop=[[0, 7], [1, -1], [None, None]],
            target={"name": "sex", "kind": "binary", "class_names": ["F", "M"]},
        )
        assert from_yaml == contract(crop=((0, 7), (1, -1), (None, None)), target=SEX)

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ("tr_policy", "tr_policy is 'other', expected one of refuse, allow"),
            ("mask", "mask is 'other', expected one of auto, nonzero"),
            ("normalisation", "normalisation is 'other', expected one of tff-1"),
        ],
    )
    def test_refuses_unknown_choices(self, key: str, message: str) -> None:
        with pytest.raises(ContractError, match=f"^input contract: {message}"):
            contract(**{key: "other"})

    def test_refuses_unknown_and_missing_keys(self) -> None:
        with pytest.raises(ContractError, match=r"unknown keys \['window'\], missing keys \['window_length'\]"):
            InputContract.from_dict({"spatial_size": [7, 8, 9], "window": 5})


def test_an_axis_without_bounds_is_kept_whole() -> None:
    contract = InputContract(spatial_size=(7, 8, 9), window_length=5, crop=((0, -1), None, None))  # type: ignore[arg-type]
    assert contract.crop == ((0, -1), (None, None), (None, None))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("trim", -3, "a whole number of at least 0"),
        ("trim", "many", "a whole number of at least 0"),
        ("trim", 1.5, "a whole number of at least 0"),
        ("window_length", 0, "a whole number of at least 1"),
        ("spatial_size", 12, "3 whole numbers of at least 1"),
        ("spatial_size", [7, 8], "3 whole numbers of at least 1"),
        ("spatial_size", [7, 8, 0], "3 whole numbers of at least 1"),
        ("voxel_size", [16, 16], "3 numbers above 0"),
        ("voxel_size", [2, 2, float("nan")], "3 numbers above 0"),
        ("repetition_time", "fast", "a number above 0"),
        ("repetition_time", 0, "a number above 0"),
        ("temperature", 0, "a number above 0"),
        ("temperature", None, "a number above 0"),
        ("temperature", float("inf"), "a number above 0"),
        ("threshold", 0.0, "a number above 0 and below 1"),
        ("threshold", 1.0, "a number above 0 and below 1"),
        ("threshold", True, "a number above 0 and below 1"),
        ("threshold", "high", "a number above 0 and below 1"),
        ("crop", [1, 2, 3], r"a \[start, stop\] for each of 3 axes"),
        ("crop", [[1, 2], [1, 2]], r"a \[start, stop\] for each of 3 axes"),
        ("crop", [[1, "a"], None, None], r"a \[start, stop\] for each of 3 axes"),
        ("axis_codes", "XYZ", "one of R/L, A/P and S/I each"),
        ("axis_codes", "RRS", "one of R/L, A/P and S/I each"),
        ("axis_codes", ["R", "A", "S"], "one of R/L, A/P and S/I each"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(key: str, value: object, expected: str) -> None:
    values = {"spatial_size": (7, 8, 9), "window_length": 5, key: value}
    with pytest.raises(ContractError, match=f"input contract: {key} is .*, expected {expected}"):
        InputContract(**values)


def test_values_become_what_the_rest_expects() -> None:
    contract = InputContract(spatial_size=[7.0, 8, 9], window_length=5, crop=[None, [1, -1], (None, 4)], trim=2.0)
    assert contract.spatial_size == (7, 8, 9)
    assert (contract.trim, type(contract.trim)) == (2, int)
    assert contract.crop == ((None, None), (1, -1), (None, 4))
