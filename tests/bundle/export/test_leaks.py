"""What must not leave the lab is found wherever it stands, and what only looks like it is not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.bundle import layout
from monai_tff.bundle.export.card_text import bullets
from monai_tff.bundle.export.leaks import refuse_leaks
from monai_tff.bundle.export.private import Private
from monai_tff.errors import BundleError

PRIVATE = Private(
    ids=frozenset({"100307", "01", "7", "NDARINV7", "family-F0001", "Zoë"}),
    places=frozenset({"/home/ada", "sub-01_task-rest_bold"}),
    names=frozenset({"ada", "lab12", "Charité", "F0001_study", "Ward Seven", 'Zyxlab "East"'}),
)


def in_yaml(folder: Path, text: str) -> str:
    (folder / "train.yaml").write_text(yaml.safe_dump({"key": f"a {text} b"}, allow_unicode=True), encoding="utf-8")
    return "train.yaml"


def in_escaped_yaml(folder: Path, text: str) -> str:
    (folder / "train.yaml").write_text(yaml.safe_dump({"key": f"a {text} b"}, width=10), encoding="utf-8")
    return "train.yaml"


def in_card(folder: Path, text: str) -> str:
    (folder / "README.md").write_text(bullets([f"{'x' * 110} {text} b"]), encoding="utf-8")
    return "README.md"


def in_escaped_json(folder: Path, text: str) -> str:
    (folder / "metadata.json").write_text(json.dumps({"key": f"a {text} b"}), encoding="utf-8")
    return "metadata.json"


def as_key(folder: Path, text: str) -> str:
    (folder / "metadata.json").write_text(json.dumps({text: 1}, ensure_ascii=False), encoding="utf-8")
    return "metadata.json"


def in_name(folder: Path, text: str) -> str:
    (folder / f"{text.replace('/', '_')}.txt").write_text("", encoding="utf-8")
    return text.replace("/", "_")


def in_state_dict(folder: Path, text: str) -> str:
    torch.save({text: torch.zeros(2)}, folder / "model.pt")
    return "model.pt: model/data.pkl"


def in_safetensors(folder: Path, text: str) -> str:
    safetensors.torch.save_file({"w": torch.zeros(2)}, folder / "model.safetensors", metadata={"contract": text})
    return "model.safetensors"


def in_program(folder: Path, text: str) -> str:
    with zipfile.ZipFile(folder / "model.pt2", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/models/model.json", json.dumps({"nodes": [{"meta": f"in {text}"}]}, ensure_ascii=False))
    return "model.pt2: model/models/model.json"


def among_numbers(folder: Path, text: str) -> str:
    tensor = torch.tensor([0, 200, *text.encode(), 200, 0], dtype=torch.uint8)
    safetensors.torch.save_file({"w": tensor}, folder / "model.safetensors")
    torch.save({"w": tensor}, folder / "model.pt")
    return "model.pt: model/data/0"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (in_yaml, "100307"),
        (in_yaml, "01"),
        (in_yaml, "sub-7"),
        (in_yaml, "subject: 7"),
        (in_yaml, "NDARINV7_bold"),
        (in_yaml, "(family-F0001)"),
        (in_yaml, "Zoë"),
        (in_yaml, "/home/ada/study"),
        (in_yaml, "file:///home/ada"),
        (in_yaml, "user ada"),
        (in_yaml, "lab12.example.org"),
        (in_yaml, "Charité"),
        (in_escaped_yaml, "Zoë"),
        (in_escaped_yaml, "Ward Seven"),
        (in_escaped_json, "Charité"),
        (in_escaped_json, 'Zyxlab "East"'),
        (in_card, "Ward Seven"),
        (as_key, "100307"),
        (as_key, "01"),
        (in_name, "100307"),
        (in_name, "sub-01_task-rest_bold"),
        (in_state_dict, "encoder.100307"),
        (in_state_dict, "01"),
        (in_safetensors, '{"subject": "100307"}'),
        (in_safetensors, "NDARINV7"),
        (in_program, "/home/ada/lib/torch.py"),
        (in_program, "NDARINV7"),
        (in_program, "sub-01"),
        (among_numbers, "/home/ada/x"),
        (among_numbers, "xsub-01_task-rest_boldx"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_private_string_is_found(place, text: str, tmp_path: Path) -> None:
    where = place(tmp_path, text)
    with pytest.raises(BundleError) as refused:
        refuse_leaks(tmp_path, PRIVATE, "")
    sentence = str(refused.value)
    assert where in sentence or place is among_numbers
    named = sentence.partition("holds '")[2].partition("'")[0]
    assert named in PRIVATE.ids | PRIVATE.places | PRIVATE.names
    assert named in text


@pytest.mark.parametrize(
    "text",
    [
        "a100307b",
        "3f100307ab01cd",
        "0.01, 1.01 and 2,01",
        "7 scans, [7, 10], 7 x 9, seed 7, subjects: 17",
        "0100307",
        "20.100307",
        "/home/adam",
        "adaptive",
        "lab123",
        "family-F00012",
        "Charitéx",
    ],
)
def test_what_only_looks_like_one_is_not(text: str, tmp_path: Path) -> None:
    in_yaml(tmp_path, text)
    refuse_leaks(tmp_path, PRIVATE, "")


def test_sizes_in_programs_and_headers_are_no_ids(tmp_path: Path) -> None:
    private = Private(ids=frozenset({"100307", "564975", "12"}))
    state = {"w": torch.zeros(100307), "12": torch.zeros(564975 // 4)}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors", metadata={"contract": "{}"})
    torch.save({"w": torch.zeros(100307)}, tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("model/models/model.json", json.dumps({"sizes": [564975, 12], "expr": "564975*s1"}))
    with zipfile.ZipFile(tmp_path / "model.ts", "w") as archive:
        archive.writestr("model/code/network.py", "x = torch.view(y, [564975, 12])\n")
    refuse_leaks(tmp_path, private, "")


def test_names_that_are_said_on_purpose_are_not_refused(tmp_path: Path) -> None:
    in_yaml(tmp_path, "Charité and lab12")
    with pytest.raises(BundleError, match="holds 'Charité'"):
        refuse_leaks(tmp_path, PRIVATE, "")
    refuse_leaks(tmp_path, PRIVATE, "Scans of the Charité,\nlab12")


def test_words_of_every_bundle_are_no_names(tmp_path: Path) -> None:
    """A user called root, a folder called runs: logging.conf and train.yaml say so in every bundle."""
    (tmp_path / "logging.conf").write_text("keys=root\nruns/finetune", encoding="utf-8")
    refuse_leaks(tmp_path, Private(names=frozenset({"root", "runs", "finetune"})), "")


@pytest.mark.parametrize("name", [layout.TRAIN, layout.MODEL_CARD, layout.MANIFEST])
@given(
    word=st.from_regex(r"[A-Z]{2}[0-9]{3,6}|[0-9]{5,8}|0[0-9]{2}", fullmatch=True),
    before=st.sampled_from(["", " ", "_", "-", "/", '"', "x ", "sub-", "\n"]),
    after=st.sampled_from(["", " ", "_", "-", "/", '"', ".", ", ", "\n"]),
)
def test_an_id_is_found_whatever_stands_around_it(
    name: str, word: str, before: str, after: str, tmp_path_factory
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(f"{before}{word}{after}", encoding="utf-8")
    with pytest.raises(BundleError, match=f"holds '{word}'"):
        refuse_leaks(folder, Private(ids=frozenset({word})), "")
