"""Hostile TorchScript: code that writes files when it runs or is loaded, and pickles among its members."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from hostile import Canary, change_members, hostile
from hostile_uses import run_torchscript
from hostile_weights import Call, saved
from torch import nn

TORCHSCRIPT = "models/model.ts"
RULE = "formats"


class Saving(nn.Module):
    """Saves its input to a file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        torch.save(windows, self.path)
        return windows


class Mapping(nn.Module):
    """Maps a file into memory, which makes it longer."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return windows + torch.from_file(self.path, True, 100, dtype=torch.uint8).sum()


class Loading(nn.Module):
    """Saves a file when it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return windows


def _scripted(bundle: Path, module: nn.Module) -> None:
    """The module as model.ts, without the members that tell where its source code lay."""
    torch.jit.script(module).save(str(bundle / TORCHSCRIPT))
    change_members(bundle / TORCHSCRIPT, lambda name, old: None if name.endswith(".debug_pkl") else old)


@hostile(RULE, bites=run_torchscript)
def torchscript_that_saves(bundle: Path, canary: Canary) -> None:
    _scripted(bundle, Saving(canary.path))


@hostile(RULE, bites=run_torchscript)
def torchscript_that_maps_a_file(bundle: Path, canary: Canary) -> None:
    _scripted(bundle, Mapping(canary.path))


@hostile(RULE, bites=run_torchscript)
def torchscript_that_saves_when_it_is_loaded(bundle: Path, canary: Canary) -> None:
    _scripted(bundle, Loading(canary.path))


def change_code(bundle: Path, change: Callable[[str], str]) -> None:
    """Changes the code of the network's own class in model.ts."""

    def changed(name: str, content: bytes) -> bytes:
        is_network = name.endswith("networks/tff.py")
        text = content.decode() if is_network else ""
        assert not is_network or change(text) != text
        return change(text).encode() if is_network else content

    change_members(bundle / TORCHSCRIPT, changed)


def _with_line(line: str) -> Callable[[str], str]:
    """A line at the start of the network's forward."""

    def change(text: str) -> str:
        head, end, rest = text.partition(") -> Tensor:\n")
        return f"{head}{end}    {line}\n{rest}"

    return change


@hostile(RULE)
def torchscript_of_the_network_that_saves(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line(f'torch.save(torch.zeros([1]), "{canary.path}")'))


@hostile(RULE)
def torchscript_that_saves_by_a_full_name(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line(f'_9 = ops.aten.save(torch.zeros([1]), "{canary.path}")'))


@hostile(RULE)
def torchscript_that_calls_an_operator_of_others(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line("_9 = ops.image.write_file(0, 1)"))


@hostile(RULE)
def torchscript_with_code_behind_a_comment(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line(f'# \f\r    torch.save(torch.zeros([1]), "{canary.path}")'))


@hostile(RULE)
def torchscript_by_getattr(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line('_9 = getattr(torch, "save")(0)'))


@hostile(RULE)
def torchscript_without_end(bundle: Path, canary: Canary) -> None:
    change_code(bundle, _with_line("while True:\n      pass"))


@hostile(RULE)
def torchscript_with_a_further_class(bundle: Path, canary: Canary) -> None:
    change_code(bundle, lambda text: text + "class Other(Interface):\n  def save(self) -> None:\n    pass\n")


@hostile(RULE)
def torchscript_with_a_pickle(bundle: Path, canary: Canary) -> None:
    bad = pickle.dumps(Call(os.remove, canary.path), 2)
    change_members(bundle / TORCHSCRIPT, lambda name, old: bad if name == "data.pkl" else old)


@hostile(RULE)
def torchscript_with_a_pickle_of_constants(bundle: Path, canary: Canary) -> None:
    bad = pickle.dumps(Call(os.remove, canary.path), 2)
    change_members(bundle / TORCHSCRIPT, lambda name, old: bad if name == "constants.pkl" else old)


@hostile(RULE)
def torchscript_with_a_pickle_for_debugging(bundle: Path, canary: Canary) -> None:
    bad = pickle.dumps(Call(os.remove, canary.path), 2)
    change_members(bundle / TORCHSCRIPT, lambda name, old: old, **{"code__tff.py.debug_pkl": bad})


@hostile(RULE)
def torchscript_that_is_a_pickle(bundle: Path, canary: Canary) -> None:
    (bundle / TORCHSCRIPT).write_bytes(saved(Call(os.remove, canary.path)))


@hostile(RULE)
def torchscript_that_is_no_archive(bundle: Path, canary: Canary) -> None:
    (bundle / TORCHSCRIPT).write_bytes(b"\x7fELF" + bytes(100))


@hostile(RULE)
def torchscript_with_a_class_of_torch(bundle: Path, canary: Canary) -> None:
    bad = b"\x80\x02c__torch__.torch.classes.profiling\n_ScriptProfile\n)\x81}b."
    change_members(bundle / TORCHSCRIPT, lambda name, old: bad if name == "data.pkl" else old)


@hostile(RULE)
def torchscript_that_grows_when_it_is_unpacked(bundle: Path, canary: Canary) -> None:
    with zipfile.ZipFile(bundle / TORCHSCRIPT) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle / TORCHSCRIPT, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(2**24) if name.endswith("data/0") else content)
