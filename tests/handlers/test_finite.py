"""A loss that is no number stops the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events

from monai_tff.errors import ConfigError, UserError
from monai_tff.handlers.checkpoints import RunCheckpoint
from monai_tff.handlers.finite import NonFiniteGuard, describe_batch


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_names_epoch_iteration_scans_and_windows_and_saves_nothing_after(
    make_run: Any, tmp_path: Path, value: float
) -> None:
    run = make_run()
    checkpoint = RunCheckpoint(tmp_path, run.network, run.optimizer, {}, mode="min", evaluator=run.evaluator)
    trainer = run.trainer([checkpoint, NonFiniteGuard()])
    bad = run.records[7]

    def spoil(engine: Any) -> None:
        if engine.state.epoch == 2:
            bad["image"] = torch.full((4,), value)

    trainer.add_event_handler(Events.EPOCH_STARTED, spoil)
    with pytest.raises(UserError, match=r"the training loss is nan in epoch 2, iteration [456]") as caught:
        trainer.run()
    assert "sub-03_bold.nii.gz (window from frame 5)" in str(caught.value)
    assert "--resume true" in str(caught.value)
    assert all(torch.isfinite(weight).all() for weight in run.network.parameters())
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


def test_looks_at_every_nth_iteration_and_at_the_end_of_an_epoch(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=3)  # of 3 iterations each
    checkpoint = RunCheckpoint(tmp_path, run.network, run.optimizer, {}, mode="min", evaluator=run.evaluator)
    guard, kept = NonFiniteGuard(every=2), []
    trainer = run.trainer([checkpoint, guard])
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: kept.append(list(guard._batches)))
    trainer.run()
    assert kept == [[1], [], [], [], [5], [], [7], [], []]


def test_replays_the_iterations_since_the_last_look_and_names_the_batch(make_run: Any, tmp_path: Path) -> None:
    run = make_run(max_epochs=2)
    checkpoint = RunCheckpoint(tmp_path, run.network, run.optimizer, {}, mode="min", evaluator=run.evaluator)
    trainer = run.trainer([checkpoint, NonFiniteGuard(every=100)])
    batches: dict[int, Any] = {}

    @trainer.on(Events.ITERATION_STARTED)
    def spoil(engine: Any) -> None:
        batches[engine.state.iteration] = engine.state.batch
        if engine.state.iteration == 5:
            engine.state.batch["image"][1] = torch.full((4,), float("inf"))

    with pytest.raises(
        ConfigError, match=r"epoch 2, iteration 5 \(found at iteration 6, .* weights of iteration 3\)"
    ) as caught:
        trainer.run()
    assert f"at {describe_batch(batches[5])}; look" in str(caught.value)
    assert all(torch.isfinite(weight).all() for weight in run.network.parameters())
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize(
    ("iteration", "every", "expected"),
    [(2, 3, "between iterations 1 and 3"), (4, 2, "between iterations 5 and 6"), (4, 3, "between iterations 4 and 6")],
)
def test_says_where_weights_diverged(make_run: Any, iteration: int, every: int, expected: str) -> None:
    run = make_run(max_epochs=2)
    trainer = run.trainer([NonFiniteGuard(every=every)])

    @trainer.on(Events.ITERATION_COMPLETED(once=iteration))
    def spoil() -> None:
        with torch.no_grad():
            run.network[0].weight[0, 0] = float("nan")

    with pytest.raises(ConfigError, match=f"{expected}, expected a finite number; no batch alone gives") as caught:
        trainer.run()
    assert "lower the learning rate or clip" in str(caught.value)
    assert all(torch.isfinite(weight).all() for weight in run.network.parameters())


def test_finds_a_loss_that_was_not_finite_once(make_run: Any) -> None:
    run = make_run(max_epochs=2)

    class Once(torch.nn.Module):
        calls = 0

        def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            # its gradient is 0, so that the weights stay as they are
            return (prediction * 0.0).sum() + (float("-inf") if self.calls == 4 else 1.0)

    run.loss = Once()
    with pytest.raises(ConfigError, match="the training loss is -inf in epoch 2, between iterations 4 and 6"):
        run.trainer([NonFiniteGuard(every=50)]).run()


def test_a_run_is_the_same_however_often_the_guard_looks(make_run: Any) -> None:
    def weights(every: int) -> list[torch.Tensor]:
        run = make_run(max_epochs=2)
        run.trainer([NonFiniteGuard(every)]).run()
        return list(run.network.parameters())

    for found, expected in zip(weights(2), weights(1), strict=True):
        assert torch.equal(found, expected)


def test_refuses_a_senseless_interval() -> None:
    with pytest.raises(ConfigError, match="every is 0"):
        NonFiniteGuard(every=0)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ({"scan": ["a.nii", "b.nii"], "window": [0, 40]}, "a.nii (window from frame 0), b.nii (window from frame 40)"),
        ({"scan": ["a.nii"]}, "a.nii"),
        ({"image": [torch.zeros(2)], "window": [3]}, "an unnamed scan (window from frame 3)"),
        ({}, "a batch without records"),
        (torch.zeros(3), "a batch without records"),
    ],
)
def test_describes_batches(batch: Any, expected: str) -> None:
    assert describe_batch(batch) == expected
