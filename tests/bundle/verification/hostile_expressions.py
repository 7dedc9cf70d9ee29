"""Hostile configurations: code in targets, expressions, macros and keys, and strings that become callables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hostile import Canary, config, hostile, metadata, value_cases
from hostile_uses import parse, parse_training, read_with_its_reader

RULE = "configs"


def wide(text: str) -> str:
    """Letters that look like others, and that Python takes for them in a name."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, **arguments}


value_cases(
    {
        "target_os_remove": ("prepare_batch", lambda c: call("os.remove", path=c.path)),
        "target_in_a_list": ("handlers#+", lambda c: call("os.remove", path=c.path)),
        "target_in_the_contract": ("contract#threshold", lambda c: call("os.remove", path=c.path)),
        "target_among_the_classes": ("contract#target#class_names#0", lambda c: call("os.remove", path=c.path)),
        "target_in_the_network": ("network_def#dropout", lambda c: call("os.remove", path=c.path)),
        "target_in_a_description": ("inferer#_desc_", lambda c: call("os.remove", path=c.path)),
        "target_that_is_disabled": ("prepare_batch#_disabled_", lambda c: call("os.remove", path=c.path)),
        "target_as_a_target": ("prepare_batch#_target_", lambda c: call("os.remove", path=c.path)),
        "target_rmtree": ("prepare_batch", lambda c: call("shutil.rmtree", path=str(c.folder))),
        "target_open": ("prepare_batch", lambda c: call("builtins.open", file=c.path, mode="w")),
        "target_subprocess": ("prepare_batch", lambda c: call("subprocess.run", args=["rm", c.path])),
        "target_shell": ("prepare_batch", lambda c: call("subprocess.getoutput", cmd=f"rm {c.path}")),
        "target_timeit": ("prepare_batch", lambda c: call("timeit.timeit", stmt=c.removal, number=1)),
        "target_torch_save": ("prepare_batch", lambda c: call("torch.save", obj=0, f=c.path)),
        "target_torch_from_file": (
            "prepare_batch",
            lambda c: call("torch.from_file", filename=c.path, shared=True, size=99),
        ),
        "target_numpy_save": ("prepare_batch", lambda c: call("numpy.save", file=str(c.folder / "new"), arr=0)),
        "target_of_monai_by_its_bare_name": (
            "prepare_batch",
            lambda c: call("save_state", src={}, path=str(c.folder / "new")),
        ),
        "target_of_ours_by_its_bare_name": (
            "prepare_batch",
            lambda c: call("write_datalist", datalist={}, path=str(c.folder / "new")),
        ),
    },
    RULE,
    bites=parse,
)
value_cases(
    {
        # called for each scan, with the record
        "target_kept_for_later": ("dataset#transform", lambda c: call("os.remove", path=c.path, _mode_="callable")),
        "target_eval": ("prepare_batch", lambda c: call("builtins.eval", source=c.removal)),
        "target_hub": ("network_def", lambda c: call("torch.hub.load", repo_or_dir=".", model="m", source="local")),
        "target_monai_run": ("prepare_batch", lambda c: call("monai.bundle.run", config_file="large_files.yml")),
        "target_of_the_template_with_other_arguments": (
            "prepare_batch",
            lambda c: call("torch.optim.AdamW", params=[]),
        ),
        "target_that_is_a_number": ("prepare_batch#_target_", lambda c: 7),
        "target_that_is_null": ("prepare_batch#_target_", lambda c: None),
        "target_by_reference": ("prepare_batch#_target_", lambda c: "@weights"),
    },
    RULE,
)


@hostile(RULE, bites=parse)
def target_that_runs_the_license_of_the_data(bundle: Path, canary: Canary) -> None:
    (bundle / "docs" / "data_license.txt").write_text(canary.module)
    with config(bundle) as content:
        content["prepare_batch"] = call("runpy.run_path", path_name="docs/data_license.txt")


@hostile(RULE, bites=parse)
def target_that_unpickles_the_weights(bundle: Path, canary: Canary) -> None:
    (bundle / "models" / "model.pt").write_bytes(b"cposix\nremove\n(V" + canary.path.encode() + b"\ntR.")
    with config(bundle) as content:
        content["prepare_batch"] = call("torch.load", f="models/model.pt", weights_only=False)


value_cases(
    {
        "expression_as_a_path": ("dataset_dir", lambda c: "$" + c.removal),
        "expression_as_the_weights": ("weights", lambda c: f"$@bundle_root + str({c.removal_by_torch})"),
        "expression_in_the_contract": ("contract#trim", lambda c: "$" + c.removal),
        "expression_as_the_name_of_the_target": ("contract#target#name", lambda c: "$" + c.removal),
        "expression_as_a_class": ("contract#target#class_names#1", lambda c: "$" + c.removal),
        "expression_in_the_network": ("network_def#hidden_size", lambda c: "$" + c.removal),
        "expression_in_a_list": ("network_def#spatial_size#0", lambda c: "$" + c.removal),
        "expression_in_a_handler": ("handlers#0#output_dir", lambda c: "$" + c.removal),
        "expression_that_disables": ("handlers#0#_disabled_", lambda c: "$" + c.removal),
        "expression_that_is_required": ("inferer#_requires_", lambda c: ["$" + c.removal]),
        "expression_in_a_description": ("inferer#_desc_", lambda c: "$" + c.removal),
        "expression_in_initialize": ("initialize#0", lambda c: "$" + c.removal),
        "expression_among_the_imports": ("imports#+", lambda c: "$" + c.removal),
        "expression_after_one_of_ours": ("initialize#0", lambda c: "$monai_tff.bundle.start() or " + c.removal),
        "expression_before_one_of_ours": (
            "network",
            lambda c: f"$({c.removal_by_torch}, @network_def.to(@device))[1]",
        ),
        "expression_within_one_of_ours": (
            "device",
            lambda c: f"$torch.device('cuda' if torch.cuda.is_available() else {c.removal} or 'cpu')",
        ),
        "expression_over_two_lines": ("prepare_batch", lambda c: "$\\\n" + c.removal),
        "expression_in_other_letters": (
            "prepare_batch",
            lambda c: "$" + c.removal.replace("remove", wide("remove")),
        ),
        "expression_by_subclasses": (
            "prepare_batch",
            lambda c: (
                f"$[k for k in ().__class__.__base__.__subclasses__() if k.__name__ == 'catch_warnings'][0]()"
                f"._module.sys.modules['os'].remove({c.path!r})"
            ),
        ),
        "expression_by_torch": ("prepare_batch", lambda c: f"$torch.os.remove({c.path!r})"),
        "expression_in_a_second_list_of_imports": ("amp", lambda c: ["$import os", "$" + c.removal]),
    },
    RULE,
    bites=parse,
)
value_cases(
    {
        "expression_with_blanks": ("prepare_batch", lambda c: "$ \t" + c.removal),
        "expression_at_the_end": ("finalize", lambda c: ["$" + c.removal]),
        "expression_in_run": ("run#0", lambda c: "$" + c.removal),
        "expression_in_inferring": ("inferring", lambda c: ["$" + c.removal]),
        "expression_of_a_format": ("prepare_batch", lambda c: "$f'{" + c.removal.replace("'", '"') + "}'"),
    },
    RULE,
)
value_cases(
    {
        "training_expression": ("seed", lambda c: "$" + c.removal),
        "training_expression_in_a_handler": ("validate#handlers#0#_disabled_", lambda c: "$" + c.removal),
        "training_target": ("lr_scheduler", lambda c: call("os.remove", path=c.path)),
    },
    RULE,
    file="train.yaml",
    bites=parse_training,
)
value_cases({"evaluation_expression": ("initialize#1", lambda c: "$" + c.removal)}, RULE, file="evaluate.yaml")


def _with_payload(bundle: Path, canary: Canary) -> None:
    """A module beside the bundle, so that the bundle has no file too many."""
    (bundle.parent / "payload.py").write_text(canary.module)


@hostile(RULE, bites=parse)
def import_of_a_file_of_the_bundle(bundle: Path, canary: Canary) -> None:
    _with_payload(bundle, canary)
    with config(bundle) as content:
        content["imports"].append("$import payload")


@hostile(RULE, bites=parse)
def import_under_the_name_of_ours(bundle: Path, canary: Canary) -> None:
    _with_payload(bundle, canary)
    with config(bundle) as content:
        content["imports"][1] = "$import payload as monai_tff"


@hostile("metadata", bites=parse)
def import_in_the_metadata(bundle: Path, canary: Canary) -> None:
    _with_payload(bundle, canary)
    with metadata(bundle) as content:
        content["description"] = "$from payload import pathlib"


@hostile("metadata", bites=parse)
def target_in_the_metadata(bundle: Path, canary: Canary) -> None:
    with metadata(bundle) as content:
        content["supported_apps"] = call("os.remove", path=canary.path)


@hostile("metadata", bites=parse)
def expression_in_the_metadata(bundle: Path, canary: Canary) -> None:
    with metadata(bundle) as content:
        content["network_data_format"]["inputs"]["image"]["channel_def"]["0"] = "$" + canary.removal


@hostile("metadata", RULE, bites=parse)
def macro_of_the_metadata(bundle: Path, canary: Canary) -> None:
    with metadata(bundle) as content:
        content["copyright"] = "$" + canary.removal
    with config(bundle) as content:
        content["prepare_batch"] = "%_meta_#copyright"


@hostile(RULE, bites=parse)
def macro_of_another_file(bundle: Path, canary: Canary) -> None:
    (bundle / "large_files.yml").write_text(json.dumps({"large_files": [], "code": "$" + canary.removal}))
    with config(bundle) as content:
        content["prepare_batch"] = "%large_files.yml#code"


@hostile(RULE, bites=parse)
def macro_of_a_file_outside(bundle: Path, canary: Canary) -> None:
    outside = bundle.parent / "outside.json"
    outside.write_text(json.dumps({"code": "$" + canary.removal}))
    with config(bundle) as content:
        content["prepare_batch"] = f"%{outside}#code"


@hostile(RULE)
def debugger(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        content["contract"]["_mode_"] = "debug"


def _keys() -> None:
    values = {
        "key_that_sets_a_target": {"prepare_batch#_target_": "os.remove", "prepare_batch#path": None},
        "key_that_sets_a_target_with_colons": {"prepare_batch::_target_": "os.remove", "prepare_batch::path": None},
        "key_that_extends_a_list": {"+handlers": [{"_target_": "os.remove", "path": None}]},
        "key_that_changes_a_dictionary": {"+prepare_batch": {"_target_": "os.remove", "path": None}},
    }
    for name, pairs in values.items():

        def make(bundle: Path, canary: Canary, pairs: dict[str, Any] = pairs) -> None:
            with config(bundle) as content:
                content |= json.loads(json.dumps(pairs).replace("null", json.dumps(canary.path)))

        make.__name__ = name
        hostile(RULE, bites=parse)(make)


_keys()
value_cases(
    {
        "key_that_is_unknown": ("payload", lambda c: 1),
        "key_of_the_metadata": ("_meta_", lambda c: {"name": "other"}),
        "key_that_is_an_expression": ("$" + "print(1)", lambda c: 1),
        "key_of_an_argument_that_is_unknown": ("inferer#payload", lambda c: 1),
        "key_of_the_debugger": ("inferer#_debug_", lambda c: True),
    },
    RULE,
)


@hostile(RULE, bites=read_with_its_reader)
def reader_that_is_a_module(bundle: Path, canary: Canary) -> None:
    _with_payload(bundle, canary)
    with config(bundle) as content:
        content["reader"] = "payload"


value_cases(
    {
        "reader_that_ends_the_process": ("reader", lambda c: "os.abort"),
        "reader_in_a_list": ("reader", lambda c: ["NibabelReader", "os.abort"]),
        "reader_of_the_transform": ("preprocessing#transforms#0#reader", lambda c: "os.abort"),
        "collation_by_name": ("dataloader#collate_fn", lambda c: "os.abort"),
        "device_by_name": ("device", lambda c: "cuda:7"),
        "reference_to_nothing": ("inferer#stride", lambda c: "@payload"),
        "reference_to_a_part": ("inferer#stride", lambda c: "@inferer#_target_"),
        "output_outside": ("output_dir", lambda c: "../../../" + Path(c.path).name),
        "output_at_an_absolute_path": ("output_dir", lambda c: str(c.folder)),
        "output_at_home": ("output_dir", lambda c: "~/.ssh"),
        "output_of_the_writer": ("handlers#0#output_dir", lambda c: str(c.folder)),
        "scans_of_the_machine": ("dataset_dir", lambda c: "/"),
        "weights_outside": ("weights", lambda c: "../other/model.safetensors"),
        "weights_by_address": ("weights", lambda c: "https://example.org/model.safetensors"),
        "expression_in_wide_letters": ("output_dir", lambda c: wide("$") + c.removal),
        "expression_after_a_blank": ("output_dir", lambda c: " $" + c.removal),
    },
    RULE,
)
value_cases(
    {
        "training_run_outside": ("run_dir", lambda c: "../../.."),
        "training_packed_scans": ("packed_dir", lambda c: str(c.folder)),
        "training_reader": ("reader", lambda c: "os.abort"),
        "training_weights": ("initial_weights", lambda c: "/weights.pt"),
    },
    RULE,
    file="train.yaml",
)


value_cases(
    {
        "evaluation_output_outside": ("output_dir", lambda c: str(c.folder)),
        "evaluation_reader": ("reader", lambda c: "os.abort"),
    },
    RULE,
    file="evaluate.yaml",
)
