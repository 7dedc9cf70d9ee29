"""Hostile torch.export programs: texts that torch evaluates, pickles and libraries among their members."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hostile import Canary, change_members, hostile
from hostile_uses import run_program
from hostile_weights import Call, saved

PROGRAM = "models/model.pt2"
RULE = "formats"


def change_model(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the graph in model.pt2."""

    def changed(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        model = json.loads(content)
        change(model)
        return json.dumps(model).encode()

    change_members(bundle / PROGRAM, changed)


def replace_first(value: Any, key: str, new: object) -> bool:
    """Replaces the first value under a key, wherever it is."""
    if isinstance(value, dict):
        if key in value:
            value[key] = new
            return True
        return any(replace_first(item, key, new) for item in value.values())
    return isinstance(value, list) and any(replace_first(item, key, new) for item in value)


@hostile(RULE, bites=run_program)
def program_with_code_as_a_size(bundle: Path, canary: Canary) -> None:
    def change(model: dict[str, Any]) -> None:
        assert replace_first(model, "expr_str", canary.removal)

    change_model(bundle, change)


@hostile(RULE, bites=run_program)
def program_with_code_beside_a_size(bundle: Path, canary: Canary) -> None:
    def change(model: dict[str, Any]) -> None:
        assert replace_first(model, "expr_str", f"Symbol('s1', integer={canary.removal})")

    change_model(bundle, change)


@hostile(RULE, bites=run_program)
def program_with_code_as_a_guard(bundle: Path, canary: Canary) -> None:
    change_model(bundle, lambda model: model.update(guards_code=[canary.removal]))


@hostile(RULE)
def program_with_a_power_that_never_ends(bundle: Path, canary: Canary) -> None:
    change_model(bundle, lambda model: replace_first(model, "expr_str", "9**9**9**9"))


@hostile(RULE)
def program_with_a_guard_that_never_ends(bundle: Path, canary: Canary) -> None:
    change_model(bundle, lambda model: model.update(guards_code=["9**9**9**9 == 1"]))


@hostile(RULE)
def program_with_a_guard_that_fills_memory(bundle: Path, canary: Canary) -> None:
    change_model(bundle, lambda model: model.update(guards_code=["1<<99999999999 == 1"]))


def _example(bundle: Path, content: bytes) -> None:
    change_members(bundle / PROGRAM, lambda name, old: content if name == "data/sample_inputs/model.pt" else old)


@hostile(RULE, bites=run_program)
def program_with_a_pickle_as_its_example(bundle: Path, canary: Canary) -> None:
    _example(bundle, saved((Call(os.remove, canary.path),)))


@hostile(RULE, bites=run_program)
def program_with_an_old_pickle_as_its_example(bundle: Path, canary: Canary) -> None:
    _example(bundle, saved((Call(os.remove, canary.path),), is_zip=False))


@hostile(RULE, bites=run_program)
def program_with_a_pickle_before_its_example(bundle: Path, canary: Canary) -> None:
    good = io.BytesIO()
    torch.save(({},), good)
    _example(bundle, pickle.dumps(Call(os.remove, canary.path)) + good.getvalue())


@hostile(RULE)
def program_with_weights_that_are_pickled(bundle: Path, canary: Canary) -> None:
    def changed(name: str, content: bytes) -> bytes:
        if name == "data/weights/weight_0":
            return saved(Call(os.remove, canary.path))
        if name == "data/weights/model_weights_config.json":
            weights = json.loads(content)
            next(iter(weights["config"].values()))["use_pickle"] = True
            return json.dumps(weights).encode()
        return content

    change_members(bundle / PROGRAM, changed)


@hostile(RULE)
def program_with_an_object(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / PROGRAM,
        lambda name, old: old,
        **{"data__constants__custom_obj_0": pickle.dumps(Call(os.remove, canary.path))},
    )


@hostile(RULE)
def program_with_a_library(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / PROGRAM, lambda name, old: old, **{"data__aotinductor__model__model.so": b"\x7fELF" + bytes(100)}
    )


def _calls(name: str) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        model["graph_module"]["graph"]["nodes"][0]["target"] = name

    return change


@hostile(RULE)
def program_that_maps_a_file(bundle: Path, canary: Canary) -> None:
    change_model(bundle, _calls("torch.ops.aten.from_file.default"))


@hostile(RULE)
def program_that_calls_the_system(bundle: Path, canary: Canary) -> None:
    change_model(bundle, _calls("torch.os.system"))


@hostile(RULE)
def program_that_calls_an_operator_of_others(bundle: Path, canary: Canary) -> None:
    change_model(bundle, _calls("torch.ops.payload.run.default"))


@hostile(RULE)
def program_that_loads_another(bundle: Path, canary: Canary) -> None:
    change_model(bundle, _calls("#torch.load:1"))


@hostile(RULE)
def program_with_code_as_a_name(bundle: Path, canary: Canary) -> None:
    change_model(
        bundle, lambda model: replace_first(model["graph_module"]["graph"], "name", f"x: {canary.removal} = 1")
    )


@hostile(RULE)
def program_that_tells_where_it_was_made(bundle: Path, canary: Canary) -> None:
    def change(model: dict[str, Any]) -> None:
        node = model["graph_module"]["graph"]["nodes"][0]
        node["metadata"]["stack_trace"] = f'File "{canary.path}", line 1'

    change_model(bundle, change)


@hostile(RULE)
def program_that_is_a_pickle(bundle: Path, canary: Canary) -> None:
    (bundle / PROGRAM).write_bytes(saved(Call(os.remove, canary.path)))


@hostile(RULE)
def program_of_the_old_format(bundle: Path, canary: Canary) -> None:
    with zipfile.ZipFile(bundle / PROGRAM, "w") as archive:
        archive.writestr("version", "5.1")
        archive.writestr("serialized_state_dict.pt", saved(Call(os.remove, canary.path)))
