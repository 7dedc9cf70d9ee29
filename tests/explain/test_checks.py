"""The checks, and that they fail where a method is broken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.explain.checks import check_completeness, compare_networks, measured_completeness
from monai_tff.explain.gradients import integrated_gradients
from monai_tff.explain.subject import Example


@pytest.fixture
def examples(random_windows):
    mask = torch.rand(7, 8, 9, generator=torch.Generator().manual_seed(6)) > 0.2
    pairs = [random_windows(seed) for seed in range(4)]
    return [Example(w, torch.where(mask[..., None], b, w), 0, mask) for w, b in pairs]


@pytest.fixture
def trained(readout, random_weights):
    return readout(random_weights, steepness=0.2)


@pytest.fixture
def redrawn(readout):
    return readout(torch.randn(7, 8, 9, generator=torch.Generator().manual_seed(9)), steepness=0.2)


def edges(output, window, baseline):
    """Edges of the scan: a map that looks well and knows nothing of the network."""
    image = window.mean(dim=-1)
    return torch.stack([(image[channel].diff(dim=0, prepend=image[channel, :1])).abs() for channel in (0, 1)])


def scaled(output, window, baseline):
    return 1.1 * integrated_gradients(output, window, baseline)


def compared(attribute, trained, other, examples):
    (check,) = compare_networks(attribute, trained, {"parameter_randomisation": (other, "another")}, examples)
    return check


def test_integrated_gradients_pass(trained, redrawn, examples):
    check = compared(integrated_gradients, trained, redrawn, examples)
    assert check.passed is True
    assert abs(check.numbers["rank_correlation"]) < 0.3
    complete = check_completeness(*measured_completeness(integrated_gradients, trained, examples))
    assert complete.passed is True
    assert complete.numbers["largest_relative_error"] < 0.05


def test_a_map_that_ignores_the_network_fails(trained, redrawn, examples):
    check = compared(edges, trained, redrawn, examples)
    assert check.passed is False
    assert check.numbers["rank_correlation"] == pytest.approx(1)
    assert "more of the scans than of what was learnt" in check.text


def test_maps_of_the_same_network_fail(trained, examples):
    check = compared(integrated_gradients, trained, trained, examples)
    assert (check.passed, check.numbers["rank_correlation"]) == (False, pytest.approx(1))


def test_scaled_gradients_are_not_complete(trained, examples):
    check = check_completeness(*measured_completeness(scaled, trained, examples))
    assert check.passed is False
    assert check.numbers["median_relative_error"] == pytest.approx(0.1, abs=0.04)
    assert check.numbers["windows_that_miss_it"] == 4


def test_edges_are_not_complete_either(trained, examples):
    assert check_completeness(*measured_completeness(edges, trained, examples)).passed is False


def test_one_window_is_enough_to_fail():
    errors, changes = np.array([0.0, 0.01, 0.4]), np.array([5.0, -4.0, 4.0])
    check = check_completeness(errors, changes)
    assert check.passed is False
    assert check.numbers["largest_relative_error"] == pytest.approx(0.1)
    assert check.numbers["windows_that_miss_it"] == 1
    assert check_completeness(errors[:2], changes[:2]).passed is True
    assert check_completeness(np.array([np.nan]), changes[:1]).passed is False
