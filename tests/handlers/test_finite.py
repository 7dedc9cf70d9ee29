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


def test_looks_at_every_nth_iteration_only(make_run: Any) -> None:
    run = make_run(max_epochs=2)
    for record in run.records:
        record["image"] = torch.full((4,), float("nan"))
    with pytest.raises(ConfigError, match="iteration 4"):
        run.trainer([NonFiniteGuard(every=4)]).run()


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
