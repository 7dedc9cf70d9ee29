"""Packing one scan: the same compact scan as from its NIfTI, and one sentence for whatever is wrong."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.contract import InputContract
from monai_tff.data import stream
from monai_tff.data.content import content_hash
from monai_tff.data.loading import LoadScand, load_scan
from monai_tff.data.packed import open_packed, read_packed_facts, verify_packed
from monai_tff.data.prepare_scan import prepare_scan
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ScanError
from monai_tff.transforms import statistics

GRID = (9, 10, 11)
CONTRACT = InputContract(spatial_size=(6, 8, 7), window_length=5, crop=((2, -1), (None, 8), (1, -3)), trim=3)
AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3, 0, -30], [0, 0, 3.5, -10], [0, 0, 0, 1]])


def write_scan(
    path: Path, dtype: str = "<i2", slope: float | None = None, intercept: float = 0.0, seed: int = 5
) -> Path:
    """15 frames in LAS; some voxels join late, and one is 0 once."""
    values = np.random.default_rng(seed).integers(200, 9000, (*GRID, 15)).astype(float)
    values += 0.25 if dtype == "<f4" else 0
    values[:2] = 0
    values[4:6, :, 3, :9] = 0
    values[5, 5, 5, 7] = 0
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(np.dtype(dtype))
    image = nib.Nifti1Image(values.astype(dtype), AFFINE, header)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 0.8
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_mask(path: Path, start: int = 3) -> Path:
    mask = np.zeros(GRID, np.uint8)
    mask[start:7, 1:9, 2:9] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), path)
    return path


def record(image: Path, **known: object) -> dict:
    return {"image": str(image), "scan": f"sub-1/{image.name}", "mask": None, "tr": None, **known}


def same(first: CompactScan, second: CompactScan) -> None:
    for field in dataclasses.fields(CompactScan):
        one, other = getattr(first, field.name), getattr(second, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, field.name


@pytest.mark.parametrize("name", ["run.nii", "run.nii.gz"])
@pytest.mark.parametrize("mask", ["nonzero", "given", "sibling"])
@pytest.mark.parametrize(("dtype", "slope", "intercept"), [
    ("<i2", None, 0.0), (">i2", 0.7, 0.0), ("<u2", 2.0, -8.0), ("<i2", 0.5, 3.1), ("<f4", None, 0.0),
])  # fmt: skip
def test_packed_is_as_loaded_bit_for_bit(tmp_path, name, mask, dtype, slope, intercept):
    image = write_scan(tmp_path / "raw" / name, dtype, slope, intercept)
    given = (
        write_mask(tmp_path / "raw" / ("m.nii" if mask == "given" else "run_brainmask.nii"))
        if mask != "nonzero"
        else None
    )
    known = {"mask": str(given)} if mask == "given" else {}
    contract = dataclasses.replace(CONTRACT, mask="nonzero") if mask == "nonzero" else CONTRACT
    for encoding in ("int16", "int8", "float32"):
        result = prepare_scan(record(image, **known), tmp_path / "packed", contract, encoding)
        assert (result.status, result.sentence) == ("packed", "")
        loaded = {
            packed: LoadScand("image", contract, encoding=encoding, packed_dir=packed)(record(image, **known))
            for packed in (None, str(tmp_path / "packed"))
        }
        one, other = loaded.values()
        same(one["image"], other["image"])
        assert one["mask_source"] == other["mask_source"]
    assert not list((tmp_path / "packed").rglob("*.partial"))


@pytest.mark.parametrize("reader", ["ITKReader", "NibabelReader"])
def test_other_readers_have_files_of_their_own(tmp_path, reader):
    image = write_scan(tmp_path / "run.nii.gz", ">i2", 0.7)
    result = prepare_scan(record(image), tmp_path / "packed", CONTRACT, reader=reader)
    assert result.status == "packed"
    loaded, origin = load_scan(image, CONTRACT, reader=reader)
    opened, same_origin = load_scan(
        image, CONTRACT, reader=reader, packed_dir=tmp_path / "packed", scan="sub-1/run.nii.gz"
    )
    same(loaded, opened)
    assert origin == same_origin


def test_an_estimated_mask_is_the_same_from_the_spilled_frames(tmp_path):
    grid = (14, 15, 16)
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in grid], indexing="ij")
    brain = sum(axis**2 for axis in axes) < 0.6
    generator = np.random.default_rng(3)
    values = np.where(brain[..., None], generator.normal(1000, 40, (*grid, 8)), generator.normal(50, 9, (*grid, 8)))
    nib.save(nib.Nifti1Image(values.astype(np.int16), AFFINE), tmp_path / "run.nii.gz")
    contract = InputContract(spatial_size=grid, window_length=5)
    assert prepare_scan(record(tmp_path / "run.nii.gz"), tmp_path / "packed", contract).status == "packed"
    loaded, origin = load_scan(tmp_path / "run.nii.gz", contract)
    opened, same_origin = load_scan(
        tmp_path / "run.nii.gz", contract, packed_dir=tmp_path / "packed", scan="sub-1/run.nii.gz"
    )
    assert (origin, same_origin) == ("compute_epi_mask", "compute_epi_mask")
    same(loaded, opened)


def test_a_second_time_it_is_there(tmp_path):
    image = write_scan(tmp_path / "run.nii.gz")
    first = prepare_scan(record(image), tmp_path / "packed", CONTRACT)
    second = prepare_scan(record(image), tmp_path / "packed", CONTRACT, verify=True)
    assert (first.status, second.status, second.num_bytes) == ("packed", "present", first.num_bytes)
    (path,) = (tmp_path / "packed").rglob("*.safetensors")
    assert (path.parent.name, path.stat().st_size) == ("sub-1", first.num_bytes)
    verify_packed(path)
    facts = read_packed_facts(path)
    assert facts["source"]["content"] == content_hash(image)
    assert str(tmp_path) not in path.read_bytes()[:5000].decode(errors="replace")
    assert open_packed(path).source == "sub-1/run.nii.gz"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "header"])
def test_a_torn_file_is_built_again(tmp_path, damage):
    image = write_scan(tmp_path / "run.nii.gz")
    prepare_scan(record(image), tmp_path / "packed", CONTRACT)
    (path,) = (tmp_path / "packed").rglob("*.safetensors")
    whole = path.read_bytes()
    torn = {"cut": whole[:-9], "flipped": whole[:-9] + b"x" + whole[-8:], "empty": b"", "header": b"{" + whole[1:]}[
        damage
    ]
    path.write_bytes(torn)
    if damage != "flipped":
        with pytest.raises(ScanError, match="run `python -m monai_tff prepare`"):
            load_scan(image, CONTRACT, packed_dir=tmp_path / "packed", scan="sub-1/run.nii.gz")
    assert prepare_scan(record(image), tmp_path / "packed", CONTRACT, verify=True).status == "packed"
    assert path.read_bytes() == whole


def fault(tmp_path: Path, image: Path, contract: InputContract = CONTRACT, **known: object) -> str:
    result = prepare_scan(record(image, **known), tmp_path / "packed", contract)
    assert (result.status, result.num_bytes) == ("failed", 0)
    assert "\n" not in result.sentence
    assert not [path for path in (tmp_path / "packed").rglob("*") if path.is_file()]
    return result.sentence


@pytest.mark.parametrize("name", ["run.nii", "run.nii.gz"])
def test_damaged_and_missing_scans_are_one_sentence(tmp_path, name):
    image = write_scan(tmp_path / name)
    assert "the mask's shape is (3, 3, 3), expected (9, 10, 11)" in fault(
        tmp_path, image, mask=str(small_mask(tmp_path))
    )
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])
    assert f"{name}: the voxels cannot be read after frame" in fault(tmp_path, image)
    image.unlink()
    assert f"{name}: there is no such file" in fault(tmp_path, image)


def small_mask(folder: Path) -> Path:
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), AFFINE), folder / "small.nii")
    return folder / "small.nii"


def test_scans_that_do_not_fit_are_one_sentence(tmp_path):
    image = write_scan(tmp_path / "run.nii.gz")
    other = dataclasses.replace(CONTRACT, spatial_size=(6, 8, 9))
    assert "grid after the crop is 6 x 8 x 7, expected 6 x 8 x 9" in fault(tmp_path, image, other)
    assert "content hash" in fault(tmp_path, image, content="0" * 64)
    outside = dataclasses.replace(CONTRACT, crop=((0, 2), (0, 8), (1, -3)), axis_codes=None, spatial_size=(2, 8, 7))
    assert "the mask holds none of 112 voxels" in fault(tmp_path, image, outside)
    broken = write_scan(tmp_path / "nan.nii.gz", "<f4")
    values = nib.load(broken).get_fdata()
    values[4, 4, 4, 9] = np.nan
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), broken)
    assert "1 elements within the mask are NaN or infinite (the first in frame 9)" in fault(tmp_path, broken)


def test_the_content_of_the_datalist_is_accepted(tmp_path):
    image = write_scan(tmp_path / "run.nii.gz")
    known = record(image, content=content_hash(image))
    assert prepare_scan(known, tmp_path / "packed", CONTRACT).status == "packed"
    assert prepare_scan(known, tmp_path / "packed", CONTRACT).status == "present"
    assert "content hash" in prepare_scan({**known, "content": "1" * 64}, tmp_path / "packed", CONTRACT).sentence


@pytest.mark.parametrize(("name", "limit"), [("run.nii.gz", 500), ("run.nii", 9000)], ids=["spill", "packed file"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, name, limit):
    """A limit on the size of files stands in for the disk: the same calls fail at the same places."""
    image = write_scan(tmp_path / name)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        sentence = fault(tmp_path, image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert f"{name}: cannot be packed into" in sentence
    assert "(File too large); free some space or choose another folder" in sentence


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    image = write_scan(tmp_path / "run.nii.gz")
    (tmp_path / "taken").write_text("")
    result = prepare_scan(record(image), tmp_path / "taken" / "packed", CONTRACT)
    assert result.status == "failed"
    assert "run.nii.gz: cannot be packed into" in result.sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into read-only folders")
def test_a_read_only_folder_is_one_sentence(tmp_path):
    image = write_scan(tmp_path / "run.nii.gz")
    (tmp_path / "packed").mkdir(mode=0o500)
    assert (
        "choose a folder that you may write to" in prepare_scan(record(image), tmp_path / "packed", CONTRACT).sentence
    )


def test_the_scan_is_decompressed_once(tmp_path, monkeypatch):
    image, opened = write_scan(tmp_path / "run.nii.gz"), []
    once = stream._opened
    monkeypatch.setattr(stream, "_opened", lambda path: opened.append(path) or once(path))
    assert prepare_scan(record(image), tmp_path / "packed", CONTRACT).status == "packed"
    assert opened == [str(image)]


def test_memory_does_not_grow_with_the_frames(tmp_path, monkeypatch):
    """What is allocated at once for 60 frames is what is allocated for 600."""
    # the grid is small, so that one run must be small too
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 1000)
    monkeypatch.setattr(stream.stored_runs, "__defaults__", (4000,))
    peaks = []
    for num_frames in (60, 600):
        values = np.random.default_rng(0).integers(200, 9000, (*GRID, num_frames)).astype(np.int16)
        values[:2] = 0
        nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "run.nii.gz")
        prepare_scan(record(tmp_path / "run.nii.gz"), tmp_path / "warm", CONTRACT)
        tracemalloc.start()
        assert prepare_scan(record(tmp_path / "run.nii.gz"), tmp_path / str(num_frames), CONTRACT).status == "packed"
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
