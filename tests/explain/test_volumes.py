from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_tff.contract import InputContract
from monai_tff.data.loading import load_scan
from monai_tff.explain.volumes import read_map, write_map

SHAPE = (9, 10, 11)
OBLIQUE = nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([-3.0, 3.5, 4.0])


def affine_of(kind: str) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE if kind == "oblique LAS" else np.diag([3.0, 3.5, 4.0])
    affine[:3, 3] = [12.0, -31.0, 7.0]
    return affine


@pytest.mark.parametrize("kind", ["RAS", "oblique LAS"])
def test_a_voxel_of_the_map_has_its_place_in_the_stored_scan(tmp_path, kind):
    affine, stored = affine_of(kind), (4, 6, 5)
    assert nib.orientations.aff2axcodes(affine)[0] == ("L" if kind == "oblique LAS" else "R")
    values = np.random.default_rng(1).integers(100, 200, (*SHAPE, 5)).astype(np.int16)
    values[stored] = 3000  # a voxel that is seen again in channel 0
    image = nib.nifti1.Nifti1Image(values, affine)
    image.header.set_zooms((3.0, 3.5, 4.0, 2.0))
    nib.loadsave.save(image, tmp_path / "scan.nii.gz")
    contract = InputContract(spatial_size=(7, 8, 8), window_length=4, crop=((1, 8), (2, 10), (0, 8)), mask="nonzero")
    scan, _ = load_scan(tmp_path / "scan.nii.gz", contract)
    write_map(tmp_path / "map.nii.gz", scan.unpack()[0].mean(dim=-1).numpy(), scan.affine.numpy())
    found, place = read_map(tmp_path / "map.nii.gz")
    assert found.shape == (7, 8, 8)
    brightest = place @ [*np.unravel_index(found.argmax(), found.shape), 1]
    np.testing.assert_allclose(brightest, affine @ [*stored, 1], atol=1e-4)
    # and every other voxel, looked up in the scan by its place in mm
    back = np.linalg.inv(affine) @ place
    for voxel in [(0, 0, 0), (6, 7, 7), (2, 5, 1)]:
        index = tuple(round(float(i)) for i in (back @ [*voxel, 1])[:3])
        expected = (values[index].mean() - scan.global_mean) / scan.global_std
        assert found[voxel] == pytest.approx(expected, abs=1e-3)


def test_the_same_map_gives_the_same_bytes(tmp_path):
    values = np.random.default_rng(2).normal(size=(7, 8, 9))
    for name in ("a", "b"):
        write_map(tmp_path / f"{name}.nii.gz", values, affine_of("RAS"))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
