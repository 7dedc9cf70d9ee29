"""The files of a simulated cohort: NIfTI headers, storages, confounds."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pandas
import pytest

from monai_tff.data.simulation.files import write_confounds, write_nifti, write_scan
from monai_tff.data.simulation.options import SimulationOptions
from monai_tff.data.simulation.signal import head_motion, simulate_scan
from monai_tff.data.simulation.subjects import simulate_subject
from monai_tff.data.simulation.template import brain_template
from monai_tff.errors import ConfigError


@pytest.fixture(scope="module")
def drawn():
    options = SimulationOptions(num_frames=6)
    template = brain_template(20.0)
    subject = simulate_subject(options, 0, len(template.patterns))
    return template, subject, simulate_scan(options, template, subject, 0)


@pytest.mark.parametrize(("storage", "dtype"), [("int16", "int16"), ("scaled_int16", "int16"), ("float32", "float32")])
def test_storages_read_back(tmp_path, drawn, storage, dtype):
    template, subject, scan = drawn
    path = write_scan(tmp_path, subject, None, scan, template, storage=storage, mask=False)
    image = nibabel.load(path)
    slope = image.dataobj.slope
    assert image.get_data_dtype() == np.dtype(dtype)
    assert (slope == 1) == (storage != "scaled_int16")
    tolerance = 0 if storage == "float32" else slope / 2 * (1 + 1e-5)
    np.testing.assert_allclose(image.get_fdata(), scan.frames, rtol=1e-6, atol=tolerance)
    assert (image.get_fdata()[~template.mask] == 0).all()


def test_header(tmp_path):
    affine = brain_template(12.0).affine
    values = np.arange(7 * 8 * 9 * 5, dtype=np.int16).reshape(7, 8, 9, 5)
    write_nifti(tmp_path / "a.nii.gz", values, affine, repetition_time=0.72)
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), values)
    np.testing.assert_allclose(image.affine, affine)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header.get_zooms() == pytest.approx((12.0, 12.0, 12.0, 0.72))
    assert (image.header["sform_code"], image.header["qform_code"]) == (4, 4)
    assert b"SIMULATED" in image.header["descrip"].item()


def test_bytes_hold_neither_time_nor_name(tmp_path, monkeypatch):
    values = np.ones((3, 4, 5), dtype=np.uint8)
    write_nifti(tmp_path / "a.nii.gz", values, np.eye(4))
    monkeypatch.setattr("time.time", lambda: 4e8)
    write_nifti(tmp_path / "b.nii.gz", values, np.eye(4))
    first, second = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in "ab")
    assert first == second
    assert first[3] == 0  # no file name flag
    assert first[4:8] == bytes(4)  # no modification time
    assert len(gzip.decompress(first)) == 352 + 60


def test_an_intensity_beyond_int16_is_refused(tmp_path, drawn):
    template, subject, _ = drawn
    options = SimulationOptions(num_frames=6, site_gains=[50.0])
    scan = simulate_scan(options, template, subject, 0)
    with pytest.raises(
        ConfigError, match=r"sub-0001.* does not fit int16, expected at most 32767; lower the site gain"
    ):
        write_scan(tmp_path, subject, None, scan, template, storage="int16", mask=False)
    path = write_scan(tmp_path, subject, None, scan, template, storage="scaled_int16", mask=False)
    np.testing.assert_allclose(nibabel.load(path).get_fdata(), scan.frames, atol=10)


def test_confounds(tmp_path):
    motion = head_motion(np.random.default_rng(0), 30, 0.2)
    write_confounds(tmp_path / "confounds.tsv", motion)
    table = pandas.read_csv(tmp_path / "confounds.tsv", sep="\t", na_values="n/a")
    columns = ["framewise_displacement", "trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    assert list(table) == columns
    np.testing.assert_allclose(table["framewise_displacement"], motion.framewise_displacement, atol=1e-6)
    np.testing.assert_allclose(table[columns[1:]], motion.parameters, atol=1e-8)
