"""The TFF networks and the ways in which their weights travel."""

from __future__ import annotations

from monai_tff.networks.checkpoints import read_checkpoint, read_learning_rate, read_state_dict, stored_state_dict
from monai_tff.networks.digest import weights_digest
from monai_tff.networks.tff import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.weights import HandoverReport, check_fit, load_finished, load_pretrained

__all__ = [
    "HandoverReport",
    "TFFAutoEncoder",
    "TFFPredictor",
    "TFFReconstructor",
    "check_fit",
    "load_finished",
    "load_pretrained",
    "read_checkpoint",
    "read_learning_rate",
    "read_state_dict",
    "stored_state_dict",
    "weights_digest",
]
