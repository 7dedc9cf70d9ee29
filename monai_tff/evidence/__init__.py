"""What a sceptical reader asks for: comparisons, permutation tests, confounds, and how often the test set was used."""

from __future__ import annotations

from monai_tff.evidence.gather import EVIDENCE_FILE, gather_evidence
from monai_tff.evidence.study import Evaluation, Study, read_study

__all__ = ["EVIDENCE_FILE", "Evaluation", "Study", "gather_evidence", "read_study"]
