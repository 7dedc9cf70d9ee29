"""Readers of cohorts: each is a function from a folder and its tables to records."""

from __future__ import annotations

from monai_tff.data.cohorts.bids import read_bids
from monai_tff.data.cohorts.cohort import Cohort

__all__ = ["Cohort", "read_bids"]
