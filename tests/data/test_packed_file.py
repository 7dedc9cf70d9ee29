"""The file itself: safetensors that others read, whole or refused, and safe with several writers."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from monai_tff.data.packed_file import ValueRuns, check_checksum, read_facts, write_packed_file
from monai_tff.errors import ScanError

VERSION = 3
FACTS = {"number": 0.1, "name": "sub-1"}
TENSORS = {
    "affine": torch.arange(16, dtype=torch.float64).reshape(4, 4),
    "mean": torch.linspace(0, 1, 5),
    "values": torch.arange(35, dtype=torch.int16).reshape(7, 5),
    "mask": torch.tensor([1, 2, 255], dtype=torch.uint8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_packed_file(tmp_path / "scan", TENSORS, FACTS, VERSION)
    return tmp_path / "scan"


def test_safetensors_reads_it(path: Path) -> None:
    found = load_file(path)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in TENSORS.items()
    }
    assert read_facts(path, VERSION) == FACTS
    check_checksum(path, VERSION)


def test_values_are_aligned_for_every_dtype(path: Path) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    for entry in (entry for name, entry in json.loads(content[8 : 8 + length]).items() if name != "__metadata__"):
        assert (8 + length + entry["data_offsets"][0]) % {"F64": 8, "F32": 4, "I16": 2, "U8": 1}[entry["dtype"]] == 0


def test_every_shorter_file_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ScanError, match=r"has no header of a packed scan|it was cut off"):
            read_facts(path, VERSION)
    path.write_bytes(content + b"0")
    with pytest.raises(ScanError, match=f"has {len(content) + 1} bytes, expected {len(content)}"):
        read_facts(path, VERSION)


def test_every_changed_byte_is_found(path: Path) -> None:
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ScanError):
            check_checksum(path, VERSION)


def test_other_versions_and_files_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"scan: is version 3 of a packed scan, expected version 4; run"):
        read_facts(path, 4)
    other = tmp_path / "weights.safetensors"
    write_packed_file(other, {"mean": TENSORS["mean"]}, FACTS, VERSION)
    other.write_bytes(other.read_bytes().replace(b"monai_tff packed scan", b"somebody else's scans"))
    with pytest.raises(ScanError, match="has no header of a packed scan"):
        read_facts(other, VERSION)
    with pytest.raises(ScanError, match=r"cannot be read \(Is a directory\)"):
        read_facts(tmp_path, VERSION)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    def runs():
        yield TENSORS["values"][:3]
        raise OSError(28, "No space left on device")

    values = ValueRuns(torch.int16, (7, 5), runs())
    with pytest.raises(OSError, match="No space left"):
        write_packed_file(path, {**TENSORS, "values": values}, {**FACTS, "number": 2}, VERSION)
    assert read_facts(path, VERSION) == FACTS
    assert list(path.parent.iterdir()) == [path]


def write_often(path: str, number: int, times: int) -> None:
    for _ in range(times):
        values = torch.full((200, 50), number, dtype=torch.int16)
        write_packed_file(Path(path), {"values": values}, {"number": number}, VERSION)


def write_until(path: str, number: int, enough: Any) -> None:
    while not enough.is_set():
        write_often(path, number, 1)


def test_several_writers_at_once_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "scan"
    write_often(str(path), 0, 1)
    context = multiprocessing.get_context("fork")
    enough = context.Event()
    writers = [context.Process(target=write_until, args=(str(path), number, enough)) for number in (1, 2, 3)]
    for writer in writers:
        writer.start()
    seen: set[int] = set()
    # a busy machine may let a single writer run for a while
    try:
        while len(seen) < 3 and all(writer.exitcode is None for writer in writers):
            check_checksum(path, VERSION)
            values = load_file(path)["values"]
            seen.add(int(values[0, 0]))
            assert bool((values == values[0, 0]).all())
    finally:
        enough.set()
        for writer in writers:
            writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert read_facts(path, VERSION)["number"] in (1, 2, 3)
    assert len(seen) == 3
    assert list(tmp_path.iterdir()) == [path]
