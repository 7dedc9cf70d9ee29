"""The directive `package`: what a package is for, its public names, and every module of it from its docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
OPTIONS = ("   :members:", "   :ignore-module-all:", "   :show-inheritance:")
CODE = re.compile(r"(``.+?``|:\w+:`[^`]+`|`[^`]+`)", re.DOTALL)


def plain_marks(lines: list[str]) -> list[str]:
    """A docstring in which only backticks mean something: names stand between them, bars are magnitudes.

    Args:
        lines: as written.

    Returns:
        As many lines of reStructuredText, for napoleon.
    """

    def piece(text: str) -> str:
        if text.startswith(("``", ":")) and text.endswith("`"):
            return text
        if text.startswith("`"):
            return f"`{text}`"
        return re.sub(r"(?<=[^\s*])\*+|\|", lambda match: "".join(f"\\{mark}" for mark in match.group()), text)

    return "".join(piece(text) for text in CODE.split("\n".join(lines))).split("\n")


def modules_of(package: str) -> list[str]:
    """Public modules of a package, not those of its subpackages; a single module stands for itself."""
    folder = ROOT / Path(*package.split("."))
    if not folder.is_dir():
        return [package]
    names = (file.stem for file in sorted(folder.glob("*.py")))
    return [f"{package}.{name}" for name in names if not name.startswith("_")]


def package_docstring(package: str) -> str:
    """The docstring of a package, without importing it."""
    source = (ROOT / Path(*package.split(".")) / "__init__.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


def package_text(package: str) -> str:
    """MyST text of a package's reference.

    Args:
        package: dotted name of a package or of a module.

    Returns:
        One section for each module.
    """
    modules = modules_of(package)
    parts = [] if modules == [package] else [package_docstring(package), ""]
    for module in modules:
        parts += [] if modules == [package] else [f"## {module.rpartition('.')[2]}", ""]
        parts += ["```{eval-rst}", f".. automodule:: {module}", *OPTIONS, "```", ""]
    return "\n".join(parts)


def _docstring(app: Sphinx, kind: str, name: str, found: object, options: object, lines: list[str]) -> None:
    lines[:] = plain_marks(lines)


class PackageReference(SphinxDirective):
    """```{package} monai_tff.networks```."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """The nodes of the package's sections."""
        package = self.arguments[0]
        for module in modules_of(package):
            self.env.note_dependency(ROOT / f"{module.replace('.', '/')}.py")
        return self.parse_text_to_nodes(package_text(package), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tells Sphinx about the directive."""
    app.add_directive("package", PackageReference)
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
