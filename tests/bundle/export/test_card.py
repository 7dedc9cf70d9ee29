"""The model card says what the run knows, rounded as an evaluation prints it, and what nobody knows."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_tff.bundle import layout
from monai_tff.bundle.export import Details
from monai_tff.bundle.export.card import write_card
from monai_tff.bundle.export.card_contract import input_section, output_section
from monai_tff.bundle.export.card_data import data_section
from monai_tff.bundle.export.card_performance import performance_section
from monai_tff.bundle.export.run_source import read_run
from monai_tff.contract import InputContract, Target

SEX = Target("sex", "binary", ("F", "M"))


def card_of(exported: Any) -> str:
    return (exported.folder / layout.MODEL_CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["sex", "age", "site", "reconstruction", "autoencoder"])
def test_sections_and_columns(kind: str, exports: Callable[[str], Any]) -> None:
    card = card_of(exports(kind))
    assert re.findall(r"^#+ (.+)$", card, re.MULTILINE) == list(layout.CARD_SECTIONS)
    assert [line for line in card.splitlines() if len(line) > 120] == []
    assert "Not stated" not in card


def test_numbers_are_those_that_the_evaluation_printed(exports: Callable[[str], Any], runs: Any) -> None:
    card = card_of(exports("sex"))
    printed, *_ = re.findall(r"^test AUROC (\S+) \[(\S+), (\S+)\]", runs.result.output, re.MULTILINE)
    assert "| AUROC | {} | {} to {} |".format(*printed) in card
    warnings = json.loads((runs.finetune / "evaluation" / "metrics.json").read_text(encoding="utf-8"))["warnings"]
    assert warnings
    assert all(f"- {sentence}\n" in card for sentence in warnings)
    assert "pretraining overlap: none\n" in card
    uses, *_ = re.findall(r"^test set \w{8} used .+", runs.result.output, re.MULTILINE)
    assert f"- when it was evaluated: {uses}\n" in card
    compared = (runs.finetune / "baselines").is_dir()
    assert ("Baselines on the same split" in card, "No baseline was run" in card) == (compared, not compared)


def test_data_are_counted(exports: Callable[[str], Any], cohort: Any) -> None:
    card = card_of(exports("sex"))
    content = json.loads(cohort.datalists["sex"].read_text(encoding="utf-8"))
    for section in ("training", "validation", "test"):
        labels = [record["label"] for record in content[section]]
        count = len(labels)
        sites = len({record["site"] for record in content[section]})
        row = [section, count, count, count, sites, labels.count("F"), labels.count("M")]
        assert f"| {' | '.join(str(cell) for cell in row)} |" in card
    assert f"hash of the split: `{content['split']['hash']}`" in card
    assert "drawn with seed 0" in card
    assert "phase 1 (reconstruction of frames) has seen 18 scans of 18 subjects" in card


def test_ages_are_told_by_mean_and_deviation_alone(exports: Callable[[str], Any], cohort: Any) -> None:
    """The oldest and the youngest could be found by their age."""
    content = json.loads(cohort.datalists["age"].read_text(encoding="utf-8"))
    ages = [record["label"] for record in content["training"]]
    mean = sum(ages) / len(ages)
    deviation = (sum((age - mean) ** 2 for age in ages) / len(ages)) ** 0.5
    data = data_section(content, None, None, Target("age", "regression"), None)
    (row,) = [line for line in data.splitlines() if line.startswith("| training")]
    assert row.endswith(f"| {mean:.4g} | {deviation:.4g} |")
    assert "has seen" in card_of(exports("age"))


def test_a_run_without_evaluation_says_so(tmp_path: Path) -> None:
    assert "The run was not evaluated when the bundle was exported" in performance_section(tmp_path, SEX)


@pytest.mark.parametrize("threshold", [None, 0.7])
def test_numbers_for_another_threshold_say_so(threshold: float | None, runs: Any, tmp_path: Path) -> None:
    """A threshold may be set in the run's inference.yaml after the evaluation."""
    shutil.copytree(runs.finetune, tmp_path / "run")
    path = tmp_path / "run" / "configs" / "inference.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    fitted = config["contract"]["threshold"]
    config["contract"]["threshold"] = threshold or fitted
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    section = read_run(tmp_path / "run").sections["Performance"]
    assert (f"are for the threshold {fitted:g}; the bundle's is 0.7" in section) == (threshold is not None)


@pytest.mark.parametrize(
    ("ledger", "sentence"),
    [
        (None, None),
        ({"test_set": 7, "evaluations": 1, "models": 1, "others": 0}, None),
        ({"test_set": "0" * 64, "evaluations": "<b>", "models": 1, "others": 0}, None),
        ({"test_set": "0" * 64}, "test set 00000000: nobody knows how often it was used"),
        (
            {"test_set": "0" * 64, "evaluations": 3, "models": 2, "others": 1},
            "test set 00000000 used 3 times, by 2 models; by baselines and controls 1 time",
        ),
    ],
)
def test_earlier_uses_of_the_test_set_are_told(ledger: Any, sentence: str | None, tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps({"values": {}, "ledger": ledger}))
    told = re.findall("^- when it was evaluated: (.+)$", performance_section(tmp_path, SEX), re.MULTILINE)
    assert told == ([sentence] if sentence else [])


def test_baselines_are_shown_where_there_are_any(runs: Any, tmp_path: Path) -> None:
    shutil.copytree(runs.finetune / "evaluation", tmp_path / "evaluation")
    report = {"values": {"balanced_accuracy": 0.612, "auroc": 0.5}, "intervals": {"auroc": [0.25, 0.75]}}
    for name in ("mean_image", "only_age", "of somebody"):
        folder = tmp_path / "baselines" / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(report), encoding="utf-8")
    text = performance_section(tmp_path, SEX).partition("Baselines on the same split")[2]
    shown = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert shown == [
        "| only age | balanced accuracy | 0.61 | - |",
        "| only age | AUROC | 0.50 | 0.25 to 0.75 |",
        "| mean image | balanced accuracy | 0.61 | - |",
        "| mean image | AUROC | 0.50 | 0.25 to 0.75 |",
    ]


@pytest.mark.parametrize(
    ("target", "rows"),
    [
        (SEX, "| AUPRC (average precision) | 0.81 | 0.70 to 0.91 |\n| calibration slope | 1.25 | - |"),
        (Target("site", "multiclass", ("a", "b", "c")), "| macro AUPRC (average precision) | 0.81 | 0.70 to 0.91 |"),
        (Target("age", "regression"), "| calibration intercept | 0.003125 | - |\n| calibration slope | 1.25 | - |"),
    ],
    ids=["two", "several", "number"],
)
def test_names_of_numbers(target: Target, rows: str, tmp_path: Path) -> None:
    values = {"auprc": 0.812, "calibration_slope": 1.2468}
    if target.kind == "regression":
        values["calibration_intercept"] = 0.0031250
    report = {"values": values, "intervals": {"auprc": [0.7, 0.91], "calibration_slope": [None, None]}}
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(report), encoding="utf-8")
    assert rows in performance_section(tmp_path, target)


def test_nothing_is_known_of_weights_without_a_lineage(runs: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.finetune, run)
    for name in ("lineage.json", "content_hashes.json"):
        (run / name).unlink()
    source = read_run(run)
    assert "(pretraining overlap: unknown)" in source.sections["Data"]
    write_card(tmp_path, source, Details("small", authors="Ada", copyright="Copyright (c) Ada."))
    card = (tmp_path / layout.MODEL_CARD).read_text(encoding="utf-8")
    assert "this bundle by name and version: `small` 0.1.0 by Ada." in card
    assert "Copyright (c) Ada. Apache License" in card
    assert "evaluating" not in card


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ({}, "| repetition time (TR) | not checked |"),
        ({"repetition_time": 0.72}, "| repetition time (TR) | 0.72 s, within 1 % |"),
        ({"repetition_time": 2, "tr_policy": "allow"}, "| 2 s in the training, others are allowed |"),
        ({"voxel_size": (2, 2, 2.5)}, "| voxel size | 2 x 2 x 2.5 mm, within 1 % |"),
        ({"crop": ((1, -2), (None, None), (3, None))}, "| 1 to -2, first to last, 3 to last |"),
        ({"axis_codes": None}, "| orientation | as stored |"),
        ({"mask": "nonzero", "trim": 4}, "| frames dropped at the start | 4 |"),
        ({"denoising": "clean_img:simple"}, "| denoising | `clean_img:simple`, when a scan is loaded |"),
    ],
)
def test_the_contract_in_words(values: dict[str, Any], row: str) -> None:
    assert row in input_section(InputContract(spatial_size=(8, 10, 9), window_length=5, **values))


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (SEX, "positive class of sex, which is M; the other is F. A probability above 0.5"),
        (
            Target("site", "multiclass", ("a", "b", "c")),
            "[B, 3], float32: one logit for each class of site: a (0), b (1)",
        ),
        (Target("age", "regression"), "units of age (mean 40, standard deviation 12.5 in the training)"),
        (None, "the reconstruction of channel 0"),
    ],
)
def test_the_output_in_words(target: Target | None, sentence: str) -> None:
    values = {"target_mean": 40.0, "target_std": 12.5} if target and target.kind == "regression" else {}
    contract = InputContract(spatial_size=(8, 10, 9), window_length=5, target=target, **values)
    assert sentence in " ".join(output_section(contract).split())


@pytest.mark.parametrize("target", [SEX, Target("site", "multiclass", ("a", "b", "c"))], ids=["two", "several"])
def test_a_temperature_is_told(target: Target) -> None:
    """Whoever uses the network alone needs it for the probabilities that the commands give."""
    contract = InputContract(spatial_size=(8, 10, 9), window_length=5, target=target, temperature=1.25)
    assert "divides logits by the temperature 1.25" in " ".join(output_section(contract).split())
    # the published heads are not calibrated
    assert "temperature" not in output_section(contract, paper_head=True)
