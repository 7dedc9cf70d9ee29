"""The validation metric over subjects."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from sklearn.metrics import log_loss, roc_auc_score

from monai_tff.contract import Target
from monai_tff.errors import ConfigError, DatalistError
from monai_tff.handlers.subject_metrics import SubjectMetrics

SEX = Target("sex", "binary", ("F", "M"))


def _records() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.randn(2 + i % 3, generator=generator),
            "label": float(i // 2 % 2),
            "subject": f"{i // 2:02d}",
            "group": f"{i // 4}",
            "scan": f"sub-{i // 2:02d}_run-{i % 2}_bold.nii.gz",
            "run": str(i % 2),
        }
        for i in range(12)
    ]


def _evaluator(records: list[dict[str, Any]], metric: Any, **settings: Any) -> SupervisedEvaluator:
    network = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(network.weight)
    torch.nn.init.zeros_(network.bias)
    return SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(
            records, batch_size=1, collate_fn=lambda batch: {key: [r[key] for r in batch] for key in batch[0]}
        ),
        network=network,
        prepare_batch=lambda batch, device, non_blocking, **kwargs: (batch["image"][0][:, None], None),
        postprocessing=lambda data: {**data, "pred": torch.sigmoid(data["pred"])},
        key_val_metric={"val_selection": metric},
        decollate=False,
        **settings,
    )


def _expected(records: list[dict[str, Any]], flat: bool) -> tuple[float, float]:
    rows = [(r["subject"], r["scan"], r["label"], p) for r in records for p in torch.sigmoid(r["image"]).tolist()]
    table = pd.DataFrame(rows, columns=["subject", "scan", "truth", "score"])
    if not flat:
        table = table.groupby(["subject", "scan"], as_index=False)[["truth", "score"]].mean()
    units = table.groupby("subject")[["truth", "score"]].mean()
    return log_loss(units["truth"], units["score"]), roc_auc_score(units["truth"], units["score"])


@pytest.mark.parametrize("flat", [False, True])
def test_numbers_are_over_subjects_and_anew_in_each_evaluation(flat: bool) -> None:
    records = _records()
    evaluator = _evaluator(records, SubjectMetrics(SEX, key="cross_entropy", flat=flat, prefix="val_"))
    for epoch in (1, 2):
        evaluator.run(epoch)
        cross_entropy, auroc = _expected(records, flat)
        metrics = evaluator.state.metrics
        assert metrics["val_selection"] == pytest.approx(cross_entropy, rel=1e-6)
        assert metrics["val_cross_entropy"] == metrics["val_selection"]
        assert metrics["val_auroc"] == pytest.approx(auroc)
        assert {"val_accuracy", "val_balanced_accuracy", "val_sensitivity", "val_specificity"} < set(metrics)
        for record in records:
            record["image"] = -record["image"]


def test_compute_gives_the_key_number() -> None:
    metric = SubjectMetrics(SEX, key="auroc")
    evaluator = _evaluator(_records(), metric)
    evaluator.run()
    assert metric.compute() == evaluator.state.metrics["val_selection"] == metric.compute_all()["auroc"]


def test_regression_beside_the_training_mean() -> None:
    age = Target("age", "regression")
    evaluator = _evaluator(_records(), SubjectMetrics(age, key="mae", baseline_value=0.25))
    evaluator.run()
    assert evaluator.state.metrics["baseline_mae"] == pytest.approx(0.5)  # truths are 0 and 1


def test_unknown_key_names_the_known_ones() -> None:
    evaluator = _evaluator(_records(), SubjectMetrics(SEX, key="mae"))
    with pytest.raises(ConfigError, match="no number 'mae' for the binary target 'sex', expected one of accuracy"):
        evaluator.run()


def test_label_missing_is_named() -> None:
    records = _records()
    for record in records[:2]:
        record["label"] = None
    with pytest.raises(DatalistError, match="'sex' of subject '00' is nan"):
        _evaluator(records, SubjectMetrics(SEX, key="auroc")).run()
