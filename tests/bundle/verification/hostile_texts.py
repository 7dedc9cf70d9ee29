"""Hostile text: YAML and JSON that run code, explode or mean two things, and code in the logging configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hostile import Canary, hostile, metadata, text_cases
from hostile_uses import log, read_yaml

INFERENCE = "configs/inference.yaml"
METADATA = "configs/metadata.json"
LOGGING = "configs/logging.conf"
LAUGHS = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'lol'}]\n" for i in range(12))

text_cases(
    {
        "yaml_tag_that_calls": lambda text, c: text + f"run_me: !!python/object/apply:os.remove [{c.path!r}]\n",
        "yaml_tag_that_builds": lambda text, c: text + f"run_me: !!python/object/new:os.remove [{c.path!r}]\n",
        "yaml_tag_that_imports": lambda text, c: (
            "%TAG !p! tag:yaml.org,2002:python/object/apply:\n---\n" + text + f"run_me: !p!os.remove [{c.path!r}]\n"
        ),
    },
    INFERENCE,
    "configs",
    bites=read_yaml,
)
text_cases(
    {
        "yaml_key_twice": lambda text, c: text + f"prepare_batch: {{_target_: os.remove, path: {c.path!r}}}\n",
        "yaml_key_twice_by_merge": lambda text, c: (
            text + f"<<: {{prepare_batch: {{_target_: os.remove, path: {c.path!r}}}}}\n"
        ),
        "yaml_billion_laughs": lambda text, c: text + LAUGHS,
        "yaml_list_in_itself": lambda text, c: text + "handlers_: &a [*a]\n",
        "yaml_mapping_in_itself": lambda text, c: text + "extra: &a {again: *a}\n",
        "yaml_of_a_hundred_thousand_levels": lambda text, c: text + "extra: " + "[" * 100_000 + "]" * 100_000 + "\n",
        "yaml_second_document": lambda text, c: text + f"---\nprepare_batch: {{_target_: os.remove, path: {c.path}}}\n",
        "yaml_number_of_ten_thousand_digits": lambda text, c: text.replace("trim: 0", "trim: " + "9" * 10_000),
        "yaml_infinite_number": lambda text, c: re.sub(r"threshold: \S+", "threshold: .inf", text),
        "yaml_no_number": lambda text, c: re.sub(r"threshold: \S+", "threshold: .nan", text),
        "yaml_binary": lambda text, c: text + "extra: !!binary aGVsbG8=\n",
        "yaml_key_that_is_a_list": lambda text, c: text + "? [a, b]\n: 1\n",
        "yaml_key_that_is_a_number": lambda text, c: text + "7: 1\n",
        "yaml_with_a_zero_byte": lambda text, c: text + "\0",
        "yaml_with_a_bell": lambda text, c: text + "# \x07\n",
        "yaml_in_latin_1": lambda text, c: (text + "# \xe9\n").encode("latin-1"),
        "yaml_in_utf_16": lambda text, c: text.encode("utf-16"),
        "yaml_with_another_line_end": lambda text, c: (
            text + f"# a comment\x85prepare_batch: {{_target_: os.remove, path: {c.path!r}}}\n"
        ),
        "yaml_with_reversed_letters": lambda text, c: text + "# \u202eabc\n",
        "yaml_that_is_a_list": lambda text, c: "- a\n- b\n",
        "yaml_that_is_empty": lambda text, c: "",
        "yaml_that_is_none": lambda text, c: "{ [",
    },
    INFERENCE,
    "configs",
)
text_cases(
    {"yaml_of_ten_megabytes": lambda text, c: text + "# long\n" * 1_500_000},
    INFERENCE,
    "tree",
    "configs",
)


def replaced(text: str, **values: Any) -> str:
    return json.dumps({**json.loads(text), **values}, indent=4)


text_cases(
    {
        "json_of_a_hundred_thousand_levels": lambda text, c: "[" * 100_000 + "]" * 100_000,
        "json_key_twice": lambda text, c: text.replace("{", '{\n    "name": "$1",', 1),
        "json_number_that_is_none": lambda text, c: replaced(text, data_type=float("nan")),
        "json_number_that_is_infinite": lambda text, c: text.replace('"nifti"', "1e999"),
        "json_number_of_ten_thousand_digits": lambda text, c: text.replace('"nifti"', "9" * 10_000),
        "json_that_is_a_list": lambda text, c: "[]",
        "json_that_is_none": lambda text, c: text[:-20],
        "json_in_latin_1": lambda text, c: replaced(text, authors="A").replace('"A"', '"\xe9"').encode("latin-1"),
        "metadata_with_a_macro": lambda text, c: replaced(text, description="%large_files.yml"),
        "metadata_with_a_reference": lambda text, c: replaced(text, description="@weights"),
        "metadata_with_a_key_of_monai": lambda text, c: replaced(text, _requires_=["a"]),
        "metadata_with_a_key_of_two_levels": lambda text, c: replaced(text, **{"supported_apps#a": {}}),
        "metadata_with_an_expression_as_a_key": lambda text, c: replaced(text, references=[{"$" + c.removal: 1}]),
    },
    METADATA,
    "metadata",
)


@hostile("metadata")
def metadata_with_an_expression_far_down(bundle: Path, canary: Canary) -> None:
    with metadata(bundle) as content:
        content["supported_apps"] = {"a": [{"b": [["$" + canary.removal]]}]}


text_cases(
    {
        "logging_class_that_is_code": lambda text, c: text.replace("class=StreamHandler", f"class={c.removal}"),
        "logging_arguments_that_are_code": lambda text, c: text.replace("(sys.stdout,)", f"({c.removal},)"),
        "logging_keywords_that_are_code": lambda text, c: text.replace(
            "args=(sys.stdout,)", f"args=()\nkwargs={{'stream': {c.removal}}}"
        ),
        "logging_to_a_file": lambda text, c: text.replace("StreamHandler", "FileHandler").replace(
            "(sys.stdout,)", f"({c.path!r}, 'w')"
        ),
    },
    LOGGING,
    "logging",
    bites=log,
)
text_cases(
    {
        "logging_to_a_server": lambda text, c: text.replace("StreamHandler", "handlers.SocketHandler").replace(
            "(sys.stdout,)", "('127.0.0.1', 9)"
        ),
        "logging_format_of_a_class": lambda text, c: text + "class=os.system\n",
        "logging_with_a_further_comment": lambda text, c: text + "# more\n",
    },
    LOGGING,
    "logging",
)
