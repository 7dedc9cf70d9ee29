"""On simulated scans a network that has learnt the planted effect points at the region where it was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from monai_tff.contract import InputContract
from monai_tff.data import load_records
from monai_tff.data.loading import load_scan
from monai_tff.data.simulation.template import brain_template
from monai_tff.explain.baseline import Baselines, mean_image
from monai_tff.explain.checks import mean_absolute
from monai_tff.explain.gradients import integrated_gradients
from monai_tff.explain.simulated import check_planted, planted_networks, planted_region
from monai_tff.explain.subject import Example


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Scans of 40 subjects at 16 mm whose sexes differ in the mean of the visual network."""
    from monai_tff.data import SplitPlan, build_datalist, read_bids, simulate_cohort, write_datalist
    from monai_tff.data.simulate import PlantedEffect

    folder = tmp_path_factory.mktemp("planted") / "cohort"
    effects = {"sex": [PlantedEffect("regional_mean", size=4.0, network="visual")]}
    simulate_cohort(folder, num_subjects=40, voxel_size=16.0, num_frames=5, seed=4, effects=effects)
    content = build_datalist(
        read_bids(folder, "sex"), "sex", dataset_dir=folder, plan=SplitPlan(ratios=(0.6, 0.1, 0.3))
    )
    write_datalist(content, folder / "datalist.json")
    size = brain_template(16.0).mask.shape
    contract = InputContract(spatial_size=size, window_length=5)

    def of(section):
        records = load_records(folder / "datalist.json", folder, section)
        return [(load_scan(r["image"], contract, mask_file=r["mask"])[0], int(r["label"])) for r in records]

    return folder, of("training"), of("test")


@pytest.fixture(scope="module")
def learnt(scans, readout):
    """A readout that logistic regression fitted to the training scans, and windows of test scans."""
    _, training, test = scans
    images = np.stack([mean_image(scan)[0].numpy().ravel() for scan, _ in training])
    fitted = LogisticRegression(C=1e-3, max_iter=1000).fit(images, [label for _, label in training])
    weights = torch.tensor(fitted.coef_, dtype=torch.float32).reshape(training[0][0].mask.shape)
    network = readout(weights, steepness=2.0, offset=-float(fitted.intercept_[0]))
    baselines = Baselines(training)
    examples = []
    for scan, _ in test:
        window = scan.unpack()
        predicted = int(float(network(window[None])[0].detach()) > 0)
        examples.append(Example(window, baselines.of(scan, window, predicted), 0, scan.mask))
    correct = np.mean([int(network(e.window[None]) > 0) == label for e, (_, label) in zip(examples, test, strict=True)])
    assert correct > 0.8
    return network, examples


def check(attribute, learnt, scans):
    network, examples = learnt
    folder, training, _ = scans
    mask, affine = training[0][0].mask.numpy(), training[0][0].affine.numpy()
    absolute = mean_absolute(attribute, network, examples)
    return check_planted(planted_networks(folder, "sex"), absolute, mask, affine)


def test_the_strongest_voxels_lie_in_the_planted_region(learnt, scans):
    found = check(integrated_gradients, learnt, scans)
    assert found.passed is True
    assert found.numbers["networks"] == "visual"
    assert found.numbers["enrichment"] > 5


def test_a_map_of_edges_does_not_find_it(learnt, scans):
    found = check(
        lambda output, window, baseline: window.mean(dim=-1).diff(dim=1, append=window[:, -1:, :, :, 0]), learnt, scans
    )
    assert found.passed is False
    assert found.numbers["share_of_strongest"] < 0.5


def test_the_region_is_the_one_that_the_simulation_drew():
    template = brain_template(16.0)
    names = ["visual", "salience"]
    region = planted_region(names, template.mask, template.affine)
    assert (region[template.mask] == template.parcels[[0, 3]].any(axis=0)).all()
    assert not region[~template.mask].any()


def test_a_target_without_an_effect_and_a_real_cohort(scans, tmp_path):
    assert planted_networks(scans[0], "diagnosis") == []
    assert planted_networks(tmp_path, "sex") is None
