"""Inference over whole scans."""

from monai_tff.inferers.precision import WindowInferer, mixed_precision
from monai_tff.inferers.temporal import TemporalInferer, plain_network

__all__ = ["TemporalInferer", "WindowInferer", "mixed_precision", "plain_network"]
