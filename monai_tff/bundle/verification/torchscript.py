"""TorchScript archives: their code is read, not run, and may compute with tensors and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from monai_tff.bundle import layout
from monai_tff.bundle.verification.archives import open_archive, read_member
from monai_tff.bundle.verification.findings import shown
from monai_tff.bundle.verification.operations import is_operation
from monai_tff.bundle.verification.pickles import MAX_PICKLE, SCRIPT_GLOBALS, check_layout, check_pickle, check_stored
from monai_tff.bundle.verification.sound import once_for_each_content
from monai_tff.bundle.verification.texts import MAX_TEXT
from monai_tff.errors import BundleError

MEMBERS = re.compile(
    r"(data|constants|traced_inputs)\.pkl|version|byteorder|\.data/(version|serialization_id)"
    r"|(data|constants|traced_inputs)/\d+|code/__torch__/[\w/]+\.py"
    rf"|extra/{re.escape(layout.SCRIPT_METADATA)}"
)
"""Without `.debug_pkl`, which tells where the source code lay and may be loaded as a pickle."""

FUNCTION = re.compile(r"forward\d*")
"""Functions of a traced module; `__setstate__` would run when the archive is loaded."""

STRING = re.compile(r'"[\w.:-]*"', re.ASCII)
UNSURE = re.compile(r"[\"'#\\\r\f]")
BUILTINS = ("getattr", "int", "float", "bool", "annotate")
NUMBER_TO_TENSOR = "ops.prim.NumToTensor"

STATEMENTS = frozenset(
    (
        *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.AnnAssign, ast.Assign, ast.Return),
        *(ast.Pass, ast.Expr, ast.Call, ast.keyword, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple),
        *(ast.List, ast.UnaryOp, ast.USub, ast.Load, ast.Store),
    )
)
"""What the code of a traced network is written with."""


def check_torchscript(path: Path) -> None:
    """Refuses a TorchScript archive that does more than compute.

    Args:
        path: of the `.ts` file.

    Raises:
        BundleError: naming the member, and what it would do.
    """
    with open(path, "rb") as file, open_archive(file) as archive:
        names = archive.namelist()
        check_layout(names, MEMBERS, ("data.pkl", "constants.pkl"))
        check_stored(archive, but=".py")
        for name in names:
            if name.endswith(".pkl"):
                check_pickle(read_member(archive, name, MAX_PICKLE), SCRIPT_GLOBALS, is_script=True)
            elif name.endswith(".py"):
                check_code(name, read_member(archive, name, MAX_TEXT))


def metadata_inside(path: Path) -> bytes | None:
    """The metadata of the bundle that a TorchScript archive keeps for MONAI, None where it keeps none.

    Args:
        path: of the `.ts` file.

    Raises:
        BundleError: for a damaged archive.
    """
    with open(path, "rb") as file, open_archive(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/extra/{layout.SCRIPT_METADATA}")]
        return read_member(archive, names[0], MAX_TEXT) if names else None


def check_code(name: str, content: bytes) -> None:
    """Refuses code of a TorchScript archive that does more than compute.

    Args:
        name: of the member, for the message.
        content: its text.

    Raises:
        BundleError: naming the line and what is not allowed there.
    """
    try:
        _check_code(content)
    except BundleError as error:
        raise BundleError(f"the member {shown(name)}{error}") from error


@once_for_each_content
def _check_code(content: bytes) -> None:
    try:
        text = content.decode("ascii")
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise BundleError(" is no code of TorchScript") from error
    # what two parsers could read differently: other strings, comments, lines that go on
    if UNSURE.search(STRING.sub("", text)):
        raise BundleError(" holds a text or comment that no traced network has")
    for node in ast.walk(tree):
        fault = _fault_of(node)
        if fault:
            raise BundleError(f", line {getattr(node, 'lineno', 1)}: {fault}")


def _fault_of(node: ast.AST) -> str:
    """What a piece of code does besides computing; empty for nothing."""
    if type(node) not in STATEMENTS:
        return f"{type(node).__name__}, which no traced network has"
    if isinstance(node, ast.Call) and not _is_computation(node.func):
        return f"calls {shown(ast.unparse(node.func))}, expected operations on tensors alone"
    if isinstance(node, ast.FunctionDef) and not FUNCTION.fullmatch(node.name):
        return f"the function {shown(node.name)}, expected forward alone"
    if isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] != ["Module"]:
        return f"the class {shown(node.name)} is no module"
    return ""


def _is_computation(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in BUILTINS
    if not isinstance(function, ast.Attribute):
        return False
    if isinstance(function.value, ast.Name) and function.value.id == "torch":
        return is_operation(function.attr)
    if FUNCTION.fullmatch(function.attr):
        return isinstance(function.value, ast.Name | ast.Attribute)
    return ast.unparse(function) == NUMBER_TO_TENSOR
