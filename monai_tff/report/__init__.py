"""One self-contained HTML page about a run, or about a set of folds."""

from __future__ import annotations

from monai_tff.report.caveats import Caveats, find_caveats
from monai_tff.report.material import Material
from monai_tff.report.write import REPORT_FILE, gather_material, write_material, write_report

__all__ = [
    "REPORT_FILE",
    "Caveats",
    "Material",
    "find_caveats",
    "gather_material",
    "write_material",
    "write_report",
]
