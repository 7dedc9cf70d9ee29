"""A bundle that tests of verification may change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bundle(exports: Callable[[str], Any], tmp_path: Path) -> Path:
    """A copy of an exported bundle."""
    return shutil.copytree(exports("sex").folder, tmp_path / "bundle")
