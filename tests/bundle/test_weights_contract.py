"""Weights are evaluated on the classes and the scale that they were trained for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.weights_contract import check_target, read_contract
from monai_tff.contract import InputContract
from monai_tff.data import SplitPlan, build_datalist, read_bids, write_datalist
from monai_tff.errors import ContractError, WeightsError, user_error_in

CONTRACT = InputContract(spatial_size=(8, 10, 9), window_length=5, trim=2)


def test_contract_of_a_run_and_of_safetensors(finetuned: dict[str, Path], tmp_path: Path) -> None:
    trained = read_contract(finetuned["age"] / "models" / "model.pt")
    assert trained is not None
    assert trained.target is not None
    assert trained.target.name == "age"
    assert trained.target_std is not None
    weights = tmp_path / "model.safetensors"
    metadata = {"contract": json.dumps(CONTRACT.to_dict())}
    safetensors.torch.save_file({"a": torch.zeros(2)}, weights, metadata=metadata)
    assert read_contract(weights) == CONTRACT


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_without_a_contract_are_not_compared(suffix: str, cohort: Any, tmp_path: Path) -> None:
    weights = tmp_path / f"model{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save({"a": torch.zeros(2)}, weights)
    assert read_contract(weights) is None
    check_target(weights, CONTRACT, cohort.datalists["sex"])


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (None, r"model\.safetensors: cannot be read \(SafetensorError\)"),
        ({"contract": "{"}, r"model\.safetensors: cannot be read \(JSONDecodeError\)"),
    ],
    ids=["damaged", "no JSON"],
)
def test_safetensors_that_cannot_be_read(metadata: dict[str, str] | None, sentence: str, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    if metadata is None:
        weights.write_bytes(b"half")
    else:
        safetensors.torch.save_file({"a": torch.zeros(2)}, weights, metadata=metadata)
    with pytest.raises(WeightsError, match=sentence):
        read_contract(weights)
    with pytest.raises(WeightsError, match=r"FileNotFoundError"):
        read_contract(tmp_path / "other.safetensors")


@pytest.fixture(scope="module")
def swapped(cohort: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cohort with the classes in the other order."""
    plan = SplitPlan(ratios=(0.5, 0.25, 0.25))
    records = read_bids(cohort.folder, "sex")
    content = build_datalist(records, "sex", dataset_dir=cohort.folder, plan=plan, classes=("M", "F"))
    path = tmp_path_factory.mktemp("swapped") / "datalist.json"
    write_datalist(content, path)
    return path


def test_classes_in_another_order_are_refused(finetuned: dict[str, Path], swapped: Path, tmp_path: Path) -> None:
    evaluate = finetuned["sex"] / "configs" / "evaluate.yaml"
    # a lineage would refuse the subjects first
    values = {"datalist": str(swapped), "pretraining_overlap": None, "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError) as raised:
        run_workflow([str(evaluate)], "eval", values)
    sentence = str(user_error_in(raised.value))
    assert re.search("classes M, F, but .* was trained for sex, binary with the classes F, M", sentence)
    assert not (tmp_path / "out").exists()


def test_another_target_is_refused(finetuned: dict[str, Path], cohort: Any) -> None:
    weights = finetuned["age"] / "models" / "model.pt"
    with pytest.raises(ContractError, match=r"the target is sex, binary with the classes F, M, but .* for age, regr"):
        check_target(weights, CONTRACT, cohort.datalists["sex"])


def test_the_scale_of_other_training_subjects_is_refused(finetuned: dict[str, Path], cohort: Any) -> None:
    weights = finetuned["age"] / "models" / "model.pt"
    trained = read_contract(weights)
    assert trained is not None
    check_target(weights, trained, cohort.datalists["age"])
    other = InputContract.from_dict({**trained.to_dict(), "target_mean": 1.0})
    with pytest.raises(ContractError, match=r"target_mean is 1\.0, from the training subjects of"):
        check_target(weights, other, cohort.datalists["age"])
