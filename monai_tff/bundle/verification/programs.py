"""Programs of torch.export: loading one evaluates texts in it, so that each is checked before."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from monai_tff.bundle.verification.archives import open_archive, read_member
from monai_tff.bundle.verification.findings import shown
from monai_tff.bundle.verification.operations import is_program_target
from monai_tff.bundle.verification.pickles import (
    INPUT_GLOBALS,
    MAX_PICKLE,
    STATE_DICT_MEMBERS,
    check_layout,
    check_pickle,
    check_stored,
)
from monai_tff.bundle.verification.sound import once_for_each_content
from monai_tff.bundle.verification.texts import parse_json
from monai_tff.errors import BundleError

MODEL = "models/model.json"
INPUTS = "data/sample_inputs/model.pt"
TENSORS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
MEMBERS = re.compile(
    rf"{re.escape(MODEL)}|{re.escape(INPUTS)}|{'|'.join(map(re.escape, TENSORS))}|data/weights/weight_\d+"
    r"|data/constants/tensor_\d+|archive_format|archive_version|version|byteorder|\.data/(version|serialization_id)"
)
MAX_MODEL = 16 * 1024**2
"""Bytes of the graph, and of each table of tensors; those of our networks have 400,000."""

MAX_INPUTS = 1024**3
"""Bytes of the example that a program keeps: a window of the network's input."""

NAME = re.compile(r"((?!__)\w+(\.(?!__)\w+)*)?", re.ASCII)
"""Names of values and tensors; from them PyTorch writes Python code."""

SYMBOL = r"Symbol\('[su]\d+'(, (positive|integer|nonnegative|nonzero)=True)*\)"
FUNCTION = r"(Integer|Add|Mul|Min|Max|Mod|FloorDiv|Eq|Ne|Lt|Le|Gt|Ge)\("
EXPRESSION = re.compile(rf"({SYMBOL}|{FUNCTION}|[su]\d++|[\d ,()-])*", re.ASCII)
"""Sizes as SymPy writes them; it evaluates them as Python when it reads them."""

GUARD = re.compile(r"(?!.*(\*\*|<<|>>))(L\['\w+'\]\.size\(\)\[\d+\]|and|or|not|[\d ()*+/%<>=!-])*", re.ASCII)
TREE_KEY = r'"(type|context|children_spec)"|"builtins\.(tuple|dict|list)"'
TREE = re.compile(rf'(\[1, |{TREE_KEY}|"null"|"\[\]"|null|[{{}}\[\]:, ])*')
STACK = re.compile(r"[\w.,;@\[\]() ]*", re.ASCII)

PATTERNS = {
    "expr_str": EXPRESSION,
    "guards_code": GUARD,
    "in_spec": TREE,
    "out_spec": TREE,
    "nn_module_stack": STACK,
    "torch_fn": re.compile(r"[\w.;]*", re.ASCII),
    "torch_version": re.compile(r"[\w.+]*", re.ASCII),
    "type": re.compile(r"[\w:]*", re.ASCII),
}
"""What the texts under a key may be; elsewhere they are names."""

VALUES = frozenset(
    f"as_{kind}"
    for kind in (
        *("none", "tensor", "tensors", "optional_tensor", "optional_tensors", "int", "ints", "float", "floats"),
        *("bool", "bools", "sym_int", "sym_ints", "sym_bool", "sym_bools", "sym_float", "sym_floats", "expr", "name"),
        *("scalar_type", "memory_format", "layout", "device"),
    )
)
"""Kinds of arguments; neither further graphs nor objects."""

NODE_METADATA = frozenset(("nn_module_stack", "torch_fn"))
"""What a node may say of its origin; a stack trace would tell the exporter's folders."""


def check_program(path: Path) -> None:
    """Refuses a torch.export program that does more than compute.

    Args:
        path: of the `.pt2` file.

    Raises:
        BundleError: naming the member, and what it would do.
    """
    with open(path, "rb") as file, open_archive(file) as archive:
        top = check_layout(archive.namelist(), MEMBERS, (MODEL, *TENSORS))
        check_stored(archive)
        _check_model(read_member(archive, f"{top}/{MODEL}", MAX_MODEL))
        for name in TENSORS:
            _check_tensors(read_member(archive, f"{top}/{name}", MAX_MODEL), name)
        if f"{top}/{INPUTS}" in archive.namelist():
            with open_archive(io.BytesIO(read_member(archive, f"{top}/{INPUTS}", MAX_INPUTS))) as inputs:
                inner = check_layout(inputs.namelist(), STATE_DICT_MEMBERS, ("data.pkl",))
                check_stored(inputs)
                check_pickle(read_member(inputs, f"{inner}/data.pkl", MAX_PICKLE), INPUT_GLOBALS)


@once_for_each_content
def _check_model(content: bytes) -> None:
    model = parse_json(content, max_depth=64)
    try:
        module = model["graph_module"]
        nodes = module["graph"]["nodes"]
        extras = module["treespec_namedtuple_fields"] or module["metadata"]
        for node in nodes:
            if not is_program_target(node["target"]):
                raise BundleError(f"calls {shown(node['target'])}, expected operations on tensors alone")
            if not set(node["metadata"]) <= NODE_METADATA:
                raise BundleError(f"a node tells {shown(sorted(node['metadata']))}, expected {sorted(NODE_METADATA)}")
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{MODEL} is no graph of torch.export") from error
    if extras:
        raise BundleError(f"{MODEL} holds {shown(extras)}, which no program of ours has")
    _check_texts(model, "")


def _check_texts(value: Any, key: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if not NAME.fullmatch(name) or (name.startswith("as_") and name not in VALUES):
                raise BundleError(f"{MODEL} has the key {shown(name)}, which no program of ours has")
            _check_texts(item, name)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, key)
    elif isinstance(value, str) and not PATTERNS.get(key, NAME).fullmatch(value):
        raise BundleError(f"{MODEL} has {shown(value)} under '{key}', which no program of ours has")


@once_for_each_content
def _check_tensors(content: bytes, name: str) -> None:
    table = parse_json(content)
    try:
        tensors = table["config"]
        for tensor, where in tensors.items():
            is_raw = where["use_pickle"] is False and re.fullmatch(r"(weight|tensor)_\d+", where["path_name"])
            if not is_raw or not NAME.fullmatch(tensor):
                raise BundleError(f"{name} holds {shown(tensor)} in another way than as numbers")
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{name} is no table of tensors") from error
