"""Simpler methods on the same split as a run: covariates alone, the mean image, functional connectivity."""

from __future__ import annotations

from monai_tff.baselines.options import BaselineOptions
from monai_tff.baselines.run import run_baselines

__all__ = ["BaselineOptions", "run_baselines"]
