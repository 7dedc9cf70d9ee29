"""The documentation site is complete; that it builds without a warning is checked by `make docs`."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from monai_tff.cli.app import COMMANDS, build_app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / "monai_tff").rglob("__init__.py")
    if path.parent.name not in ("monai_tff", "apps", "cli")
)
"""Every package but those that hold no name for users: commands have a reference of their own."""


def extension(name: str) -> Any:
    """An extension of the site as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the module of their annotations
    spec.loader.exec_module(module)
    return module


package_reference = extension("package_reference")
command_reference = extension("command_reference")
repository_pages = extension("repository_pages")


def entries(page: Path) -> list[Path]:
    """Pages in the toctrees of a page."""
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    return [page.parent / f"{name}.md" for name in names]


def test_every_page_is_in_one_toctree() -> None:
    listed = [entry for page in PAGES for entry in entries(page)]
    assert sorted(listed) == sorted(set(PAGES) - {DOCS / "index.md"})


def test_every_package_has_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    documented = re.findall(r"^```\{package\} (\S+)$", text, re.MULTILINE)
    assert set(PACKAGES) <= set(documented)
    modules = {module for package in documented for module in package_reference.modules_of(package)}
    assert {"monai_tff.contract", "monai_tff.errors", "monai_tff.networks.tff", "monai_tff.data.cohorts.hcp"} <= modules
    assert not any(part.startswith("_") for module in modules for part in module.split("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option_of_a_command(name: str) -> None:
    from typer.main import get_command

    command = get_command(build_app()).commands[name]  # type: ignore[attr-defined]
    text = command_reference.command_text(name)
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if option not in text] == []
    assert text.startswith(f"## {name}\n")
    assert command.help.splitlines()[0] in text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["the mean of |a - b| over all"], ["the mean of \\|a - b\\| over all"]),
        (["`name` and `sub-*/x`, a*b"], ["``name`` and ``sub-*/x``, a\\*b"]),
        (["already ``code``, :py:func:`f`"], ["already ``code``, :py:func:`f`"]),
        (["Args:", "    **options: of `a", "    b`."], ["Args:", "    **options: of ``a", "    b``."]),
    ],
)
def test_docstrings_are_plain_but_for_backticks(lines: list[str], expected: list[str]) -> None:
    assert package_reference.plain_marks(lines) == expected


def test_links_lead_to_the_page_that_includes_a_file() -> None:
    found = repository_pages.places()
    assert found[ROOT / "configs" / "README.md"].page == DOCS / "reference" / "configuration.md"
    page = DOCS / "overview.md"
    text = "[a](configs/README.md) [b](docs/how_to/serve.md#x) [c](https://a.b/c.md) [d](LICENSE)\n"
    code = "```text\n[a](configs/README.md)\n```\n"
    expected = "[a](reference/configuration.md) [b](how_to/serve.md#x) [c](https://a.b/c.md) [d](../LICENSE)\n"
    assert repository_pages.relinked(text + code, ROOT / "README.md", page, found) == expected + code


def test_measurements_are_found_by_their_labels() -> None:
    found = repository_pages.places()
    results = ROOT / "benchmarks" / "results"
    assert {path.name for path in results.glob("*.md")} == {path.name for path in found if path.parent == results}
    page = DOCS / "explanation" / "x.md"
    text = "[t](../../benchmarks/results/serve.md)"
    target = "../reference/measurements.md#benchmarks-results-serve-md"
    assert repository_pages.relinked(text, page, page, found) == f"[t]({target})"
