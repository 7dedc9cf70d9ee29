"""Verification of a bundle that somebody else made: before anything of it runs, and as a whole."""

from __future__ import annotations

from monai_tff.bundle.verification.findings import RULES, SAFETY_RULES, Finding
from monai_tff.bundle.verification.opening import opened_bundle
from monai_tff.bundle.verification.rules import checked_rules, refuse_unsafe, verify_bundle

__all__ = ["RULES", "SAFETY_RULES", "Finding", "checked_rules", "opened_bundle", "refuse_unsafe", "verify_bundle"]
