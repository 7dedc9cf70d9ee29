from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from monai_tff.contract import DENOISING, InputContract
from monai_tff.data import denoising
from monai_tff.data.confounds import read_regressors
from monai_tff.data.denoising import check_denoising, denoised, parse_denoising
from monai_tff.data.frames import StoredFrames
from monai_tff.data.loading import LoadScand
from monai_tff.data.packed import open_packed
from monai_tff.data.prepare import prepare_scan
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError, ContractError, ScanError

GRID = (7, 8, 9)
FRAMES, TRIM, TR = 240, 4, 2.0
COSINES = 7
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
OLD_NAMES = dict(zip(MOTION, ("X", "Y", "Z", "RotX", "RotY", "RotZ"), strict=True))
OLD_NAMES |= {"csf": "CSF", "white_matter": "WhiteMatter", "a_comp_cor_00": "aCompCor00", "a_comp_cor_01": "aCompCor01"}
NEW, OLD = "sub-1_task-rest_desc-confounds_timeseries.tsv", "sub-1_task-rest_bold_confounds.tsv"
IMAGE = "sub-1_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
OLD_IMAGE = "sub-1_task-rest_bold_space-MNI152NLin2009cAsym_preproc.nii.gz"


def columns(rows: int = FRAMES) -> pd.DataFrame:
    random = np.random.default_rng(5)
    table = pd.DataFrame({name: np.cumsum(random.normal(0, 0.05, rows)) for name in MOTION})
    for name in ("csf", "white_matter", "a_comp_cor_00", "a_comp_cor_01"):
        table[name] = random.normal(0, 1, rows)
    return table


def new_table(folder: Path, rows: int = FRAMES) -> Path:
    """As fMRIPrep writes it since 1.2: derivatives without first row, squares, cosines, a JSON for the components."""
    table = columns(rows)
    for name in (*MOTION, "csf", "white_matter"):
        table[f"{name}_derivative1"] = table[name].diff()
        table[f"{name}_power2"] = table[name] ** 2
        table[f"{name}_derivative1_power2"] = table[name].diff() ** 2
    for number in range(COSINES):
        table[f"cosine{number:02d}"] = np.cos(np.pi * (number + 1) * (np.arange(rows) + 0.5) / rows)
    table["non_steady_state_outlier00"] = (np.arange(rows) == 0).astype(int)
    table["framewise_displacement"] = table[list(MOTION)].diff().abs().sum(axis=1, min_count=1)
    table.to_csv(folder / NEW, sep="\t", na_rep="n/a", index=False)
    components = {
        f"a_comp_cor_0{number}": {"Method": "aCompCor", "Mask": "combined", "Retained": True, "VarianceExplained": 0.1}
        for number in range(2)
    }
    (folder / NEW).with_suffix(".json").write_text(json.dumps(components))
    return folder / NEW


def old_table(folder: Path, rows: int = FRAMES) -> Path:
    """As fMRIPrep before 1.2 wrote it."""
    table = columns(rows).rename(columns=OLD_NAMES)
    table.insert(2, "FramewiseDisplacement", [np.nan, *np.ones(rows - 1)])
    table.to_csv(folder / OLD, sep="\t", na_rep="n/a", index=False)
    return folder / OLD


WRITERS = {"new": new_table, "old": old_table}


def scan(noise: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames [T, X, Y, Z] with a mean, a common signal and motion in every voxel; the signal; the injected motion."""
    random = np.random.default_rng(1)
    signal = np.sin(2 * np.pi * 0.06 * TR * np.arange(FRAMES))
    motion = columns()["trans_y"].to_numpy()
    motion = (motion - motion.mean()) / motion.std()
    mean = random.uniform(400, 900, GRID)
    frames = mean + 5 * signal[:, None, None, None] + noise * motion[:, None, None, None]
    frames += random.normal(0, 1, frames.shape)
    frames[:, 0, :, :] = 0
    return frames.astype(np.float32), signal, motion


def clean(
    frames: np.ndarray, confounds: Path | None, voxels: torch.Tensor | None = None, **changes: object
) -> np.ndarray:
    options: dict = {"denoising": "clean_img:simple", "image": Path(IMAGE), "repetition_time": TR, "trim": TRIM}
    voxels = torch.arange(int(np.prod(GRID))) if voxels is None else voxels
    stored = StoredFrames(frames[TRIM:], first_frame=TRIM)
    cleaned = denoised(stored, voxels, confounds=confounds, **options | changes)
    assert cleaned.shape == (FRAMES - TRIM, len(voxels), 1, 1)
    assert cleaned.first_frame == TRIM
    return cleaned.reader()(slice(None)).numpy()


def correlation(values: np.ndarray, course: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(column, course)[0, 1] for column in values.T])


@pytest.mark.parametrize("text", DENOISING)
def test_known_forms(text: str) -> None:
    assert parse_denoising(text) == (text.partition(":")[2] or None)
    assert InputContract((7, 8, 9), 20, denoising=text).to_dict()["denoising"] == text


@pytest.mark.parametrize("text", ["", "Fix", "clean_img", "clean_img:", "clean_img:full"])
def test_unknown_forms_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=f"denoising is '{text}', expected one of none, fix, by_cohort, clean_img:simple"
    ):
        check_denoising(text)
    with pytest.raises(
        ContractError, match=f"denoising is '{text}', expected one of none, fix, by_cohort, clean_img:simple"
    ):
        InputContract((7, 8, 9), 20, denoising=text)


def test_scrubbing_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="scrubbing drops frames"):
        parse_denoising("clean_img:scrubbing")


@pytest.mark.parametrize("strategy", ["simple", "compcor"])
@pytest.mark.parametrize("generation", list(WRITERS))
def test_motion_goes_and_signal_and_mean_stay(tmp_path: Path, generation: str, strategy: str) -> None:
    frames, signal, motion = scan()
    confounds = WRITERS[generation](tmp_path)
    cleaned = clean(frames, confounds, denoising=f"clean_img:{strategy}")
    before = frames[TRIM:].reshape(FRAMES - TRIM, -1)
    inside = before.any(axis=0)
    assert inside.sum() == 6 * 8 * 9
    assert np.abs(correlation(before[:, inside], motion[TRIM:])).min() > 0.5
    assert np.abs(correlation(cleaned[:, inside], motion[TRIM:])).max() < 1e-3
    # the regressors explain some of any signal by chance
    assert correlation(cleaned[:, inside], signal[TRIM:]).min() > 0.85
    np.testing.assert_allclose(cleaned.mean(axis=0), before.mean(axis=0, dtype=np.float64), rtol=1e-6)
    assert (cleaned[:, ~inside] == 0).all()


@pytest.mark.parametrize("generation", list(WRITERS))
def test_what_is_left_is_the_residual_of_a_regression(tmp_path: Path, generation: str) -> None:
    frames, _, _ = scan()
    confounds = WRITERS[generation](tmp_path)
    regressors = read_regressors(confounds, "simple", image=Path(IMAGE), num_frames=FRAMES, repetition_time=TR)[TRIM:]
    design = np.column_stack([np.ones(FRAMES - TRIM), np.arange(FRAMES - TRIM), regressors])
    design[:, 1:] = (design[:, 1:] - design[:, 1:].mean(axis=0)) / design[:, 1:].std(axis=0)
    signals = frames[TRIM:].reshape(FRAMES - TRIM, -1).astype(np.float64)
    residual = signals - design @ np.linalg.lstsq(design, signals, rcond=None)[0]
    np.testing.assert_allclose(clean(frames, confounds), residual + signals.mean(axis=0), rtol=1e-6, atol=1e-6)


def test_the_same_as_clean_img(tmp_path: Path) -> None:
    from nilearn.image import clean_img

    frames, _, _ = scan()
    confounds = new_table(tmp_path)
    regressors = read_regressors(confounds, "simple", image=Path(IMAGE), num_frames=FRAMES, repetition_time=TR)[TRIM:]
    trimmed = frames[TRIM:].astype(np.float64)
    image = nib.Nifti1Image(np.moveaxis(trimmed, 0, -1), np.eye(4))
    wanted = np.moveaxis(clean_img(image, confounds=regressors, standardize=None).get_fdata(), -1, 0)
    found = clean(frames, confounds).reshape(trimmed.shape)
    np.testing.assert_allclose(found, wanted + trimmed.mean(axis=0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("generation", "image"), [("new", IMAGE), ("old", OLD_IMAGE)])
def test_the_table_beside_the_scan_is_found(tmp_path: Path, generation: str, image: str) -> None:
    frames, _, _ = scan()
    confounds = WRITERS[generation](tmp_path)
    found = clean(frames, None, image=tmp_path / image)
    np.testing.assert_array_equal(found, clean(frames, confounds))


@pytest.mark.parametrize("named", [True, False], ids=["named by the record", "beside the scan"])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_loaded_and_packed_scans_are_cleaned_alike(tmp_path: Path, extension: str, named: bool) -> None:
    frames, _, motion = scan()
    path = tmp_path / IMAGE.replace(".nii.gz", extension)
    image = nib.Nifti1Image(np.moveaxis(np.round(frames * 4).astype(np.int16), 0, -1), np.diag([-2.0, 3.0, 4.0, 1.0]))
    image.header.set_slope_inter(0.25, 0)
    nib.save(image, path)
    confounds = new_table(tmp_path)
    record = {"image": str(path), "tr": TR, "confounds": str(confounds) if named else None}
    contract = InputContract(GRID, 20, trim=TRIM, denoising="clean_img:simple", mask="nonzero")
    loaded = LoadScand("image", contract)(record)["image"]
    assert loaded.encoding == "codes"
    channel = loaded.unpack()[1].reshape(-1, FRAMES - TRIM).T.numpy()
    varying = channel.std(axis=0) > 0
    assert varying.sum() == 6 * 8 * 9
    assert np.abs(correlation(channel[:, varying], motion[TRIM:])).max() < 1e-3
    result = prepare_scan(record, tmp_path / "packed", contract)
    assert (result.status, result.sentence) == ("packed", "")
    (file,) = (tmp_path / "packed").iterdir()
    torch.testing.assert_close(open_packed(file).unpack(), loaded.unpack(), rtol=0, atol=0)
    lines = confounds.read_text().splitlines()
    confounds.write_text("\n".join([*lines[:9], *lines[:8:-1]]) + "\n")
    os.utime(confounds, ns=(0, 10**18))
    with pytest.raises(ScanError, match="its table of confounds has changed since it was packed"):
        LoadScand("image", contract, packed_dir=str(tmp_path / "packed"))(record)
    assert prepare_scan(record, tmp_path / "packed", contract).status == "packed"
    assert not torch.equal(open_packed(file).unpack(), loaded.unpack())


def test_a_scan_without_its_table_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / IMAGE
    nib.save(nib.Nifti1Image(np.moveaxis(scan()[0], 0, -1), np.eye(4)), path)
    contract = InputContract(GRID, 20, denoising="clean_img:simple", mask="nonzero")
    result = prepare_scan({"image": str(path)}, tmp_path / "packed", contract)
    assert result.status == "failed"
    assert result.sentence.startswith(f"{path}: there are no confounds, expected a table of fMRIPrep")
    assert list((tmp_path / "packed").iterdir()) == []


@pytest.mark.parametrize("generation", list(WRITERS))
def test_drift_goes(tmp_path: Path, generation: str) -> None:
    frames, _, _ = scan(noise=0)
    drift = 20 * np.cos(2 * np.pi * np.arange(FRAMES) / FRAMES)
    cleaned = clean(frames + drift[:, None, None, None], WRITERS[generation](tmp_path))
    assert np.abs(correlation(cleaned, drift[TRIM:])).max() < 0.05


def test_both_generations_give_the_same_regressors(tmp_path: Path) -> None:
    options: dict = {"image": Path(IMAGE), "num_frames": FRAMES, "repetition_time": TR}
    new = read_regressors(new_table(tmp_path), "simple", **options)
    old = read_regressors(old_table(tmp_path), "simple", **options)
    assert new.shape == old.shape == (FRAMES, 24 + 2 + COSINES)
    span = np.linalg.qr(new - new.mean(axis=0))[0]
    centred = old - old.mean(axis=0)
    left_over = centred - span @ (span.T @ centred)
    np.testing.assert_allclose(left_over, 0, atol=1e-8 * np.abs(centred).max())


@pytest.mark.parametrize("generation", list(WRITERS))
def test_ica_aroma_wants_the_scan_that_aroma_cleaned(tmp_path: Path, generation: str) -> None:
    frames, _, _ = scan()
    confounds = WRITERS[generation](tmp_path)
    with pytest.raises(ScanError, match=r"desc-preproc_bold\.nii\.gz: .*ica_aroma .*smoothAROMAnonaggr"):
        clean(frames, confounds, denoising="clean_img:ica_aroma")
    image = Path("sub-1_task-rest_space-MNI152NLin6Asym_desc-smoothAROMAnonaggr_bold.nii.gz")
    tissue = columns()["csf"].to_numpy()
    frames[:, 1:] += 4 * tissue[:, None, None, None]
    cleaned = clean(frames, confounds, denoising="clean_img:ica_aroma", image=image)
    inside = cleaned.any(axis=0)
    assert np.abs(correlation(cleaned[:, inside], tissue[TRIM:])).max() < 1e-3


def test_the_mean_of_the_global_channel_is_unchanged(tmp_path: Path) -> None:
    frames, _, _ = scan()
    mask = torch.from_numpy(frames.any(axis=0))
    voxels = mask.flatten().nonzero()[:, 0]
    raw = CompactScan.from_frames(frames[TRIM:], mask)
    cleaned = denoised(
        StoredFrames(frames[TRIM:]),
        voxels,
        denoising="clean_img:simple",
        image=IMAGE,
        confounds=new_table(tmp_path),
        repetition_time=TR,
        trim=TRIM,
    )
    packed = CompactScan.from_frames(cleaned, mask, voxels=torch.arange(len(voxels)))
    assert packed.global_mean == pytest.approx(raw.global_mean, rel=1e-7)
    torch.testing.assert_close(packed.voxel_mean, raw.voxel_mean, rtol=1e-6, atol=0)
    # the brain's intensity, not the noise, is most of the global channel's spread
    assert packed.global_std == pytest.approx(raw.global_std, rel=0.01)
    assert (packed.voxel_std < raw.voxel_std).all()


def test_blocks_files_and_order_of_voxels_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _, _ = scan()
    confounds = new_table(tmp_path)
    whole = clean(frames, confounds)
    shuffled = torch.from_numpy(np.random.default_rng(2).permutation(int(np.prod(GRID)))[:100])
    monkeypatch.setattr(denoising, "BLOCK_ELEMENTS", 7 * FRAMES)
    monkeypatch.setattr(denoising, "LARGEST_IN_MEMORY", 0)
    blocks = clean(frames, confounds, shuffled, scratch=tmp_path)
    np.testing.assert_allclose(blocks, whole[:, shuffled.numpy()], rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [Path(NEW).with_suffix(".json").name, NEW]


def test_constant_and_broken_voxels_stay_as_they_are(tmp_path: Path) -> None:
    frames, _, _ = scan()
    frames[:, 3, 4, 5] = 7
    frames[50, 2, 2, 2] = np.nan
    frames[60, 2, 2, 3] = np.inf
    cleaned = clean(frames, new_table(tmp_path)).reshape(FRAMES - TRIM, *GRID)
    for voxel in ((3, 4, 5), (2, 2, 2), (2, 2, 3)):
        np.testing.assert_array_equal(cleaned[:, *voxel], frames[TRIM:, *voxel])
    assert (~np.isfinite(cleaned)).sum() == 2


def test_scaled_integers_are_cleaned_in_real_units(tmp_path: Path) -> None:
    confounds = new_table(tmp_path)
    stored = np.round(scan()[0] * 8).astype(np.int16)
    frames = StoredFrames(np.asfortranarray(stored[TRIM:].T).T, slope=0.125)
    options: dict = {"denoising": "clean_img:simple", "image": IMAGE, "confounds": confounds, "repetition_time": TR}
    cleaned = denoised(frames, torch.arange(504), trim=TRIM, **options).reader()(slice(None)).numpy()
    np.testing.assert_allclose(cleaned, clean(stored.astype(np.float32) / 8, confounds), rtol=1e-6)


def drop(column: str, path: Path) -> Path:
    pd.read_csv(path, sep="\t").drop(columns=column).to_csv(path, sep="\t", na_rep="n/a", index=False)
    return path


def spoil(column: str, path: Path) -> Path:
    table = pd.read_csv(path, sep="\t", dtype=str)
    table.loc[70, column] = "moved"
    table.to_csv(path, sep="\t", na_rep="n/a", index=False)
    return path


@pytest.mark.parametrize(
    ("make", "changes", "sentence"),
    [
        (lambda folder: None, {}, rf"{IMAGE}: there are no confounds, expected a table of fMRIPrep"),
        (lambda folder: folder / NEW, {}, rf"{NEW}: there is no such table, expected the confounds of {IMAGE}"),
        (lambda folder: new_table(folder, 239), {}, rf"{NEW}: has 239 rows, expected 240, .* of {IMAGE}"),
        (lambda folder: old_table(folder, 200), {}, rf"{OLD}: has 200 rows, expected 240, .* of {IMAGE}"),
        (lambda folder: drop("rot_x", new_table(folder)), {}, rf"{NEW}: lacks .* simple needs .*rot_x"),
        (lambda folder: drop("white_matter", new_table(folder)), {}, rf"{NEW}: lacks .* simple needs .*white_matter"),
        (lambda folder: drop("WhiteMatter", old_table(folder)), {}, rf"{OLD}: has no column WhiteMatter, .*simple"),
        (
            lambda folder: drop("aCompCor00", drop("aCompCor01", old_table(folder))),
            {"denoising": "clean_img:compcor"},
            rf"{OLD}: has no column aCompCor00",
        ),
        (lambda folder: spoil("RotX", old_table(folder)), {}, rf"{OLD}: the column RotX is not a number"),
        (lambda folder: spoil("trans_x", new_table(folder)), {}, rf"{NEW}: the column trans_x is not a number"),
        (old_table, {"repetition_time": None}, rf"{OLD}: .* repetition time is unknown"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, make, changes: dict, sentence: str) -> None:
    with pytest.raises(ScanError, match=sentence):
        clean(scan()[0], make(tmp_path), **changes)


def test_compcor_without_the_json_is_refused(tmp_path: Path) -> None:
    confounds = new_table(tmp_path)
    confounds.with_suffix(".json").unlink()
    with pytest.raises(ScanError, match=rf"{NEW}: lacks what the strategy compcor needs .*JSON beside"):
        clean(scan()[0], confounds, denoising="clean_img:compcor")


def test_more_regressors_than_frames_are_refused(tmp_path: Path) -> None:
    confounds = new_table(tmp_path, 36)
    frames = StoredFrames(scan()[0][TRIM:36])
    options: dict = {"denoising": "clean_img:simple", "image": IMAGE, "repetition_time": TR, "trim": TRIM}
    with pytest.raises(ScanError, match=rf"{NEW}: 33 regressors, .* nothing of the 32 frames of {IMAGE}"):
        denoised(frames, torch.arange(504), confounds=confounds, **options)


def test_no_space_for_the_scratch_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "LARGEST_IN_MEMORY", 0)
    missing = tmp_path / "scratch"
    with pytest.raises(ScanError, match=rf"{IMAGE}: .* scratch file of 0\.00 GB in {missing}, .*No such file"):
        clean(scan()[0], new_table(tmp_path), scratch=missing)
