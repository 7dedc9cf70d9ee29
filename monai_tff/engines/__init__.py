"""What a phase feeds its network."""

from monai_tff.engines.prepare_batch import PreparePrediction, PrepareReconstruction, PrepareScan, label_tensor

__all__ = ["PreparePrediction", "PrepareReconstruction", "PrepareScan", "label_tensor"]
