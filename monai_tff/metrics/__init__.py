"""From window scores to one score per scoring unit, and from those to numbers with intervals."""

from __future__ import annotations

from monai_tff.metrics.aggregation import aggregate, score_columns
from monai_tff.metrics.decision import predicted_classes
from monai_tff.metrics.report import format_result
from monai_tff.metrics.subject import SubjectResult, evaluate_units

__all__ = ["SubjectResult", "aggregate", "evaluate_units", "format_result", "predicted_classes", "score_columns"]
