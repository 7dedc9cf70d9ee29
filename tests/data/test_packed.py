"""Packed scans: what a file holds is the compact scan, bit for bit, and it is read when it is used."""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from monai_tff.contract import InputContract
from monai_tff.data.packed import PackedName, encoding_of, open_packed, read_packed_facts, verify_packed, write_packed
from monai_tff.data.packed_file import ValueRuns
from monai_tff.data.scan import CompactScan, unpack_windows
from monai_tff.errors import ConfigError, ScanError

GRID = (7, 8, 9)
CONTRACT = InputContract(spatial_size=GRID, window_length=5)
FACTS = {"source": {"name": "sub-1/run.nii.gz"}, "mask_source": "nonzero voxels", "contract": CONTRACT.to_dict()}


def frames(num_frames: int = 24, kind: str = "integers") -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    values = 8000 + 2000 * torch.randn(1, *GRID, generator=generator)
    values = values + 60 * torch.randn(num_frames, *GRID, generator=generator)
    values = values.round().to(torch.int16) if kind == "integers" else values
    values[:, :2] = 0
    values[3, 4, 4, 4] = 0
    values[:, 5, 5, 5] = 77
    return values


def compact(encoding: str, num_frames: int = 24, **known: object) -> CompactScan:
    values = frames(num_frames, encoding)
    return CompactScan.from_frames(values, (values != 0).any(0), encoding=encoding, source="sub-1/run.nii.gz", **known)


def same(first: CompactScan, second: CompactScan) -> None:
    for field in dataclasses.fields(CompactScan):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype
            assert torch.equal(one, other), field.name
        else:
            assert one == other, field.name


@pytest.mark.parametrize("encoding", ["integers", "codes", "codes8", "float32"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_file_is_the_scan(tmp_path: Path, encoding: str, in_memory: bool) -> None:
    affine = torch.tensor([[0, -3.0, 0, 9.5], [2, 0, 0, 1], [0, 0, 4, 2], [0, 0, 0, 1]], dtype=torch.float64)
    scan = compact(encoding, affine=affine, repetition_time=0.72)
    size = write_packed(tmp_path / "new" / "scan.safetensors", scan, FACTS)
    path = tmp_path / "new" / "scan.safetensors"
    assert path.stat().st_size == size
    found = open_packed(path, in_memory=in_memory)
    same(found, scan)
    assert torch.equal(found.unpack(), scan.unpack())
    facts = read_packed_facts(path)
    assert InputContract.from_dict(facts["contract"]) == CONTRACT
    assert facts["mask_source"] == "nonzero voxels"
    verify_packed(path)


def test_a_scan_without_affine_and_repetition_time(tmp_path: Path) -> None:
    write_packed(tmp_path / "scan", compact("integers"), FACTS)
    found = open_packed(tmp_path / "scan")
    assert (found.affine, found.repetition_time) == (None, None)


def test_values_written_in_runs_are_the_same_file(tmp_path: Path) -> None:
    scan = compact("codes")
    write_packed(tmp_path / "whole", scan, FACTS)
    runs = ValueRuns(torch.int16, tuple(scan.values.shape), (scan.values[i : i + 5] for i in range(0, 24, 5)))
    write_packed(tmp_path / "runs", scan, FACTS, runs)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "runs").read_bytes()


def resident() -> int:
    """Bytes of mapped files that this process has touched."""
    return 1024 * int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def test_opening_reads_no_values_and_a_window_reads_its_own(tmp_path: Path) -> None:
    scan = dataclasses.replace(compact("integers"), values=torch.ones(60_000, 336, dtype=torch.int16))
    write_packed(tmp_path / "scan", scan, FACTS)
    size = scan.values.nbytes
    before = resident()
    found = open_packed(tmp_path / "scan")
    assert resident() - before < size / 10
    window = found.window(20_000, 20)
    assert window.values.data_ptr() == found.values[20_000:].data_ptr()
    assert int(window.values.sum()) == 20 * 336
    assert resident() - before < size / 10
    assert int(found.values.sum()) == scan.values.numel()
    assert resident() - before > size / 2


def test_windows_of_a_mapped_scan_stay_small_on_their_way_to_another_process(tmp_path: Path) -> None:
    write_packed(tmp_path / "scan", compact("integers", num_frames=400), FACTS)
    found = open_packed(tmp_path / "scan")
    windows = [found.window(start, 4) for start in (0, 100, 396)]
    assert len(pickle.dumps(windows[1])) < windows[1].nbytes + 5000
    loader = DataLoader(windows, batch_size=3, num_workers=1, collate_fn=list, multiprocessing_context="fork")
    for batch in loader:
        assert torch.equal(unpack_windows(batch), unpack_windows(windows))


def test_writing_into_an_opened_scan_does_not_reach_the_file(tmp_path: Path) -> None:
    write_packed(tmp_path / "scan", compact("integers"), FACTS)
    open_packed(tmp_path / "scan").values.zero_()
    same(open_packed(tmp_path / "scan"), compact("integers"))


@pytest.mark.parametrize("change", [
    {"scan": "sub-2/run.nii.gz"}, {"encoding": "int8"}, {"reader": "ITKReader"}, {"mask": "mask.nii"},
    *({"contract": dataclasses.replace(CONTRACT, **values)} for values in (
        {"trim": 3}, {"crop": ((1, None), (0, 8), (0, 9))}, {"axis_codes": None}, {"mask": "nonzero"},
        {"spatial_size": (8, 8, 9)}, {"denoising": "fix"},
    )),
])  # fmt: skip
def test_every_parameter_makes_another_name(change: dict) -> None:
    name = PackedName("sub-1/run.nii.gz", CONTRACT)
    other = dataclasses.replace(name, **change)
    assert re.fullmatch(r"packed/sub-1/run__[0-9a-f]{12}\.safetensors", name.path("packed").as_posix())
    assert other.path("packed") != name.path("packed")


@pytest.mark.parametrize("change", [
    {"encoding": "int16"}, {"reader": "NibabelReader"}, {"confounds": "c.tsv"},
    {"contract": dataclasses.replace(CONTRACT, window_length=20, repetition_time=2.0, tr_policy="allow")},
])  # fmt: skip
def test_what_does_not_change_voxels_keeps_the_name(change: dict) -> None:
    name = PackedName("sub-1/run.nii.gz", CONTRACT)
    assert dataclasses.replace(name, **change).path("packed") == name.path("packed")


def test_confounds_count_where_they_are_removed() -> None:
    cleaned = dataclasses.replace(CONTRACT, denoising="clean_img:simple")
    paths = {PackedName("run.nii", cleaned, confounds=table).path("p") for table in (None, "a.tsv", "b.tsv")}
    assert len(paths) == 3


def test_names_of_records_hold_no_absolute_path_and_stay_in_their_folder(tmp_path: Path) -> None:
    image, mask = tmp_path / "sub-1" / "run.nii.gz", tmp_path / "masks" / "m.nii"
    name = PackedName.of_record(image, CONTRACT, scan="../elsewhere/run.nii.gz", mask_file=mask)
    assert name.mask == "../masks/m.nii"
    assert str(tmp_path) not in str(name.parameters())
    assert name.path(tmp_path / "packed").parent == tmp_path / "packed" / "elsewhere"
    nonzero = dataclasses.replace(CONTRACT, mask="nonzero")
    assert PackedName.of_record(image, nonzero, mask_file=mask).mask is None
    assert PackedName.of_record(image, nonzero).scan == "run.nii.gz"


def test_unknown_encodings_are_refused() -> None:
    assert [encoding_of(name) for name in ("int16", "int8", "float32", "codes")] == [
        *("auto", "codes8", "float32", "codes")
    ]
    with pytest.raises(ConfigError, match="encoding is 'zip', expected one of int16, int8, float32"):
        encoding_of("zip")


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"gone\.safetensors: cannot be read .*run `python -m monai_tff prepare`"):
        open_packed(tmp_path / "gone.safetensors")
