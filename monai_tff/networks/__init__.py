"""The TFF networks and the ways in which their weights travel."""

from __future__ import annotations

from monai_tff.networks.tff import TFFAutoEncoder, TFFPredictor, TFFReconstructor

__all__ = ["TFFAutoEncoder", "TFFPredictor", "TFFReconstructor"]
