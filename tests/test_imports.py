"""What holds for every file of the package: it imports, it is short, and it never needs torchvision."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import monai_tff

PACKAGE = Path(monai_tff.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# What imports MONAI Label is imported in the environment that has it, by `make label-test`.
IMPORTED = [file for file in FILES if file.parent.name != "monailabel" or importlib.util.find_spec("monailabel")]
LONGEST_FILE = 300
LONGEST_FUNCTION = 50


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def each_file(files: list[Path] = FILES) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=[module_name(file) for file in files])


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@each_file(IMPORTED)
def test_imports(file: Path) -> None:
    module = importlib.import_module(module_name(file))
    assert module.__doc__, "the module does not say what it is for"


@each_file()
def test_files_and_functions_are_short(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_FILE
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {f.name: length(f) for f in functions if length(f) > LONGEST_FUNCTION} == {}


@each_file()
def test_torchvision_is_never_imported(file: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
    assert "torchvision" not in imported


def test_every_folder_with_code_is_a_package() -> None:
    assert [folder for folder in {file.parent for file in FILES} if not (folder / "__init__.py").exists()] == []


def test_subpackages_are_reached_by_attribute(tmp_path: Path) -> None:
    code = "import monai_tff; print(*[getattr(monai_tff, name).__name__ for name in monai_tff.SUBPACKAGES])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split() == [f"monai_tff.{name}" for name in monai_tff.SUBPACKAGES]


def test_other_attributes_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'monai_tff' has no attribute 'netwroks'"):
        _ = monai_tff.netwroks


def test_the_command_line_is_assembled_without_heavy_imports(tmp_path: Path) -> None:
    heavy = ["torch", "monai", "transformers", "ignite", "nibabel", "nilearn", "itk", "pandas", "numpy", "sklearn"]
    code = (
        "import sys; from monai_tff.cli.app import build_app; build_app(); "
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split() == []
