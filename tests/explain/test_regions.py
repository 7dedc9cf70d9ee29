from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_tff.errors import ConfigError
from monai_tff.explain.regions import clusters, read_atlas, region_table, strongest

AFFINE = np.array([[4.0, 0, 0, -20], [0, 4, 0, -30], [0, 0, 4, 10], [0, 0, 0, 1]])
MASK = np.ones((7, 8, 9), dtype=bool)
MASK[0] = False


def save(path, values, affine=AFFINE):
    nib.loadsave.save(nib.nifti1.Nifti1Image(values, affine), path)
    return path


@pytest.fixture
def atlas(tmp_path):
    """Two regions at twice the resolution: the lower and the upper half along z."""
    values = np.zeros((14, 16, 18), dtype=np.int16)
    values[:, :, :8], values[:, :, 8:] = 3, 40
    affine = AFFINE.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= 1
    return save(tmp_path / "atlas.nii.gz", values, affine)


@pytest.fixture
def maps():
    absolute = np.full((7, 8, 9), 0.5)
    absolute[2, 3, 6] = 9
    return absolute * MASK, np.where(np.arange(9) < 4, -0.25, 0.5) * MASK


def test_regions_of_an_atlas_with_names(tmp_path, atlas, maps):
    names = tmp_path / "names.tsv"
    names.write_text("index\tname\n3\tlower\n40\tupper part\n")
    regions = read_atlas(atlas, names).regions(MASK, AFFINE)
    assert regions["lower"].sum() == 6 * 8 * 4
    table = region_table(regions, *maps, MASK, AFFINE)
    assert table["region"].tolist() == ["upper part", "lower"]
    assert table["rank"].tolist() == [1, 2]
    assert table["voxels"].tolist() == [240, 192]
    assert table.loc[0, ["peak_x", "peak_y", "peak_z"]].tolist() == [-12, -18, 34]
    assert table["mean_absolute"].tolist() == pytest.approx([0.5 + 8.5 / 240, 0.5])
    assert table["mean_signed"].tolist() == pytest.approx([0.5, -0.25])
    assert table["share"].sum() == pytest.approx(1)


def test_without_names_regions_have_their_numbers(atlas):
    assert set(read_atlas(atlas, None).regions(MASK, AFFINE)) == {"region 3", "region 40"}


def test_clusters_of_the_strongest_voxels():
    absolute = np.random.default_rng(3).random((7, 8, 9)) / 10
    absolute[1:3, 1:3, 1:3] += 5
    absolute[5, 1:8, 7:9] += 3
    absolute[0] = 99  # outside the mask
    assert strongest(absolute, MASK).sum() == round(0.05 * 432)
    table = region_table(clusters(absolute, MASK), absolute, -absolute, MASK, AFFINE)
    assert table["voxels"].tolist() == [8, 14]
    assert table["mean_signed"].tolist() == pytest.approx((-table["mean_absolute"]).tolist())


def test_files_that_are_no_atlas_are_refused(tmp_path, atlas):
    probabilities = save(tmp_path / "probabilities.nii.gz", np.random.default_rng(1).random((7, 8, 9)))
    with pytest.raises(ConfigError, match=r"probabilities.nii.gz: has values that are not whole numbers"):
        read_atlas(probabilities, None)
    with pytest.raises(ConfigError, match=r"4d.nii.gz: has 4 dimensions, expected a 3D"):
        read_atlas(save(tmp_path / "4d.nii.gz", np.ones((7, 8, 9, 2))), None)
    with pytest.raises(ConfigError, match=r"none.nii.gz: cannot be read"):
        read_atlas(tmp_path / "none.nii.gz", None)
    far = AFFINE.copy()
    far[:3, 3] += 1000
    elsewhere = read_atlas(save(tmp_path / "far.nii.gz", np.ones((7, 8, 9), dtype=np.int16), far), None)
    with pytest.raises(ConfigError, match=r"far.nii.gz: none of its regions holds a voxel"):
        elsewhere.regions(MASK, AFFINE)
    table = tmp_path / "table.csv"
    table.write_text("number,what\n1,a\n")
    with pytest.raises(ConfigError, match=r"table.csv: has the columns number, what, expected a whole number 'index'"):
        read_atlas(atlas, table)
