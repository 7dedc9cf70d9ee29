"""Mean losses of an evaluation, and the terms of the training loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.handlers import TensorBoardStatsHandler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_tff.handlers.loss_metrics import MeanLoss, TrainingScalars, WeightedMeans, training_scalars


def test_weights_by_windows_and_starts_anew_with_every_evaluation(make_run: Any) -> None:
    run = make_run()
    images = torch.stack([record["image"] for record in run.records])
    labels = torch.tensor([record["label"] for record in run.records]).reshape(-1, 1)
    for _ in range(2):
        run.evaluator.run()
        metrics = run.evaluator.state.metrics
        run.network.eval()
        with torch.no_grad():
            expected = run.loss(run.network(images), labels).item()  # batches of 5, 5 and 2 windows
        assert metrics["val_loss"] == pytest.approx(expected, rel=1e-6)
        assert metrics["total"] == metrics["val_loss"]
        assert metrics["reconstruction"] == pytest.approx(run.loss.terms["reconstruction"].item(), rel=1e-6)
        assert metrics["intensity"] == pytest.approx(run.loss.terms["intensity"].item(), rel=1e-6)
        torch.nn.init.ones_(run.network[0].weight)


def test_prefix_and_a_loss_without_terms(make_run: Any) -> None:
    run = make_run()
    MeanLoss(torch.nn.MSELoss(), prefix="val_").attach(run.evaluator, "error")
    run.evaluator.run()
    metrics = run.evaluator.state.metrics
    assert metrics["val_total"] == metrics["error"]


def test_no_window_gives_nan() -> None:
    assert math.isnan(MeanLoss(torch.nn.MSELoss()).compute())


def test_means_of_different_weights() -> None:
    means = WeightedMeans()
    means.add({"a": torch.tensor(1.0), "b": torch.tensor(5.0)}, 1)
    means.add({"a": torch.tensor(4.0)}, 2)
    assert means.compute() == {"a": 3.0, "b": 5.0}
    means.reset()
    assert means.compute() == {}


def test_training_scalars_reach_tensorboard(make_run: Any, tmp_path: Any) -> None:
    run = make_run(max_epochs=1)
    board = TensorBoardStatsHandler(log_dir=str(tmp_path), output_transform=training_scalars)
    trainer = run.trainer([TrainingScalars(run.loss, run.optimizer), board])
    seen: list[dict[str, Any]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.append(training_scalars(e.state.output)))
    trainer.run()
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "reconstruction", "intensity", "learning_rate"}
    for name in seen[0]:
        written = [event.value for event in events.Scalars(name)]
        assert written == pytest.approx([float(scalars[name]) for scalars in seen], rel=1e-5)
    assert not seen[0]["loss"].requires_grad


def test_a_loss_without_terms_shows_the_loss_alone(make_run: Any) -> None:
    run = make_run(max_epochs=1)
    trainer = run.trainer([TrainingScalars(torch.nn.MSELoss())])
    trainer.run()
    assert set(training_scalars(trainer.state.output)) == {"loss"}
