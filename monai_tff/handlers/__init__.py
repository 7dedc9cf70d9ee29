"""Ignite handlers: metrics over subjects, files of a run, checkpoints, seeds, schedules."""

from __future__ import annotations

from monai_tff.handlers.checkpoints import RunCheckpoint
from monai_tff.handlers.clipping import GradientClipping
from monai_tff.handlers.finite import NonFiniteGuard
from monai_tff.handlers.loss_metrics import MeanLoss, TrainingScalars, training_scalars
from monai_tff.handlers.lr_schedule import FlooredStepLR
from monai_tff.handlers.metrics_table import MetricsTable
from monai_tff.handlers.mlflow_run import MLflowRun
from monai_tff.handlers.predictions import PredictionsWriter
from monai_tff.handlers.progress import Progress
from monai_tff.handlers.reconstruction import LossWriter, ReconstructionWriter
from monai_tff.handlers.seeds import EpochSeeds
from monai_tff.handlers.subject_metrics import SubjectMetrics

__all__ = [
    "EpochSeeds",
    "FlooredStepLR",
    "GradientClipping",
    "LossWriter",
    "MLflowRun",
    "MeanLoss",
    "MetricsTable",
    "NonFiniteGuard",
    "PredictionsWriter",
    "Progress",
    "ReconstructionWriter",
    "RunCheckpoint",
    "SubjectMetrics",
    "TrainingScalars",
    "training_scalars",
]
