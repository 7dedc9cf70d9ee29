"""Subject-level predictions from 4D fMRI scans with TFF, the Transformer Framework for fMRI, on MONAI."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

SUBPACKAGES = (
    "bundle",
    "contract",
    "data",
    "engines",
    "handlers",
    "inferers",
    "losses",
    "metrics",
    "networks",
    "transforms",
)


def __getattr__(name: str) -> ModuleType:
    """Imports a subpackage on first use: configs write `$import monai_tff`, and the command line starts at once."""
    if name not in SUBPACKAGES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return importlib.import_module(f"{__name__}.{name}")
