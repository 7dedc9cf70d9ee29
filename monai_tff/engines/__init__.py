"""What a phase feeds its network."""

from monai_tff.engines.encode_frames import encode_scans
from monai_tff.engines.prepare_batch import PreparePrediction, PrepareReconstruction, PrepareScan, label_tensor
from monai_tff.engines.training_network import training_network

__all__ = [
    "PreparePrediction",
    "PrepareReconstruction",
    "PrepareScan",
    "encode_scans",
    "label_tensor",
    "training_network",
]
