from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.bundle import layout
from monai_tff.bundle.verification.formats import check_safetensors, check_state_dict, safetensors_header
from monai_tff.bundle.verification.operations import is_operation, is_program_target
from monai_tff.bundle.verification.pickles import check_pickle
from monai_tff.bundle.verification.programs import EXPRESSION, GUARD, NAME, TREE, check_program
from monai_tff.bundle.verification.torchscript import check_code, check_torchscript
from monai_tff.errors import BundleError


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2, 3), "b": torch.zeros(0)}, path, metadata={"contract": "{}"})
    tensors, metadata = safetensors_header(path)
    assert {name: tensor["shape"] for name, tensor in tensors.items()} == {"a": [2, 3], "b": [0]}
    assert metadata == {"contract": "{}"}


def header(content: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x05.",
        struct.pack("<Q", 2**40),
        header({"a": ONE}, b"123"),
        header({"a": ONE}, b"12345"),
        header({"a": {**ONE, "dtype": "PICKLE"}}, b"1234"),
        header({"a": {**ONE, "shape": [2]}}, b"1234"),
        header({"a": {**ONE, "shape": [-1]}}, b"1234"),
        header({"a": {**ONE, "more": 1}}, b"1234"),
        header({"a": {**ONE, "shape": [True]}}, b"1234"),
        header({"a": ONE, "b": ONE}, b"1234"),
        header({"a": ONE, "b": {**ONE, "data_offsets": [5, 9]}}, b"123456789"),
        header({"__metadata__": {"x": 1}, "a": ONE}, b"1234"),
        header({"a": [1]}, b"1234"),
        header({}, b""),
    ],
    ids=range(15),
)
def test_safetensors_that_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(BundleError):
        check_safetensors(tmp_path / "x.safetensors")


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


STATE = OrderedDict(a=torch.ones(2), b=torch.zeros(3, dtype=torch.int64), c=torch.ones(1, dtype=torch.bfloat16))


def test_a_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    for content in (
        STATE,
        {"model": STATE, "rate": 1e-3, "epoch": 3, "names": ["F", "M"]},
        torch.nn.Linear(2, 3).state_dict(),
    ):
        path.write_bytes(saved(content))
        check_state_dict(path)


class Runs:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def changed(content: bytes, change: Callable[[str, bytes], tuple[str, bytes]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", **options) as new:
        for member in old.namelist():
            new.writestr(*change(member, old.read(member)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: saved({"a": Runs()}), "would call '__builtin__.print'"),
        (lambda: saved(torch.nn.Linear(2, 3)), "would call 'torch.nn.modules.linear.Linear'"),
        (lambda: pickle.dumps({"a": 1}), "no zip archive|zip"),
        (
            lambda: changed(saved(STATE), lambda name, data: (name.replace("byteorder", "constants.pkl"), data)),
            "constants",
        ),
        (
            lambda: changed(saved(STATE), lambda name, data: (name, data), compression=zipfile.ZIP_DEFLATED),
            "is compressed",
        ),
        (
            lambda: changed(saved(STATE), lambda name, data: (name.replace("data.pkl", "version.pkl"), data)),
            "version.pkl",
        ),
        (
            lambda: changed(
                saved(STATE), lambda name, data: (name, data + b"." if name.endswith("data.pkl") else data)
            ),
            "something follows the end",
        ),
    ],
    ids=["a call", "a network", "a bare pickle", "TorchScript inside", "compressed", "no data.pkl", "two pickles"],
)
def test_a_state_dict_that_is_more(make: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(make())
    with pytest.raises(BundleError, match=message):
        check_state_dict(tmp_path / "x.pt")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "content", [Runs(), b"bytes", {1, 2}, print, 1j], ids=["call", "bytes", "set", "function", "complex"]
)
def test_pickles_in_every_protocol(content: Any, protocol: int) -> None:
    with pytest.raises(BundleError):
        check_pickle(pickle.dumps([content], protocol))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_harmless_pickle_or_refused(content: bytes) -> None:
    try:
        check_pickle(content)
    except BundleError:
        return
    assert content.endswith(b".")


@pytest.mark.parametrize("name", ["sex", "reconstruction"])
def test_programs_of_an_export(name: str, exports: Callable[[str], Any]) -> None:
    check_torchscript(exports(name).folder / layout.TORCHSCRIPT)
    check_program(exports(name).folder / layout.PROGRAM)


MODULE = "class X(Module):\n  def forward(self: __torch__.X, image: Tensor) -> Tensor:\n    return {}\n"


def test_code_that_computes() -> None:
    check_code("x.py", MODULE.format('torch.add(torch.gelu(image, approximate="none"), self.bias)').encode())


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (MODULE.format('torch.from_file("x", True, 3)'), "calls 'torch.from_file'"),
        (MODULE.format('torch.save(image, "x")'), "calls 'torch.save'"),
        (MODULE.format("ops.aten.save(image)"), "calls 'ops.aten.save'"),
        (MODULE.format("ops.prim.RaiseException(image)"), "calls 'ops.prim.RaiseException'"),
        (MODULE.format("print(image)"), "calls 'print'"),
        (MODULE.format("(torch.add)(image).save()"), "calls"),
        (MODULE.format("self.run(image)"), "calls 'self.run'"),
        (MODULE.format("image @ image"), "BinOp"),
        (MODULE.format("[x for x in image]"), "ListComp"),
        (MODULE.format("image # comment"), "a text or comment"),
        (MODULE.format("torch.add('x')"), "a text or comment"),
        (MODULE.format('torch.add("../x")'), "a text or comment"),
        (MODULE.format("torch.add(image, \\\n1)"), "a text or comment"),
        (MODULE.format("image").replace("forward", "__setstate__"), "the function '__setstate__'"),
        (MODULE.format("image").replace("(Module)", "(Object)"), "the class 'X' is no module"),
        ("import os\n", "Import"),
        ("while True:\n  pass\n", "While"),
        ("def (", "no code of TorchScript"),
        ("x" + ".x" * 5000 + "()", "no code of TorchScript|calls"),
        ("(" * 5000, "no code of TorchScript"),
    ],
    ids=range(20),
)
def test_code_that_does_more(code: str, part: str) -> None:
    with pytest.raises(BundleError, match=rf"the member 'x\.py'.*({part})"):
        check_code("x.py", code.encode())


@pytest.mark.parametrize(
    "name", ["save", "load", "from_file", "set_", "print", "eval", "__class__", "resize_", "frombuffer"]
)
def test_no_operation(name: str) -> None:
    assert not is_operation(name)
    assert not is_program_target(f"torch.ops.aten.{name}.default")


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.hub.load",
        "torch.ops.aten.add",
        "torch.ops.other.add.default",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "_operator.add.x",
        "math.exp",
        "#x:y",
        "builtins.print",
        "torch.ops.aten.add.default\n",
    ],
)
def test_no_target_of_a_program(target: str) -> None:
    assert not is_program_target(target)


def test_targets_of_a_program() -> None:
    assert is_program_target("torch.ops.aten.leaky_relu_.default")
    assert is_program_target("_operator.mul")


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (
            EXPRESSION,
            ["__import__('os')", "exit()", "Symbol('x')", "Symbol('s1', x=True)", "Pow(Integer(9), 9)", "9**9", "s1.x"],
        ),
        (GUARD, ["exit()", "L['x'].__class__", "9**9**9", "L[x]", "L['x'].size()[0]; x", "1\n2"]),
        (TREE, ['{"type": "os.abort"}', "[2]", '"builtins.eval"']),
        (NAME, ["a b", "a;b", "__x", "a.__x", "a\nb", "a\n", "a[0]", ".a", "a."]),
    ],
    ids=["expression", "guard", "tree", "name"],
)
def test_texts_that_a_program_may_not_hold(pattern: Any, texts: list[str]) -> None:
    assert [text for text in texts if pattern.fullmatch(text)] == []


def test_patterns_end_soon() -> None:
    """No text makes them try every way to read it."""
    long = "Symbol('s1', positive=True)" * 2000 + "s12345678901234567890" * 2000 + "!"
    assert EXPRESSION.fullmatch(long) is None
    assert GUARD.fullmatch("L['x'].size()[11111] and not 1111" * 3000 + "x") is None
    assert TREE.fullmatch('[1, {"type": null}, [], "[]"' * 3000 + "x") is None
    assert NAME.fullmatch("a1." * 30000 + "!") is None
