"""A short training with evaluation, run by `test_processes.py` on one process and on two (RANK and WORLD_SIZE)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from monai.data import DataLoader, DistributedSampler
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler

from monai_tff.bundle import processes
from monai_tff.bundle.processes import by_first_process
from monai_tff.contract import Target
from monai_tff.errors import ConfigError, WeightsError
from monai_tff.handlers import (
    EpochSeeds,
    MeanLoss,
    MetricsTable,
    PredictionsWriter,
    Progress,
    RunCheckpoint,
    SubjectMetrics,
    TrainingScalars,
)

TARGET = Target("sex", "binary", ("F", "M"))


def _records() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.randn(2 + i % 3, 1, generator=generator),
            "label": float(i // 2 % 2),
            "subject": f"{i // 2:02d}",
            "scan": f"scan-{i:02d}.nii.gz",
        }
        for i in range(11)
    ]


def _loader(sampler: Any) -> DataLoader:
    def collate(batch: list[dict[str, Any]]) -> dict[str, list[Any]]:
        return {key: [record[key] for record in batch] for key in batch[0]}

    return DataLoader(_records(), batch_size=1, sampler=sampler, collate_fn=collate)


def _sampler(distributed: bool, even: bool, shuffle: bool = False) -> DistributedSampler | None:
    return DistributedSampler(_records(), shuffle=shuffle, even_divisible=even) if distributed else None


def _prepare(batch: dict[str, Any], device: Any, non_blocking: bool, **kwargs: Any) -> Any:
    return batch["image"][0], torch.full((len(batch["image"][0]), 1), batch["label"][0])


def train(folder: Path, distributed: bool, even: bool, resume: bool = False) -> None:
    """One epoch of five steps that change nothing, and one evaluation.

    Args:
        folder: where everything is written.
        distributed: use DistributedDataParallel and split the scans.
        even: fill the shorter share with a scan that the other process has too.
        resume: continue from the folder's checkpoint.
    """
    torch.manual_seed(0)
    network: torch.nn.Module = torch.nn.Linear(1, 1)
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=_loader(_sampler(distributed, even)),
        network=network,
        prepare_batch=_prepare,
        postprocessing=lambda data: {**data, "pred": torch.sigmoid(data["pred"])},
        key_val_metric={"val_selection": SubjectMetrics(TARGET, key="cross_entropy", prefix="val_")},
        # A mean over windows is exact only where no scan is in both processes.
        additional_metrics={} if even else {"mean_loss": MeanLoss(torch.nn.L1Loss(), prefix="mean_")},
        val_handlers=[PredictionsWriter(folder, TARGET, bootstrap_samples=50)],
        decollate=False,
    )
    if distributed:
        network = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0)
    loss = torch.nn.BCEWithLogitsLoss()
    sampler = _sampler(distributed, even=True, shuffle=True)
    SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        epoch_length=5,
        train_data_loader=_loader(sampler),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        prepare_batch=_prepare,
        train_handlers=[
            RunCheckpoint(folder / "models", network, optimizer, {}, mode="min", evaluator=evaluator, resume=resume),
            EpochSeeds(0, sampler),
            TrainingScalars(loss, optimizer),
            ValidationHandler(1, evaluator),
            MetricsTable(folder / "metrics.csv", {"validation": evaluator}),
            Progress(),
        ],
        decollate=False,
    ).run()


def refuse() -> None:
    """What the first process may find."""
    raise ConfigError("the folder is not empty")


def main(folder: Path) -> None:
    """Trains twice together, and shows how both processes end when they cannot go on."""
    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    for name in ("uneven", "even"):
        train(folder / name, distributed=True, even=name == "even")
    try:
        train(folder / ("uneven" if rank == 0 else "no such folder"), distributed=True, even=True, resume=True)
    except WeightsError as error:
        print(str(error).removeprefix(str(folder)))
    print(by_first_process(lambda: f"of process {rank}"))
    processes.GRACE_SECONDS = 0.1
    try:
        by_first_process(refuse)
    except (ConfigError, SystemExit) as end:
        print(f"{type(end).__name__} {end}")
    dist.destroy_process_group()
    print(f"process {rank} is done")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
