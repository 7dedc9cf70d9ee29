from __future__ import annotations

import pytest
import torch

from monai_tff.contract import Target
from monai_tff.data import CompactScan
from monai_tff.engines import PreparePrediction, PrepareReconstruction, PrepareScan, label_tensor

SEX = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("a", "b", "c"))
AGE = Target("age", "regression")


@pytest.fixture
def scans() -> list[CompactScan]:
    generator = torch.Generator().manual_seed(0)
    masks = [torch.rand(7, 8, 9, generator=generator) > 0.4 for _ in range(2)]
    return [CompactScan.from_frames(torch.randint(1, 500, (6, 7, 8, 9), generator=generator), mask) for mask in masks]


@pytest.mark.parametrize(
    ("labels", "target", "expected"),
    [
        ([0.0, 1.0], SEX, torch.tensor([[0.0], [1.0]])),
        ([2, 0], SITE, torch.tensor([2, 0])),
        ([30.0, 50.0], AGE, torch.tensor([[-1.0], [1.0]])),
    ],
)
def test_label_tensor(labels, target, expected):
    result = label_tensor(labels, target, mean=40.0, std=10.0)
    assert result.dtype == expected.dtype
    assert torch.equal(result, expected)


def test_reconstruction_takes_the_input_as_target(scans):
    image, target = PrepareReconstruction()({"image": scans}, device="cpu")
    assert image.shape == (2, 2, 7, 8, 9, 6)
    assert torch.equal(image, target)
    assert torch.equal(image[1], scans[1].unpack())


def test_augmentation_changes_the_input_and_not_the_target(scans):
    prepare = PrepareReconstruction(augmentation=lambda image, seed: image + seed)
    image, target = prepare({"image": scans, "seed": [3, 5]}, device="cpu")
    torch.testing.assert_close(image - target, torch.tensor([3.0, 5.0]).reshape(2, 1, 1, 1, 1, 1).expand_as(image))


def test_prediction_standardises_a_number(scans):
    image, labels = PreparePrediction(AGE, mean=40.0, std=5.0)({"image": scans, "label": [40.0, 50.0]}, device="cpu")
    assert torch.equal(labels, torch.tensor([[0.0], [2.0]]))
    assert torch.equal(image[0], scans[0].unpack())


def test_the_paper_leaves_a_number_in_its_units(scans):
    labels = PreparePrediction(AGE)({"image": scans, "label": [40.0, 50.0]}, device="cpu")[1]
    assert torch.equal(labels, torch.tensor([[40.0], [50.0]]))


def test_a_whole_scan_goes_to_the_inferer(scans):
    assert PrepareScan()({"image": scans[:1]})[0] is scans[0]
    with pytest.raises(ValueError, match="the batch holds 2; use batch_size 1"):
        PrepareScan()({"image": scans})


CODES = [torch.arange(24.0).reshape(6, 4), torch.ones(6, 4)]


@pytest.mark.parametrize("filler", [False, True])
def test_reconstruction_takes_codes_as_input(scans, filler):
    batch = {"image": scans, "codes": CODES, "filler": [filler, filler]}
    codes, target = PrepareReconstruction()(batch, device="cpu")
    assert torch.equal(codes, torch.stack(CODES)[: 0 if filler else 2])
    assert torch.equal(target, PrepareReconstruction()({"image": scans}, device="cpu")[1][: 0 if filler else 2])


@pytest.mark.parametrize(("filler", "expected"), [(False, [[1.0], [0.0]]), (True, [])])
def test_prediction_takes_codes_without_the_scans(filler, expected):
    batch = {"codes": CODES, "label": [1.0, 0.0], "filler": [filler, filler]}
    codes, labels = PreparePrediction(SEX)(batch, device="cpu")
    assert torch.equal(codes, torch.stack(CODES)[: len(expected)])
    assert labels.tolist() == expected


class WholeScans:
    """Stands for the files of codes."""

    def window(self, name, start, length):
        return torch.full((length, 4), float(start)) if name == "a" else torch.zeros(0)


def test_codes_of_a_whole_scan_go_to_the_inferer(scans):
    inputs, target = PrepareScan(WholeScans())({"image": scans[:1], "scan": ["a"]})
    assert (tuple(inputs.shape), target) == ((1, 6, 4), None)
