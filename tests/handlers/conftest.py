"""A tiny training run, made of the real engines: 12 windows of 6 subjects, a small network with dropout, Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler

from monai_tff.handlers.loss_metrics import MeanLoss


def _records(count: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(count, 4, generator=generator)
    return [
        {
            "image": image,
            "label": float(image.sum() > 0),
            "subject": f"{i // 2:02d}",
            "scan": f"sub-{i // 2:02d}_bold.nii.gz",
            "window": 5 * (i % 2),
        }
        for i, image in enumerate(images)
    ]


def _collate(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [record[key] for record in records] for key in records[0]}


def _prepare(batch: dict[str, list[Any]], device: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    return torch.stack(batch["image"]), torch.tensor(batch["label"]).reshape(-1, 1)


class TwoTermLoss(torch.nn.Module):
    """A loss with named terms."""

    terms: dict[str, torch.Tensor]

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.terms = {
            "reconstruction": (prediction - target).detach().abs().mean(),
            "intensity": prediction.detach().square().mean(),
        }
        return torch.nn.functional.binary_cross_entropy_with_logits(prediction, target)


@dataclass
class Run:
    """The parts of a run, made anew for each process of a training that is interrupted."""

    max_epochs: int = 4
    records: list[dict[str, Any]] = field(default_factory=lambda: _records(12))
    validate_every_iteration: int = 0

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.ReLU(), torch.nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.05)
        self.lr_scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=3, gamma=0.9)
        self.loss = TwoTermLoss()
        self.evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(self.records, batch_size=5, collate_fn=_collate),
            network=self.network,
            prepare_batch=_prepare,
            key_val_metric={"val_loss": MeanLoss(TwoTermLoss())},
            decollate=False,
        )

    def trainer(self, handlers: list[Any], network: torch.nn.Module | None = None) -> SupervisedTrainer:
        """The trainer with validation, schedule and the given handlers, these first."""
        own = [ValidationHandler(1, self.evaluator), LrScheduleHandler(self.lr_scheduler, False, epoch_level=False)]
        if self.validate_every_iteration:
            own.append(ValidationHandler(self.validate_every_iteration, self.evaluator, epoch_level=False))
        return SupervisedTrainer(
            device="cpu",
            max_epochs=self.max_epochs,
            train_data_loader=DataLoader(self.records, batch_size=5, shuffle=True, collate_fn=_collate),
            network=self.network if network is None else network,
            optimizer=self.optimizer,
            loss_function=self.loss,
            prepare_batch=_prepare,
            train_handlers=[*handlers, *own],
            decollate=False,
        )


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Makes the parts of a run."""
    return Run
