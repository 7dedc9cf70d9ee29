"""The command without MONAI Label; with it, tests/apps starts real servers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.skipif(importlib.util.find_spec("monailabel") is not None, reason="MONAI Label is installed here")
def test_it_says_how_to_get_monai_label(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("serve", tmp_path, "--studies", tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("error: serve: the module ")
    assert "make label-env" in result.output
    assert "Traceback" not in result.output


def test_help_names_the_safe_defaults(command: Callable[..., Any]) -> None:
    text = " ".join(command("serve", "--help").output.replace("│", " ").split())
    assert "127.0.0.1" in text
    assert "any but loopback needs a token" in text


def test_studies_must_be_named(command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("serve", tmp_path)
    assert result.exit_code == 2
    assert "--studies" in result.output
