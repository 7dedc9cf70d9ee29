"""The table of all numbers of a run."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from ignite.engine import Events

from monai_tff.errors import ConfigError
from monai_tff.handlers.checkpoints import RunCheckpoint
from monai_tff.handlers.loss_metrics import TrainingScalars
from monai_tff.handlers.metrics_table import COLUMNS, MetricsTable, read_rows, scalar_values
from monai_tff.handlers.seeds import EpochSeeds


def _handlers(run: Any, folder: Path, resume: bool = False) -> list[Any]:
    return [
        RunCheckpoint(folder, run.network, run.optimizer, {}, mode="min", evaluator=run.evaluator, resume=resume),
        EpochSeeds(0),
        TrainingScalars(run.loss, run.optimizer),
        MetricsTable(folder / "metrics.csv", {"validation": run.evaluator}),
    ]


def test_rows_of_a_run(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=2)
    trainer = run.trainer(_handlers(run, tmp_path))
    batches: list[tuple[int, int, float]] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda e: batches.append((e.state.epoch, len(e.state.output["pred"]), e.state.output["loss"].item())),
    )
    trainer.run()
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert tuple(table.columns) == COLUMNS
    training = table[table["split"] == "training"].pivot(index="epoch", columns="name", values="value")
    assert set(training.columns) == {"loss", "reconstruction", "intensity", "learning_rate"}
    for epoch in (1, 2):
        own = [(count, loss) for number, count, loss in batches if number == epoch]
        expected = sum(count * loss for count, loss in own) / 12
        assert training.loc[epoch, "loss"] == pytest.approx(expected, rel=1e-6)
    validation = table[table["split"] == "validation"]
    assert set(validation["name"]) == {"val_loss", "total", "reconstruction", "intensity"}
    assert validation.groupby("epoch")["iteration"].unique().map(list).to_dict() == {1: [3], 2: [6]}


def test_continued_run_has_no_row_twice(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=3)
    run.trainer(_handlers(run, tmp_path / "straight")).run()

    run = make_run(max_epochs=3, validate_every_iteration=4)
    trainer = run.trainer(_handlers(run, tmp_path / "parts"))

    @trainer.on(Events.ITERATION_COMPLETED(once=5))
    def _kill(engine: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    path = tmp_path / "parts" / "metrics.csv"
    assert any(row[:3] == ["2", "4", "validation"] for row in read_rows(path))
    with open(path, "a") as file:
        file.write("2,5,train")
    run = make_run(max_epochs=3)
    run.trainer(_handlers(run, tmp_path / "parts", resume=True)).run()
    assert path.read_bytes() == (tmp_path / "straight" / "metrics.csv").read_bytes()


def test_old_rows_go_when_nothing_is_continued(make_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(",".join(COLUMNS) + "\n1,3,training,loss,0.5\n1,3,odd\n")
    run = make_run(max_epochs=1)
    run.trainer([MetricsTable(path)]).run()
    rows = read_rows(path)
    assert [row[:4] for row in rows] == [["1", "3", "training", "loss"]]
    assert rows[0][4] != "0.5"


def test_evaluation_before_the_first_epoch(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=1)
    trainer = run.trainer([MetricsTable(tmp_path / "metrics.csv", {"validation": run.evaluator})])
    trainer.add_event_handler(Events.STARTED, lambda: run.evaluator.run())
    trainer.run()
    assert [row[:2] for row in read_rows(tmp_path / "metrics.csv") if row[3] == "val_loss"] == [["0", "0"], ["1", "3"]]


def test_full_disk_is_a_sentence(make_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    trainer = make_run(max_epochs=1).trainer([MetricsTable(path)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @trainer.on(Events.ITERATION_COMPLETED(once=2))
    def _fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))

    try:
        with pytest.raises(ConfigError, match=r"metrics\.csv: could not be written \(File too large\)"):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text().startswith(",".join(COLUMNS))


def test_only_single_numbers_are_kept() -> None:
    metrics = {"a": 1, "b": torch.tensor(2.5), "c": [1.0], "d": "x", "e": {"f": 1.0}}
    assert scalar_values(metrics) == {"a": 1.0, "b": 2.5}
