"""What the bundles' configurations call besides MONAI: checks before a run, and the run folder."""

from monai_tff.bundle.calibration import calibrate_training
from monai_tff.bundle.caller import bundle_root
from monai_tff.bundle.lineage import pretraining_overlap
from monai_tff.bundle.mlflow_store import check_mlflow
from monai_tff.bundle.processes import close_process_group, is_first_process, open_process_group
from monai_tff.bundle.run_folder import open_run
from monai_tff.bundle.start import check_window, hand_over, start
from monai_tff.bundle.weights_contract import calibration_of, check_target
from monai_tff.bundle.workflow import Workflow

__all__ = [
    "Workflow",
    "bundle_root",
    "calibrate_training",
    "calibration_of",
    "check_mlflow",
    "check_target",
    "check_window",
    "close_process_group",
    "hand_over",
    "is_first_process",
    "open_process_group",
    "open_run",
    "pretraining_overlap",
    "start",
]
