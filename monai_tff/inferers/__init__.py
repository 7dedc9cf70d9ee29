"""Inference over whole scans."""

from monai_tff.inferers.temporal import TemporalInferer, plain_network

__all__ = ["TemporalInferer", "plain_network"]
