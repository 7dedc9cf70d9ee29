"""From window scores to one score per scoring unit, and from those to numbers with intervals."""

from __future__ import annotations

from monai_tff.metrics.aggregation import aggregate, score_columns
from monai_tff.metrics.calibration import Calibration, fit_calibration, with_temperature
from monai_tff.metrics.comparison import PairedDifference, holm, paired_difference
from monai_tff.metrics.decision import predicted_classes
from monai_tff.metrics.permutation import PermutationResult, permutation_test
from monai_tff.metrics.report import format_result
from monai_tff.metrics.subject import SubjectResult, evaluate_units

__all__ = [
    "Calibration",
    "PairedDifference",
    "PermutationResult",
    "SubjectResult",
    "aggregate",
    "evaluate_units",
    "fit_calibration",
    "format_result",
    "holm",
    "paired_difference",
    "permutation_test",
    "predicted_classes",
    "score_columns",
    "with_temperature",
]
