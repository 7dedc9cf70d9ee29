from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.contract import Target
from monai_tff.data.cohorts.published import (
    convert_published,
    published_sections,
    read_published,
    read_published_split,
)
from monai_tff.data.cohorts.published_tensors import find_published
from monai_tff.data.header import read_header
from monai_tff.data.split_plan import SplitPlan
from monai_tff.errors import DatalistError
from monai_tff.transforms.intensity import GlobalNormalise, VoxelNormalise

PARITY = Path(__file__).parents[2] / "parity"
NORMS = {"global": "global_normalize", "per_voxel": "per_voxel_normalize"}
IMAGE = "sub-100307/func/sub-100307_task-rest_run-LR_bold.nii.gz"


def raw_scan(seed: int = 0, frames: int = 6) -> np.ndarray:
    """A scan [7, 8, 9, T] as the published preprocessing takes it: positive, its background 0."""
    generator = np.random.default_rng(seed)
    scan = generator.normal(9000, 300, (7, 8, 9, 1)) + generator.normal(0, 60, (7, 8, 9, frames))
    scan[:2] = 0
    return scan.astype(np.float32)


def published_channels(scan: np.ndarray) -> dict[str, np.ndarray]:
    """Both published normalisations of a scan, written anew: the second has NaN in the background."""
    background = scan == 0
    y = (scan - scan[~background].mean()) / scan[~background].std(ddof=1)
    deviation = scan.std(-1, ddof=1, keepdims=True)
    z = np.divide(scan - scan.mean(-1, keepdims=True), deviation, out=np.full_like(scan, np.nan), where=deviation > 0)
    return {"global": np.where(background, y.min(), y), "per_voxel": np.where(background, np.nan, z)}


def save_frames(source: Path, subject: str, channels: dict[str, np.ndarray], prefix: str = "rfMRI_LR_") -> Path:
    for norm, values in channels.items():
        folder = source / subject / NORMS[norm]
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(values.shape[3]):
            frame = torch.from_numpy(np.ascontiguousarray(values[..., index : index + 1], dtype=np.float32))
            torch.save(frame, folder / f"{prefix}TR_{index}.pt")
    return source


def voxels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_frames(tmp_path / "MNI to TRs", "100307", published_channels(raw_scan()))


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_recipe", PARITY / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_converted_frames_give_the_published_channels_back(tmp_path: Path, recipe: ModuleType, kind: str) -> None:
    with np.load(PARITY / "reference.npz") as arrays:
        channels = {norm: arrays[f"prep/{kind}/{norm}"] for norm in NORMS}
    save_frames(tmp_path / "in", "100307", channels)
    result = convert_published(tmp_path / "in", tmp_path / "out", repetition_time=0.72)
    assert (result.written, result.kept, result.faults) == ([IMAGE], [], [])
    scan = {"int16": recipe.scan_int16, "float32": recipe.scan_float32}[kind]((25, 27, 18, 22))[8:-8, 8:-8, :-10, 10:]
    found = voxels(tmp_path / "out" / IMAGE)
    assert found.shape == scan.shape == (9, 11, 8, 12)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found == 0, scan == 0)
    frames = torch.from_numpy(found).movedim(-1, 0)
    of_scan = GlobalNormalise()(frames).movedim(0, -1).numpy()
    np.testing.assert_allclose(of_scan, channels["global"], rtol=0, atol=2e-6)
    of_voxels = VoxelNormalise()(frames).movedim(0, -1).numpy()
    # where 0 lies between the values of a scan with negative ones is not known: voxels that are 0 in some frames only
    some = (scan == 0).any(-1) & (scan != 0).any(-1) if scan.min() < 0 else np.zeros(scan.shape[:3], bool)
    # nor what the published arithmetic made of voxels that do not vary
    compared = ~some & (np.ptp(scan, axis=-1) > 0)
    assert compared.sum() > 500
    wanted = np.nan_to_num(channels["per_voxel"], nan=0)
    # the rounding of the stored y, in units of a voxel's standard deviation
    np.testing.assert_allclose(of_voxels[compared], wanted[compared], rtol=0, atol=2e-5)


def test_without_voxel_frames_the_smallest_element_joins_the_background(tmp_path: Path) -> None:
    scan = raw_scan()
    scan[4, 4, 4, 2] = -50
    y = published_channels(scan)["global"]
    save_frames(tmp_path / "in", "100307", {"global": y})
    assert convert_published(tmp_path / "in", tmp_path / "out", repetition_time=0.72).faults == []
    found = voxels(tmp_path / "out" / IMAGE)
    joined = np.argwhere((found == 0) & (scan != 0)).tolist()
    assert joined == [[4, 4, 4, 2]]
    of_scan = GlobalNormalise()(torch.from_numpy(found)).numpy()
    # its share of the variance is what is lost
    assert np.abs(of_scan - y).max() <= abs(y.min()) * (y.min() ** 2 + 2) / (scan != 0).sum()


def test_what_is_written(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    convert_published(source, out, repetition_time=0.72, voxel_size=(2, 3, 4), axis_codes="LAS", progress=True)
    header = read_header(out / IMAGE)
    assert (header.shape, header.voxel_size, header.axis_codes) == ((7, 8, 9, 6), (2.0, 3.0, 4.0), "LAS")
    assert header.repetition_time == 0.72
    assert nib.load(out / IMAGE).header.get_zooms()[3] == pytest.approx(0.72)
    centre = header.affine @ [3, 3.5, 4, 1]
    assert centre.tolist() == [0, 0, 0, 1]
    y = published_channels(raw_scan())["global"]
    np.testing.assert_array_equal(voxels(out / IMAGE), y - y.min())
    sidecar = json.loads((out / IMAGE.replace(".nii.gz", ".json")).read_text())
    assert sidecar["BackgroundFill"] == y.min()
    assert sidecar["Sources"] == ["100307/global_normalize"]
    assert (sidecar["SourceFiles"], sidecar["RepetitionTime"]) == (6, 0.72)
    assert str(tmp_path) not in json.dumps(sidecar)
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "dataset_description.json",
        "sub-100307_task-rest_run-LR_bold.json",
        "sub-100307_task-rest_run-LR_bold.nii.gz",
    ]


def test_a_description_that_is_there_stays(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset_description.json").write_text('{"Name": "mine"}')
    convert_published(source, out, repetition_time=0.72)
    assert json.loads((out / "dataset_description.json").read_text()) == {"Name": "mine"}


def test_complete_scans_are_kept(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    convert_published(source, out, repetition_time=0.72)
    stamp = (out / IMAGE).stat().st_mtime_ns
    whole = (out / IMAGE).read_bytes()
    assert convert_published(source, out, repetition_time=0.72).kept == [IMAGE]
    assert (out / IMAGE).stat().st_mtime_ns == stamp
    # torn, without its sidecar, or made with other values: converted anew
    (out / IMAGE).write_bytes(whole[:-40])
    assert convert_published(source, out, repetition_time=0.72).written == [IMAGE]
    assert (out / IMAGE).read_bytes() == whole
    (out / IMAGE.replace(".nii.gz", ".json")).unlink()
    assert convert_published(source, out, repetition_time=0.72).written == [IMAGE]
    assert convert_published(source, out, repetition_time=2.0).written == [IMAGE]
    assert read_header(out / IMAGE).repetition_time == 2.0
    save_frames(source, "100206", published_channels(raw_scan(1)))
    again = convert_published(source, out, repetition_time=2.0)
    assert (again.written, again.kept) == ([IMAGE.replace("100307", "100206")], [IMAGE])


def test_runs_and_layouts(tmp_path: Path) -> None:
    source = tmp_path / "in"
    channels = published_channels(raw_scan())
    save_frames(source, "100307", channels)
    save_frames(source, "100307", channels, prefix="rfMRI_REST2_RL_")
    save_frames(source, "sub-10891", channels, prefix="")
    for norm, name in NORMS.items():
        shutil.copytree(source / "sub-10891" / name, source / name / "205826")
        assert (source / name / "205826" / "TR_5.pt").is_file(), norm
    plain = source / "136833"
    shutil.copytree(source / "sub-10891" / "global_normalize", tmp_path / "elsewhere")
    plain.symlink_to(tmp_path / "elsewhere")
    scans, faults = find_published(source)
    assert faults == []
    assert [(scan.subject, scan.run, len(scan.files), len(scan.voxel_files)) for scan in scans] == [
        ("100307", "LR", 6, 6),
        ("100307", "REST2RL", 6, 6),
        ("10891", None, 6, 6),
        ("136833", None, 6, 0),
        ("205826", None, 6, 6),
    ]


def test_more_than_ten_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    channels = published_channels(raw_scan(frames=12))
    save_frames(tmp_path / "in", "100307", channels)
    convert_published(tmp_path / "in", tmp_path / "out", repetition_time=0.72)
    y = channels["global"]
    np.testing.assert_array_equal(voxels(tmp_path / "out" / IMAGE), y - y.min())


@pytest.mark.parametrize(("dtype", "zipped"), [(torch.float32, True), (torch.int16, True), (torch.float16, False)])
def test_whole_scans_are_written_as_they_are(tmp_path: Path, dtype: torch.dtype, zipped: bool) -> None:
    scan = torch.from_numpy(raw_scan()).movedim(-1, 0)[:, None].to(dtype)
    (tmp_path / "in").mkdir()
    torch.save(scan, tmp_path / "in" / "sub-100307.pt", _use_new_zipfile_serialization=zipped)
    result = convert_published(tmp_path / "in", tmp_path / "out", repetition_time=2.0, voxel_size=(3, 3, 3))
    assert result.written == ["sub-100307/func/sub-100307_task-rest_bold.nii.gz"]
    found = voxels(tmp_path / "out" / result.written[0])
    np.testing.assert_array_equal(found, scan[:, 0].movedim(0, -1).float().numpy())


def test_several_whole_scans_of_a_subject_are_runs(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "100307"
    folder.mkdir(parents=True)
    for run in ("REST1_LR", "REST1_RL"):
        torch.save(torch.ones(3, 1, 7, 8, 9), folder / f"{run}.pt")
    scans, _ = find_published(tmp_path / "in")
    assert [(scan.subject, scan.run, scan.whole) for scan in scans] == [
        ("100307", "REST1LR", True),
        ("100307", "REST1RL", True),
    ]


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def damage(folder: Path, name: str) -> None:
    """Makes a subject's frames wrong in one way."""
    frame = folder / "global_normalize" / "rfMRI_LR_TR_3.pt"
    values = torch.load(frame, weights_only=True)
    if name == "nan":
        torch.save(values.fill_(torch.nan), frame)
    elif name == "shape":
        torch.save(values[:-1], frame)
    elif name == "scale":
        for file in (folder / "global_normalize").iterdir():
            torch.save(torch.load(file, weights_only=True) * 3 + 1, file)
    elif name == "truncated":
        frame.write_bytes(frame.read_bytes()[:100])
    elif name == "code":
        torch.save(Harmful(), frame)
    elif name == "mapping":
        torch.save({"frame": values}, frame)
    elif name == "gap":
        frame.unlink()
    elif name == "no global":
        shutil.rmtree(frame.parent)
    elif name == "other frames":
        first = folder / "per_voxel_normalize" / "rfMRI_LR_TR_0.pt"
        shutil.copy(folder / "per_voxel_normalize" / "rfMRI_LR_TR_2.pt", first)
    elif name == "fewer":
        (folder / "per_voxel_normalize" / "rfMRI_LR_TR_5.pt").unlink()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nan", "rfMRI_LR_TR_3.pt: has NaN or infinite elements, expected the global normalisation"),
        ("shape", "rfMRI_LR_TR_3.pt: has the shape (6, 8, 9), the first frame (7, 8, 9)"),
        ("scale", "have mean 1 and standard deviation 3, expected 0 and 1"),
        ("truncated", "rfMRI_LR_TR_3.pt: cannot be read (RuntimeError), expected one tensor"),
        ("code", "rfMRI_LR_TR_3.pt: holds Python objects that could run code on loading"),
        ("mapping", "rfMRI_LR_TR_3.pt: holds a dict, expected one tensor"),
        ("gap", "global_normalize: frame 3 of 6 is missing, expected all"),
        ("no global", "has frames normalised per voxel only"),
        ("other frames", "per_voxel_normalize/rfMRI_LR_TR_0.pt: 99% of its elements are not those that follow from"),
        ("fewer", "has 5 frames in 'per_voxel' and 6 in 'global'"),
    ],
)
def test_a_wrong_scan_is_left_out(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_frames(source, "100206", published_channels(raw_scan(1)))
    damage(source / "100206", name)
    result = convert_published(source, tmp_path / "out", repetition_time=0.72)
    assert result.written == [IMAGE]
    assert len(result.faults) == 1
    assert sentence in result.faults[0]
    assert not (tmp_path / "executed").exists()
    assert [path.name for path in (tmp_path / "out").rglob("*100206*") if path.is_file()] == []
    assert [path.name for path in (tmp_path / "out").rglob(".*")] == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (torch.ones(3, 2, 7, 8, 9), "has the shape (3, 2, 7, 8, 9), expected a whole scan [T, 1, X, Y, Z]"),
        (torch.full((3, 1, 7, 8, 9), torch.inf), "frame 0 has NaN or infinite elements"),
        (torch.ones(3, 1, 7, 8, 9, dtype=torch.bool), "holds torch.bool"),
        ([1, 2], "holds a list, expected one tensor"),
    ],
)
def test_a_wrong_whole_scan_is_left_out(tmp_path: Path, content: object, sentence: str) -> None:
    (tmp_path / "in").mkdir()
    torch.save(content, tmp_path / "in" / "100307.pt")
    result = convert_published(tmp_path / "in", tmp_path / "out", repetition_time=0.72)
    assert result.written == []
    assert len(result.faults) == 1
    assert sentence in result.faults[0]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == ["dataset_description.json"]


def test_names_that_are_not_usable(tmp_path: Path, source: Path) -> None:
    save_frames(source, "a_b", published_channels(raw_scan()))
    shutil.copytree(source / "100307", source / "copy" / "100307")
    scans, faults = find_published(source)
    assert [scan.subject for scan in scans] == ["100307"]
    assert len([fault for fault in faults if "the subject is 'a_b', expected letters and digits" in fault]) == 12
    assert len([fault for fault in faults if "of 100307 is there twice" in fault]) == 12


def test_values_that_make_no_scan(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatalistError, match="repetition_time is 720, expected seconds"):
        convert_published(source, out, repetition_time=720)
    with pytest.raises(DatalistError, match="voxel_size is"):
        convert_published(source, out, repetition_time=0.72, voxel_size=(2, 0, 2))
    with pytest.raises(DatalistError, match="axis_codes is 'RAX'"):
        convert_published(source, out, repetition_time=0.72, axis_codes="RAX")
    with pytest.raises(DatalistError, match=r"has no \.pt file"):
        convert_published(PARITY, out, repetition_time=0.72)
    with pytest.raises(DatalistError, match="there is no such folder"):
        convert_published(tmp_path / "nowhere", out, repetition_time=0.72)
    assert not out.exists()
    (tmp_path / "file").touch()
    with pytest.raises(DatalistError, match="cannot be written"):
        convert_published(source, tmp_path / "file", repetition_time=0.72)


def test_reading_a_converted_folder(tmp_path: Path, source: Path) -> None:
    save_frames(source, "100206", published_channels(raw_scan(1)))
    out = tmp_path / "out"
    convert_published(source, out, repetition_time=0.72)
    (out / "participants.tsv").write_text("participant_id\tsex\n100307\tF\nsub-100206\tM\n")
    cohort = read_published(out, "sex")
    assert [(record["subject"], record["run"], record["label"]) for record in cohort.records] == [
        ("100206", "LR", "M"),
        ("100307", "LR", "F"),
    ]
    assert cohort.records[1]["image"] == IMAGE
    table = tmp_path / "hcp.csv"
    table.write_text("Subject,Gender,Family_ID\n100206,M,1_2\n100307,F,1_2\n")
    from_table = read_published(out, "Gender", run="LR", tables=[table], id_column="Subject")
    assert [(record["label"], record["group"]) for record in from_table.records] == [
        ("M", "family-1_2"),
        ("F", "family-1_2"),
    ]
    with pytest.raises(DatalistError, match="has no sub-\\*/func folder, expected the folder that convert_published"):
        read_published(source, "sex")


def split_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


PUBLISHED_ORDER = "train subjects:\nsub-10891\nsub-00746\ntest subjects:\nsub-70017\nval subjects:\nsub-60070"


def test_sections_of_a_split_in_the_published_order(tmp_path: Path) -> None:
    path = split_file(tmp_path / "split.txt", PUBLISHED_ORDER)
    assert read_published_split(path) == {
        "training": ["10891", "00746"],
        "validation": ["60070"],
        "test": ["70017"],
    }
    records = [{"subject": subject} for subject in ("10891", "746", "70017", "99999")]
    assert published_sections(path, records) == {"10891": "training", "746": "training", "70017": "test"}
    with pytest.raises(DatalistError, match="names none of the 1 subjects"):
        published_sections(path, [{"subject": "3"}])


def test_a_published_split_splits_a_cohort(tmp_path: Path, source: Path) -> None:
    for seed, subject in enumerate(("100206", "205826", "136833"), start=1):
        save_frames(source, subject, published_channels(raw_scan(seed)))
    out = tmp_path / "out"
    convert_published(source, out, repetition_time=0.72)
    (out / "participants.tsv").write_text("participant_id\tsex\n100206\tF\n100307\tF\n136833\tM\n205826\tM\n")
    records = read_published(out, "sex").records
    text = "train subjects:\n100307\n1\ntest subjects:\n136833\nval subjects:\n100206\n"
    split = split_file(tmp_path / "split.txt", text)
    plan = SplitPlan(assignment=published_sections(split, records))
    (found,) = plan.splits(records, Target("sex", "binary", ("F", "M")))
    subjects = {section: [record["subject"] for record in members] for section, members in found.sections.items()}
    assert subjects == {"training": ["100307"], "validation": ["100206"], "test": ["136833"]}
    assert [record["subject"] for record in found.left_out] == ["205826"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10891\ntrain subjects:\n", "line 1 is '10891', expected a header"),
        ("train subjects:\n1\ntest subjects:\n2\n", "has no subjects under 'val subjects:'"),
        ("train subjects:\n1\ntest subjects:\nval subjects:\n3\n", "has no subjects under 'test subjects:'"),
        ("train subjects:\n1\ntest subjects:\n01\n", "line 4 names 01 in test, which is in training already"),
        ("train subjects:\n1\n1\n", "line 3 names 1 in training, which is in training already"),
        ("train subjects:\n1\ntrain subjects:\n2\n", "line 3 starts the section 'train subjects:' again"),
    ],
)
def test_splits_that_are_not_right(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DatalistError) as error:
        read_published_split(split_file(tmp_path / "split.txt", text))
    assert sentence in str(error.value)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="cannot be read"):
        read_published_split(tmp_path / "split.txt")
