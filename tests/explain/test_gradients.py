from __future__ import annotations

import pytest
import torch

from monai_tff.explain.gradients import divided_path, integrated_gradients


def total(values: torch.Tensor) -> float:
    return float(values.sum(dtype=torch.float64))


def test_of_a_weighted_sum_they_are_weights_times_differences(readout, random_windows, random_weights):
    window, baseline = random_windows(1)
    network = readout(random_weights)
    values = integrated_gradients(lambda x: network(x)[:, 0], window, baseline)
    assert values.shape == (2, 7, 8, 9)
    wanted = network.weights.detach() * (window - baseline)[0].mean(dim=-1)
    torch.testing.assert_close(values[0], wanted, rtol=1e-4, atol=1e-5)
    assert (values[1] == 0).all()


def test_of_a_product_both_factors_get_a_half():
    window, baseline = torch.ones(2, 2, 1, 1, 1), torch.zeros(2, 2, 1, 1, 1)
    values = integrated_gradients(lambda x: 6 * x[:, 0, 0, 0, 0, 0] * x[:, 1, 1, 0, 0, 0], window, baseline)
    torch.testing.assert_close(values[:, :, 0, 0], torch.tensor([[3.0, 0.0], [0.0, 3.0]]))


@pytest.mark.parametrize("place", [0.03, 0.41, 0.995])
def test_a_step_within_a_thousandth_of_the_path_is_not_missed(readout, place):
    window, baseline = torch.ones(2, 7, 8, 9, 5), torch.zeros(2, 7, 8, 9, 5)
    network = readout(torch.full((7, 8, 9), 1 / 504), steepness=1000, offset=place)
    gradients = []

    def output(windows: torch.Tensor) -> torch.Tensor:
        gradients.append(len(windows) * torch.is_grad_enabled())
        return network(windows)[:, 0]

    values = integrated_gradients(output, window, baseline, steps=48)
    change = float((output(window[None]) - output(baseline[None])).detach())
    assert change == pytest.approx(10, rel=1e-3)
    assert total(values) == pytest.approx(change, rel=0.03)
    assert sum(gradients[:-2]) <= 48  # the two last are of this test


def test_parts_are_small_where_the_output_changes():
    places, outputs = divided_path(lambda places: [float(place > 0.3) for place in places], 24)
    assert len(places) == len(outputs) == 25
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 1)
    after = next(number for number, output in enumerate(outputs) if output)
    assert places[after - 1] <= 0.3 < places[after]
    assert places[after] - places[after - 1] < 0.01
