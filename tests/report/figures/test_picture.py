from __future__ import annotations

import base64
import io
import sys

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest

from monai_tff.report.figures.picture import glass_brain, slices


def pixels(address: str | None) -> np.ndarray:
    assert address is not None
    kind, _, content = address.partition("base64,")
    assert kind == "data:image/png;"
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(content)))


@pytest.fixture
def image() -> nib.Nifti1Image:
    """One strong block at the left, in MNI space."""
    values = np.zeros((9, 11, 10), dtype=np.float32)
    values[2:4, 4:7, 4:7] = 2.0
    affine = np.diag([16.0, 18.0, 17.0, 1.0])
    affine[:3, 3] = [-64, -98, -60]
    return nib.Nifti1Image(values, affine)


def test_a_glass_brain_has_a_picture_for_each_scheme(image: nib.Nifti1Image) -> None:
    source, shown = glass_brain(image, 1.0, 2.0, "where it is")
    assert source.get("media") == "(prefers-color-scheme: dark)"
    assert shown.get("alt") == "where it is"
    light, dark = pixels(shown.get("src")), pixels(source.get("srcset"))
    assert light[..., :3].mean() > 0.8 > 0.3 > dark[..., :3].mean()
    assert light.shape[1] / light.shape[0] == pytest.approx(740 / 250, rel=0.02)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_slices_show_the_sign(image: nib.Nifti1Image) -> None:
    both = np.asarray(image.dataobj).copy()
    both[5:7] = -both[2:4]
    views = [
        pixels(slices(nib.Nifti1Image(values, image.affine), 1.0, 2.0, "slices").get("src"))
        for values in (np.asarray(image.dataobj), both)
    ]
    again = slices(image, 1.0, 2.0, "slices").get("src")
    np.testing.assert_array_equal(pixels(again), views[0])
    blue = [int(((view[..., 2] > 0.6) & (view[..., 0] < 0.3)).sum()) for view in views]
    assert blue[0] == 0
    assert blue[1] > 100
