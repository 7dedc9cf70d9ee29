"""What a sceptical reader asks for: comparisons, permutation tests, confounds, and how often the test set was used."""

from __future__ import annotations

from monai_tff.evidence.study import Evaluation, Study, read_study

__all__ = ["Evaluation", "Study", "read_study"]
