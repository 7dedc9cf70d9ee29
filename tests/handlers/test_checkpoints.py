"""The last and the best checkpoint of a run, and a run continued from them."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch.nn.parallel import DataParallel

from monai_tff.errors import ConfigError, WeightsError
from monai_tff.handlers.checkpoints import RunCheckpoint
from monai_tff.handlers.seeds import EpochSeeds

CONTRACT = {"spatial_size": [7, 8, 9], "window_length": 5, "crop": None, "target": {"name": "sex", "kind": "binary"}}


def _checkpoint(run: Any, folder: Path, **changes: Any) -> RunCheckpoint:
    settings = {"mode": "min", "lr_scheduler": run.lr_scheduler, "evaluator": run.evaluator, "seed": 11, **changes}
    return RunCheckpoint(folder, run.network, run.optimizer, settings.pop("contract", CONTRACT), **settings)


def _train(make_run: Any, folder: Path, max_epochs: int, resume: bool = False, **changes: Any) -> tuple[Any, Any]:
    run = make_run(max_epochs=max_epochs)
    trainer = run.trainer([_checkpoint(run, folder, resume=resume, **changes), EpochSeeds(11)])
    trainer.run()
    return run, trainer


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


class _Scores:
    """Replaces the key metric of each evaluation by a given one."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)

    def attach(self, evaluator: Any) -> None:
        evaluator.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, evaluator: Any) -> None:
        evaluator.state.metrics["val_loss"] = next(self.values)


def test_continued_run_ends_in_the_same_weights(make_run: Any, tmp_path: Path) -> None:
    straight, straight_trainer = _train(make_run, tmp_path / "straight", 4)
    _train(make_run, tmp_path / "parts", 2)
    continued, trainer = _train(make_run, tmp_path / "parts", 4, resume=True)
    assert (trainer.state.epoch, trainer.state.iteration) == (4, straight_trainer.state.iteration) == (4, 12)
    expected, found = _load(tmp_path / "straight" / "last.pt"), _load(tmp_path / "parts" / "last.pt")
    assert set(found) == set(expected)
    for name, weight in straight.network.state_dict().items():
        assert torch.equal(continued.network.state_dict()[name], weight)
    for index, state in expected["optimizer"]["state"].items():
        assert all(torch.equal(found["optimizer"]["state"][index][key], state[key]) for key in state)
    for key in ("lr_scheduler", "learning_rate", "epoch", "iteration", "best_metric", "best_epoch", "contract", "seed"):
        assert found[key] == expected[key]
    best = _load(tmp_path / "parts" / "model.pt")
    assert best["metric"] == _load(tmp_path / "straight" / "model.pt")["metric"]


def test_killed_in_the_middle_of_an_epoch(make_run: Any, tmp_path: Path) -> None:
    def started(folder: str, resume: bool = False) -> tuple[Any, Any]:
        run = make_run(max_epochs=3, validate_every_iteration=1)
        return run, run.trainer([_checkpoint(run, tmp_path / folder, resume=resume), EpochSeeds(11)])

    straight, trainer = started("straight")
    trainer.run()
    _, trainer = started("parts")

    @trainer.on(Events.ITERATION_COMPLETED(once=8))
    def _kill(engine: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert _load(tmp_path / "parts" / "last.pt")["epoch"] == 2
    continued, trainer = started("parts", resume=True)
    trainer.run()
    for name, weight in straight.network.state_dict().items():
        assert torch.equal(continued.network.state_dict()[name], weight)
    for name in ("metric", "epoch", "iteration"):
        assert _load(tmp_path / "parts" / "model.pt")[name] == _load(tmp_path / "straight" / "model.pt")[name]


def test_finished_run_continues_to_nothing(make_run: Any, tmp_path: Path) -> None:
    _train(make_run, tmp_path, 2)
    before = (tmp_path / "last.pt").read_bytes()
    for max_epochs in (2, 1):
        run, trainer = _train(make_run, tmp_path, max_epochs, resume=True)
        assert trainer.state.epoch == 2
        weights = _load(tmp_path / "last.pt")["model"]
        assert all(torch.equal(weights[name], weight) for name, weight in run.network.state_dict().items())
    assert (tmp_path / "last.pt").read_bytes() == before


def test_resume_without_a_checkpoint_starts_anew(make_run: Any, tmp_path: Path) -> None:
    _train(make_run, tmp_path, 1, resume=True)
    assert _load(tmp_path / "last.pt")["epoch"] == 1


def test_folder_with_checkpoints_is_refused_without_resume(make_run: Any, tmp_path: Path) -> None:
    _train(make_run, tmp_path, 1)
    with pytest.raises(ConfigError, match=r"last\.pt: there is already a checkpoint.*--resume true"):
        _train(make_run, tmp_path, 1)


@pytest.mark.parametrize(
    ("mode", "values", "best", "epoch"),
    [
        ("min", [0.5, 0.3, 0.4], 0.3, 2),
        ("max", [0.5, 0.3, 0.4], 0.5, 1),
        ("min", [math.nan, 0.7, math.nan], 0.7, 2),
        ("max", [-0.2, math.inf, -0.2], -0.2, 1),
    ],
)
def test_model_is_the_best_by_the_key_metric(
    make_run: Any, tmp_path: Path, mode: str, values: list[float], best: float, epoch: int
) -> None:
    run = make_run(max_epochs=3)
    _Scores(values).attach(run.evaluator)
    checkpoint = _checkpoint(run, tmp_path, mode=mode)
    trainer = run.trainer([checkpoint])
    weights: dict[int, Any] = {}
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED,
        lambda engine: weights.update({engine.state.epoch: run.network[0].weight.detach().clone()}),
    )
    trainer.run()
    model = _load(tmp_path / "model.pt")
    assert model["metric"] == {"name": "val_loss", "value": best, "mode": mode}
    assert (model["epoch"], model["iteration"]) == (epoch, 3 * epoch)
    assert torch.equal(model["model"]["0.weight"], weights[epoch])
    assert model["contract"] == CONTRACT
    assert "optimizer" not in model
    assert (run.evaluator.state.best_metric, run.evaluator.state.best_metric_epoch) == (best, epoch)


def test_evaluations_in_the_middle_of_an_epoch_count(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=1, validate_every_iteration=2)
    _Scores([0.1, 0.2]).attach(run.evaluator)
    run.trainer([_checkpoint(run, tmp_path)]).run()
    assert _load(tmp_path / "model.pt")["iteration"] == 2
    assert _load(tmp_path / "last.pt")["best_metric"] == 0.1


def test_best_metric_survives_the_interruption(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=2)
    _Scores([0.1, 0.2]).attach(run.evaluator)
    run.trainer([_checkpoint(run, tmp_path)]).run()
    before = (tmp_path / "model.pt").read_bytes()
    run = make_run(max_epochs=3)
    _Scores([0.15]).attach(run.evaluator)
    run.trainer([_checkpoint(run, tmp_path, resume=True)]).run()
    assert (tmp_path / "model.pt").read_bytes() == before
    assert (run.evaluator.state.best_metric, run.evaluator.state.best_metric_epoch) == (0.1, 1)


def test_no_finite_metric_leaves_no_model_and_says_so(
    make_run: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(max_epochs=2)
    _Scores([math.nan, math.nan]).attach(run.evaluator)
    with caplog.at_level(logging.WARNING):
        run.trainer([_checkpoint(run, tmp_path)]).run()
    assert not (tmp_path / "model.pt").exists()
    assert "no evaluation gave a finite key metric in 2 epochs" in caplog.text


def test_without_evaluator_the_model_is_the_last_epoch(make_run: Any, tmp_path: Path) -> None:
    run, _ = _train(make_run, tmp_path, 2, evaluator=None)
    model = _load(tmp_path / "model.pt")
    assert model["epoch"] == 2
    assert model["metric"] == {}
    assert torch.equal(model["model"]["0.weight"], run.network[0].weight)


@pytest.mark.parametrize("wrap", [DataParallel, torch.compile])
def test_saves_the_plain_network(make_run: Any, tmp_path: Path, wrap: Any) -> None:
    run = make_run(max_epochs=1)
    keys = set(run.network.state_dict())
    checkpoint = _checkpoint(run, tmp_path)
    checkpoint.network = wrap(run.network)
    run.trainer([checkpoint]).run()
    assert set(_load(tmp_path / "model.pt")["model"]) == set(_load(tmp_path / "last.pt")["model"]) == keys


def test_last_is_written_after_all_other_handlers_of_the_epoch(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=2)
    trainer = run.trainer([_checkpoint(run, tmp_path)])
    there: list[bool] = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda: there.append((tmp_path / "last.pt").exists()))
    trainer.run()
    assert there == [False]
    assert _load(tmp_path / "last.pt")["lr_scheduler"] == run.lr_scheduler.state_dict()


def test_weights_that_are_not_finite_never_replace_finite_ones(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=3)
    trainer = run.trainer([_checkpoint(run, tmp_path)])

    @trainer.on(Events.EPOCH_COMPLETED(once=2))
    def _spoil(engine: Any) -> None:
        run.network[3].bias.data[0] = math.nan

    with pytest.raises(WeightsError, match=r"last\.pt: 'model\.3\.bias' holds NaN or infinity after epoch 2.*is kept"):
        trainer.run()
    assert _load(tmp_path / "last.pt")["epoch"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 12}, r"last\.pt: the run that wrote it has seed 11, but this one has 12"),
        ({"contract": {**CONTRACT, "window_length": 6}}, r"has contract window_length 5, but this one has 6"),
        ({"contract": {**CONTRACT, "target": {"name": "age"}}}, r"has contract target name sex, but this one has age"),
        ({"mode": "max"}, r"has mode min, but this one has max"),
        ({"lr_scheduler": None}, None),
    ],
)
def test_another_run_is_refused(make_run: Any, tmp_path: Path, changes: dict[str, Any], message: str | None) -> None:
    _train(make_run, tmp_path, 1)
    if message is None:
        _train(make_run, tmp_path, 2, resume=True, **changes)
    else:
        with pytest.raises(WeightsError, match=message):
            _train(make_run, tmp_path, 2, resume=True, **changes)


def test_another_epoch_length_is_refused(make_run: Any, tmp_path: Path) -> None:
    _train(make_run, tmp_path, 1)
    run = make_run(max_epochs=2)
    del run.records[5:]
    with pytest.raises(WeightsError, match="epoch_length 3, but this one has 1"):
        run.trainer([_checkpoint(run, tmp_path, resume=True)]).run()


def test_another_network_is_refused(make_run: Any, tmp_path: Path) -> None:
    _train(make_run, tmp_path, 1)
    run = make_run(max_epochs=2)
    run.network[3] = torch.nn.Linear(8, 2)
    with pytest.raises(WeightsError, match=r"last\.pt: its 'model' does not fit this run's \(.*3\.weight"):
        run.trainer([_checkpoint(run, tmp_path, resume=True)]).run()


def test_gradient_scaler_is_continued(make_run: Any, tmp_path: Path) -> None:
    def train(max_epochs: int, scale: float, resume: bool) -> Any:
        run = make_run(max_epochs=max_epochs)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        trainer = run.trainer([])
        # MONAI makes the scaler when a run starts; on a CPU it would be switched off.
        trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine, "scaler", scaler))
        _checkpoint(run, tmp_path, resume=resume).attach(trainer)
        trainer.run()
        return scaler

    train(1, 32.0, resume=False)
    assert train(2, 1024.0, resume=True).get_scale() == 32.0


def test_settings_must_make_sense(make_run: Any, tmp_path: Path) -> None:
    run = make_run()
    with pytest.raises(ConfigError, match="mode is 'lower'"):
        _checkpoint(run, tmp_path, mode="lower")
    run.evaluator.state.key_metric_name = None
    with pytest.raises(ConfigError, match="no key metric"):
        run.trainer([_checkpoint(run, tmp_path)]).run()
