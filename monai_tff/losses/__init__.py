"""Losses of the three phases."""

from __future__ import annotations

from monai_tff.losses.perceptual import PerceptualLoss
from monai_tff.losses.prediction import prediction_loss
from monai_tff.losses.reconstruction import IntensityLoss, ReconstructionLoss

__all__ = ["IntensityLoss", "PerceptualLoss", "ReconstructionLoss", "prediction_loss"]
