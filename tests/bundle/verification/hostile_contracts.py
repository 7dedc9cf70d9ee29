"""Bundles that predict something else than they say: checks left out, contracts moved, shapes and weights that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from hostile import Canary, change_members, config, hostile, metadata, put, value_cases
from hostile_weights import SAFETENSORS, STATE_DICT, change_header

RULE = "structure"


def _without(key: str, word: str) -> Callable[[Path, Canary], None]:
    def make(bundle: Path, canary: Canary) -> None:
        with config(bundle) as content:
            kept = [entry for entry in content[key] if word not in str(entry)]
            assert len(kept) == len(content[key]) - 1
            content[key] = kept

    return make


for name, key, word in (
    ("headers_not_checked", "initialize", "check_headers"),
    ("weights_not_loaded", "initialize", "load_finished"),
    ("config_not_checked", "initialize", "start"),
):
    function = _without(key, word)
    function.__name__ = name
    hostile(RULE, "configs")(function)


@hostile(RULE)
def initialize_left_out(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        del content["initialize"]


@hostile(RULE)
def nothing_run(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        content["run"] = []


@hostile(RULE, "configs")
def scans_without_a_contract(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        del content["preprocessing"]["transforms"][0]["contract"]


@hostile(RULE, "configs")
def scans_with_a_contract_of_their_own(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        content["preprocessing"]["transforms"][0]["contract"] = dict(content["contract"])


@hostile(RULE)
def scans_not_preprocessed(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        content["preprocessing"]["transforms"] = []


@hostile(RULE)
def scans_of_a_dataset_without_preprocessing(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        del content["dataset"]["transform"]


@hostile(RULE, "configs")
def check_that_is_disabled(bundle: Path, canary: Canary) -> None:
    with config(bundle) as content:
        content["preprocessing"]["transforms"][0]["_disabled_"] = True


value_cases(
    {
        "contract_of_another_threshold": ("contract#threshold", lambda c: 0.9),
        "contract_of_another_temperature": ("contract#temperature", lambda c: 0.1),
        "contract_of_another_window": ("contract#window_length", lambda c: 4),
        "contract_of_another_crop": ("contract#crop", lambda c: [[1, -1], [0, 10], [0, 9]]),
        "contract_that_allows_any_rate": ("contract#tr_policy", lambda c: "allow"),
        "contract_of_other_classes": ("contract#target#class_names", lambda c: ["M", "F"]),
        "contract_of_another_target": ("contract#target#name", lambda c: "diagnosis"),
        "contract_of_another_grid": ("contract#spatial_size", lambda c: [10, 10, 10]),
        "contract_left_out": ("contract", lambda c: None),
        "contract_of_another_voxel_size": ("contract#voxel_size", lambda c: [1.0, 1.0, 1.0]),
    },
    RULE,
    "configs",
)
value_cases(
    {
        "network_of_another_grid": ("network_def#spatial_size", lambda c: [8, 10, 10]),
        "network_of_other_outputs": ("network_def#num_outputs", lambda c: 3),
        "network_of_another_task": ("network_def#_target_", lambda c: "monai_tff.networks.TFFReconstructor"),
        "network_of_a_size_that_no_machine_has": ("network_def#hidden_size", lambda c: 2_000_000_000),
        "network_of_layers_without_end": ("network_def#num_layers", lambda c: 10**9),
        "network_of_windows_without_end": ("network_def#max_frames", lambda c: 10**12),
        "network_of_a_text": ("network_def#hidden_size", lambda c: "32"),
        "network_of_an_unknown_head": ("network_def#paper_head", lambda c: "os.abort"),
        "contract_of_a_size_that_no_machine_has": ("contract#spatial_size", lambda c: [10**6] * 3),
        "contract_of_an_unknown_policy": ("contract#tr_policy", lambda c: "ignore"),
        "contract_of_an_unknown_mask": ("contract#mask", lambda c: "/mask.nii.gz"),
        "contract_of_an_unknown_cleaning": ("contract#denoising", lambda c: "clean_img:os.abort"),
        "contract_of_a_temperature_of_zero": ("contract#temperature", lambda c: 0),
        "contract_of_a_temperature_that_is_none": ("contract#temperature", lambda c: None),
        "contract_of_a_threshold_that_names_one_class": ("contract#threshold", lambda c: 1),
        "contract_of_a_class_with_a_line_feed": ("contract#target#class_names#0", lambda c: "F\nerror: none"),
        "contract_of_a_class_with_terminal_codes": ("contract#target#class_names#0", lambda c: "\x1b[2J"),
        "contract_of_a_class_without_end": ("contract#target#class_names#0", lambda c: "F" * 100_000),
        "contract_of_a_key_that_is_none": ("contract#scan_check", lambda c: False),
        "stride_that_is_negative": ("stride", lambda c: -1),
        "stride_without_end": ("stride", lambda c: 10**12),
        "stride_that_is_a_text": ("stride", lambda c: "all"),
        "batch_of_a_billion": ("dataloader#batch_size", lambda c: 10**9),
        "workers_without_end": ("dataloader#num_workers", lambda c: 10**6),
    },
    RULE,
    "configs",
)


value_cases(
    {
        "contract_of_a_class_that_is_a_formula": (
            "contract#target#class_names#0",
            lambda c: '=HYPERLINK("https://example.org","F")',
        ),
        "contract_of_a_class_that_is_a_command": ("contract#target#class_names#0", lambda c: "-2+3+cmd|' /C calc'!A0"),
    },
    "configs",
)
value_cases(
    {
        "evaluation_of_another_threshold": ("contract#threshold", lambda c: 0.9),
        "evaluation_of_any_scan": ("initialize", lambda c: ["$monai_tff.bundle.start()"]),
    },
    RULE,
    "configs",
    file="evaluate.yaml",
)


def _metadata(name: str, place: str, value: Any) -> None:
    def make(bundle: Path, canary: Canary) -> None:
        with metadata(bundle) as content:
            put(content["network_data_format"], place, value)

    make.__name__ = name
    hostile(RULE, "schema", "network")(make)


_metadata("metadata_of_another_shape", "inputs#image#spatial_shape", [8, 10, 10, "*"])
_metadata("metadata_of_a_shape_without_end", "inputs#image#spatial_shape", [10**9, 10**9, 10**9, "*"])
_metadata("metadata_of_another_number_of_channels", "inputs#image#num_channels", 1)
_metadata("metadata_of_other_outputs", "outputs#pred#num_channels", 2)
_metadata("metadata_of_another_kind", "inputs#image#dtype", "float64")
_metadata("metadata_of_other_classes", "outputs#pred#channel_def", {"0": "healthy"})


@hostile(RULE)
def weights_of_another_shape(bundle: Path, canary: Canary) -> None:
    _change_weights(bundle, lambda state: {name: tensor.flatten() for name, tensor in state.items()})


@hostile(RULE)
def weights_with_a_part_missing(bundle: Path, canary: Canary) -> None:
    _change_weights(bundle, lambda state: dict(list(state.items())[1:]))


@hostile(RULE)
def weights_with_a_part_too_many(bundle: Path, canary: Canary) -> None:
    _change_weights(bundle, lambda state: {**state, "extra": torch.zeros(1)})


@hostile(RULE)
def weights_that_are_no_numbers(bundle: Path, canary: Canary) -> None:
    _change_weights(bundle, lambda state: {name: tensor * float("nan") for name, tensor in state.items()})


@hostile("weights", unsafe=False)
def weights_of_two_networks(bundle: Path, canary: Canary) -> None:
    state = torch.load(bundle / STATE_DICT, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in state.items()}, bundle / STATE_DICT)


@hostile("weights", "formats", unsafe=False)
def program_of_another_network(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / "models" / "model.pt2",
        lambda name, old: bytes(len(old)) if name.startswith("data/weights/weight_") else old,
    )


@hostile("weights", "formats", unsafe=False)
def torchscript_of_another_network(bundle: Path, canary: Canary) -> None:
    change_members(
        bundle / "models" / "model.ts", lambda name, old: bytes(len(old)) if name.startswith("data/") else old
    )


@hostile(RULE)
def weights_of_another_contract(bundle: Path, canary: Canary) -> None:
    def change(header: dict[str, dict[str, Any]]) -> None:
        contract = json.loads(header["__metadata__"]["contract"])
        header["__metadata__"]["contract"] = json.dumps({**contract, "threshold": 0.9})

    change_header(bundle, change)


@hostile(RULE)
def weights_from_the_file_without_a_contract(bundle: Path, canary: Canary) -> None:
    (bundle / SAFETENSORS).unlink()
    with config(bundle) as content:
        content["weights"] = f"$@bundle_root + '/{STATE_DICT}'"
        content["contract"]["threshold"] = 0.9


@hostile(RULE)
def weights_without_a_contract(bundle: Path, canary: Canary) -> None:
    change_header(bundle, lambda header: header.pop("__metadata__"))


def _change_weights(bundle: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Changes the tensors in model.safetensors; the contract stays."""
    content = (bundle / SAFETENSORS).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    kept = json.loads(content[8 : 8 + length])["__metadata__"]
    state = change(safetensors.torch.load(content))
    safetensors.torch.save_file(state, bundle / SAFETENSORS, metadata=kept)
