"""Pickles of a stranger: read opcode by opcode and never loaded."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterable

from monai_tff.bundle.verification.findings import shown
from monai_tff.bundle.verification.sound import once_for_each_content
from monai_tff.errors import BundleError

OPCODES = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
        *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "DICT", "LIST"),
        *("APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
    )
)
"""What a pickle of tensors needs; names that are put together while it is read (`STACK_GLOBAL`) are not among it."""

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
TENSOR_GLOBALS = frozenset(
    ("collections OrderedDict", "torch._utils _rebuild_tensor_v2", *(f"torch {name}Storage" for name in STORAGES))
)
"""Functions and classes that a state dict of tensors and numbers is made of."""

INPUT_GLOBALS = TENSOR_GLOBALS | {"torch._tensor _rebuild_from_type_v2", "torch Tensor"}
"""What the example inputs of a torch.export program are made of: it keeps their type."""

SCRIPT_GLOBALS = TENSOR_GLOBALS | {"torch.jit._pickle restore_type_tag"}
"""What TorchScript writes around lists; it only names their type."""

SCRIPT_GLOBAL = re.compile(r"__torch__\.(monai_tff|torch\.nn|transformers)(\.\w+)* \w+", re.ASCII)
"""Classes of a TorchScript archive's own code, and none of those that PyTorch itself offers there."""

SCRIPT_OPCODES = OPCODES | {"NEWOBJ"}
STATE_DICT_MEMBERS = re.compile(
    r"data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+"
)
"""Of a file that `torch.save` writes."""

MAX_PICKLE = 8 * 1024**2
"""Bytes of a pickle, the tensors' values not counted."""


@once_for_each_content
def check_pickle(content: bytes, allowed: frozenset[str] = TENSOR_GLOBALS, is_script: bool = False) -> None:
    """Refuses a pickle that does more than putting tensors, numbers and texts together.

    Args:
        content: the pickle.
        allowed: functions and classes that it may name.
        is_script: of a TorchScript archive, which may name the classes of its own code as well.

    Raises:
        BundleError: naming the first opcode or global that is not allowed.
    """
    opcodes = SCRIPT_OPCODES if is_script else OPCODES
    end = 0
    try:
        for opcode, argument, position in pickletools.genops(content):
            if opcode.name not in opcodes:
                raise BundleError(f"the opcode {opcode.name}, expected a pickle of tensors and numbers")
            known = argument in allowed or (is_script and SCRIPT_GLOBAL.fullmatch(str(argument)))
            if opcode.name == "GLOBAL" and not known:
                name = str(argument).replace(" ", ".")
                raise BundleError(f"would call {shown(name)} when it is loaded, expected tensors and numbers")
            end = (position or 0) + 1
    except (ValueError, EOFError, UnicodeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"a pickle that cannot be read ({shown(str(error))}), expected a whole one") from error
    if end != len(content):
        raise BundleError("something follows the end of a pickle, expected nothing")


def check_layout(names: Iterable[str], members: re.Pattern[str], required: Iterable[str]) -> str:
    """Refuses an archive whose members are not those of its kind.

    Args:
        names: of all members.
        members: pattern of a member below the top folder.
        required: members that must be there.

    Returns:
        The top folder.

    Raises:
        BundleError: naming the first member that should not be there, or should.
    """
    names = list(names)
    top = names[0].partition("/")[0] if names else ""
    for name in names:
        folder, _, rest = name.partition("/")
        if folder != top or not members.fullmatch(rest):
            raise BundleError(f"the member {shown(name)}, which no such archive has")
    for name in required:
        if f"{top}/{name}" not in names:
            raise BundleError(f"no member {name}, expected one")
    return top


def check_stored(archive: zipfile.ZipFile, but: str | None = None) -> None:
    """Refuses compressed members: torch writes tensors as they are, and they cannot grow when they are read.

    Args:
        archive: from `open_archive`.
        but: end of the names of members that may be compressed.

    Raises:
        BundleError: naming the first one.
    """
    for member in archive.infolist():
        stored = member.compress_type == zipfile.ZIP_STORED and member.compress_size == member.file_size
        if not stored and not (but and member.filename.endswith(but)):
            raise BundleError(f"the member {shown(member.filename)} is compressed, expected it as torch writes it")
