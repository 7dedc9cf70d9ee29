"""The model card, `docs/README.md`: what the bundle is, what it was trained on, how well it does, and its limits."""

from __future__ import annotations

from pathlib import Path

from monai_tff.bundle import layout
from monai_tff.bundle.export.details import Details, ExportSource
from monai_tff.handlers.files import replaced_file


def write_card(folder: Path, source: ExportSource, details: Details) -> None:
    """Writes `docs/README.md` with the sections that the model zoo wants.

    Args:
        folder: of the bundle.
        source: what is exported.
        details: what the person who exports says.
    """
    first = layout.CARD_SECTIONS[0]
    parts = [
        f"{'#' if section == first else '##'} {section}\n\n{source.sections.get(section, 'Not stated.')}\n"
        for section in layout.CARD_SECTIONS
    ]
    with replaced_file(folder / layout.MODEL_CARD) as file:
        file.write("\n".join(parts).encode())
