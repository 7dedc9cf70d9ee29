"""The brain template: grid, place in MNI space, networks and patterns."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask
from scipy.spatial import cKDTree

from monai_tff.data.simulation.networks import NETWORKS
from monai_tff.data.simulation.template import brain_template


@pytest.mark.parametrize(
    ("voxel_size", "shape"),
    [(8.0, (20, 24, 21)), (10.0, (16, 19, 17)), (12.0, (13, 16, 14)), (14.0, (11, 14, 12)), (20.0, (8, 10, 9))],
)
def test_grid(voxel_size, shape):
    template = brain_template(voxel_size)
    assert template.mask.shape == shape
    assert nibabel.aff2axcodes(template.affine) == ("R", "A", "S")
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(template.affine), voxel_size)
    assert 0.1 < template.mask.mean() < 0.9


@pytest.mark.parametrize("voxel_size", [7.3, 12.0, 20.0])
def test_mask_is_where_the_bundled_brain_is(voxel_size):
    template = brain_template(voxel_size)
    brain = load_mni152_brain_mask()
    points = np.argwhere(np.asarray(brain.dataobj) > 0) + brain.affine[:3, 3]
    assert template.mask.sum() * voxel_size**3 == pytest.approx(len(points), rel=0.1)
    inside = np.argwhere(template.mask) * voxel_size + template.affine[:3, 3]
    np.testing.assert_allclose(inside.mean(axis=0), points.mean(axis=0), atol=voxel_size / 5)


@pytest.mark.parametrize("voxel_size", [8.0, 12.0, 20.0])
def test_networks_lie_at_their_centres(voxel_size):
    template = brain_template(voxel_size)
    places = np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3]
    assert (template.parcels.sum(axis=1) >= 8).all()
    assert template.parcels.sum(axis=0).max() == 1
    for parcel, weights, centres in zip(template.parcels, template.weights, NETWORKS.values(), strict=True):
        distance = np.linalg.norm(places[:, None] - np.array(centres), axis=-1).min(axis=1)
        assert distance[parcel].max() < 22
        np.testing.assert_allclose(weights, np.exp(-(distance**2) / 288), rtol=1e-9)


def test_patterns_make_fields_of_unit_variance():
    template = brain_template(12.0)
    coefficients = np.random.default_rng(0).standard_normal((2000, len(template.patterns)))
    fields = coefficients @ template.patterns
    assert fields.var() == pytest.approx(1.0, rel=0.05)


def test_patterns_do_not_depend_on_the_voxel_size():
    coarse, fine = brain_template(12.0), brain_template(4.0)  # 4 mm voxels share centres with 12 mm ones
    places = [np.argwhere(t.mask) @ t.affine[:3, :3].T + t.affine[:3, 3] for t in (coarse, fine)]
    coefficients = np.random.default_rng(1).standard_normal(len(coarse.patterns))
    nearest = cKDTree(places[1]).query(places[0])[1]
    values = coefficients @ coarse.patterns, (coefficients @ fine.patterns)[nearest]
    assert np.corrcoef(*values)[0, 1] > 0.97


def test_mean_intensity_is_positive_and_varies():
    template = brain_template(12.0)
    assert template.mean.min() > 2000
    assert 0.05 < template.mean.std() / template.mean.mean() < 0.4
