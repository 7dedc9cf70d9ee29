"""Hostile weights: pickles in all their forms, archives that two readers read differently, headers that lie."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from hostile import Canary, change_members, hostile
from hostile_uses import unpickle, unpickle_safetensors

STATE_DICT = "models/model.pt"
SAFETENSORS = "models/model.safetensors"


class Call:
    """An object that calls something when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def saved(content: object, *, is_zip: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


def text(value: str) -> bytes:
    """A short text as protocol 4 writes it, and remembered."""
    return b"\x8c" + bytes([len(value)]) + value.encode() + b"\x94"


def by_hand(bundle: Path, content: bytes) -> None:
    """Puts a pickle in the place of the one in model.pt; the archive around it is a good one."""
    change_members(bundle / STATE_DICT, lambda name, old: content if name == "data.pkl" else old)


RULE = "formats"


@hostile(RULE, bites=unpickle)
def pickle_that_calls(bundle: Path, canary: Canary) -> None:
    state = torch.load(bundle / STATE_DICT, weights_only=True)
    (bundle / STATE_DICT).write_bytes(saved({**state, "extra": Call(os.remove, canary.path)}))


@hostile(RULE, bites=unpickle)
def pickle_that_evaluates(bundle: Path, canary: Canary) -> None:
    (bundle / STATE_DICT).write_bytes(saved(Call(eval, canary.removal)))


@hostile(RULE, bites=unpickle)
def pickle_within_a_pickle(bundle: Path, canary: Canary) -> None:
    inner = saved(Call(os.remove, canary.path), is_zip=False)
    (bundle / STATE_DICT).write_bytes(saved(Call(torch.storage._load_from_bytes, inner)))


@hostile(RULE, bites=unpickle)
def pickle_of_the_old_format(bundle: Path, canary: Canary) -> None:
    (bundle / STATE_DICT).write_bytes(saved(Call(os.remove, canary.path), is_zip=False))


@hostile(RULE)
def pickle_of_the_old_format_without_code(bundle: Path, canary: Canary) -> None:
    state = torch.load(bundle / STATE_DICT, weights_only=True)
    (bundle / STATE_DICT).write_bytes(saved(state, is_zip=False))


@hostile(RULE, bites=unpickle)
def pickle_alone(bundle: Path, canary: Canary) -> None:
    (bundle / STATE_DICT).write_bytes(pickle.dumps(Call(os.remove, canary.path)))


@hostile(RULE, bites=unpickle)
def pickle_in_a_tar(bundle: Path, canary: Canary) -> None:
    with tarfile.open(bundle / STATE_DICT, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(Call(os.remove, canary.path))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@hostile(RULE, bites=unpickle)
def pickle_of_protocol_0(bundle: Path, canary: Canary) -> None:
    by_hand(bundle, b"(V" + canary.path.encode() + b"\niposix\nremove\n.")


@hostile(RULE, bites=unpickle)
def pickle_of_an_object(bundle: Path, canary: Canary) -> None:
    by_hand(bundle, b"\x80\x02(cposix\nremove\nX" + struct.pack("<I", len(canary.path)) + canary.path.encode() + b"o.")


@hostile(RULE, bites=unpickle)
def pickle_of_names_from_its_memory(bundle: Path, canary: Canary) -> None:
    names = text("posix") + b"0" + text("remove") + b"0"
    by_hand(bundle, b"\x80\x04" + names + b"h\x00h\x01\x93" + text(canary.path) + b"\x85R.")


@hostile(RULE, bites=unpickle)
def pickle_of_a_name_with_points(bundle: Path, canary: Canary) -> None:
    by_hand(bundle, b"\x80\x04ctorch\nos.remove\n" + text(canary.path) + b"\x85R.")


@hostile(RULE, bites=unpickle)
def pickle_by_getattr(bundle: Path, canary: Canary) -> None:
    find = b"cbuiltins\ngetattr\n(ctorch\nos\n" + text("remove") + b"tR"
    by_hand(bundle, b"\x80\x04" + find + text(canary.path) + b"\x85R.")


@hostile(RULE, bites=unpickle)
def pickle_that_imports(bundle: Path, canary: Canary) -> None:
    (bundle.parent / "payload.py").write_text(canary.module)
    by_hand(bundle, b"\x80\x02cpayload\npathlib\n.")


@hostile(RULE)
def pickle_of_an_extension(bundle: Path, canary: Canary) -> None:
    by_hand(bundle, b"\x80\x02\x82\x01.")


@hostile(RULE, bites=unpickle)
def pickle_before_a_zip(bundle: Path, canary: Canary) -> None:
    good = (bundle / STATE_DICT).read_bytes()
    (bundle / STATE_DICT).write_bytes(pickle.dumps(Call(os.remove, canary.path)) + good)


@hostile(RULE)
def pickle_after_a_zip(bundle: Path, canary: Canary) -> None:
    with open(bundle / STATE_DICT, "ab") as file:
        file.write(pickle.dumps(Call(os.remove, canary.path)))


@hostile(RULE)
def pickle_in_a_comment_of_a_zip(bundle: Path, canary: Canary) -> None:
    with zipfile.ZipFile(bundle / STATE_DICT, "a") as archive:
        archive.comment = pickle.dumps(Call(os.remove, canary.path))


def _twice(bundle: Path, contents: list[bytes]) -> None:
    """model.pt with data.pkl several times."""
    with zipfile.ZipFile(bundle / STATE_DICT) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle / STATE_DICT, "w") as archive:
        for name, content in members.items():
            for version in contents if name.endswith("/data.pkl") else [content]:
                archive.writestr(name, version or content)


@hostile(RULE)
def pickle_twice_the_bad_one_first(bundle: Path, canary: Canary) -> None:
    _twice(bundle, [pickle.dumps(Call(os.remove, canary.path), 2), b""])


@hostile(RULE, bites=unpickle)
def pickle_twice_the_bad_one_last(bundle: Path, canary: Canary) -> None:
    _twice(bundle, [b"", pickle.dumps(Call(os.remove, canary.path), 2)])


@hostile(RULE)
def pickle_under_a_second_folder(bundle: Path, canary: Canary) -> None:
    with zipfile.ZipFile(bundle / STATE_DICT, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps(Call(os.remove, canary.path), 2))


@hostile(RULE)
def pickle_in_a_further_member(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / STATE_DICT, lambda name, old: old, **{"extra.pkl": pickle.dumps(Call(os.remove, canary.path))}
    )


@hostile(RULE)
def pickle_under_another_name_by_its_own_header(bundle: Path, canary: Canary) -> None:
    content = (bundle / STATE_DICT).read_bytes()
    (bundle / STATE_DICT).write_bytes(content.replace(b"/data.pkl", b"/dat0.pkl", 1))


@hostile(RULE)
def pickle_that_is_packed(bundle: Path, canary: Canary) -> None:
    with zipfile.ZipFile(bundle / STATE_DICT) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle / STATE_DICT, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@hostile(RULE)
def pickle_that_goes_on(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / STATE_DICT,
        lambda name, old: old + pickle.dumps(Call(os.remove, canary.path)) if name == "data.pkl" else old,
    )


@hostile(RULE)
def pickle_that_is_cut(bundle: Path, canary: Canary) -> None:
    change_members(bundle / STATE_DICT, lambda name, old: old[:-5] if name == "data.pkl" else old)


# ------------------------------------------------------------------ safetensors
@hostile(RULE, bites=unpickle_safetensors)
def safetensors_that_is_a_pickle(bundle: Path, canary: Canary) -> None:
    (bundle / SAFETENSORS).write_bytes(saved(Call(os.remove, canary.path)))


@hostile(RULE)
def safetensors_with_a_header_without_end(bundle: Path, canary: Canary) -> None:
    content = (bundle / SAFETENSORS).read_bytes()
    (bundle / SAFETENSORS).write_bytes(struct.pack("<Q", 2**62) + content[8:])


@hostile(RULE)
def safetensors_that_goes_on(bundle: Path, canary: Canary) -> None:
    with open(bundle / SAFETENSORS, "ab") as file:
        file.write(pickle.dumps(Call(os.remove, canary.path)))


@hostile(RULE)
def safetensors_that_is_cut(bundle: Path, canary: Canary) -> None:
    content = (bundle / SAFETENSORS).read_bytes()
    (bundle / SAFETENSORS).write_bytes(content[:-4])


@hostile(RULE)
def safetensors_that_is_empty(bundle: Path, canary: Canary) -> None:
    (bundle / SAFETENSORS).write_bytes(b"")


def change_header(bundle: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    """Changes the header of model.safetensors; the tensors' bytes stay."""
    content = (bundle / SAFETENSORS).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    (bundle / SAFETENSORS).write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])


def _first(header: dict[str, dict[str, object]]) -> dict[str, object]:
    return next(tensor for name, tensor in header.items() if name != "__metadata__")


@hostile(RULE)
def safetensors_that_overlap(bundle: Path, canary: Canary) -> None:
    def change(header: dict[str, dict[str, object]]) -> None:
        first, second = [tensor for name, tensor in header.items() if name != "__metadata__"][:2]
        second["data_offsets"] = first["data_offsets"]

    change_header(bundle, change)


@hostile(RULE)
def safetensors_of_another_shape_than_bytes(bundle: Path, canary: Canary) -> None:
    change_header(bundle, lambda header: _first(header).update(shape=[10**9, 10**9]))


@hostile(RULE)
def safetensors_of_a_negative_shape(bundle: Path, canary: Canary) -> None:
    change_header(bundle, lambda header: _first(header).update(shape=[-1, -1]))


@hostile(RULE)
def safetensors_of_a_kind_that_is_none(bundle: Path, canary: Canary) -> None:
    change_header(bundle, lambda header: _first(header).update(dtype="$" + canary.removal))


@hostile(RULE, "structure")
def safetensors_with_code_as_metadata(bundle: Path, canary: Canary) -> None:
    change_header(bundle, lambda header: header["__metadata__"].update(contract="$" + canary.removal))
