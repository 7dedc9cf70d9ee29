from __future__ import annotations

import pytest
import torch

from monai_tff.errors import ConfigError
from monai_tff.handlers.lr_schedule import FlooredStepLR


def make_optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.zeros(2, requires_grad=True)], "lr": rate} for rate in rates])


def run(optimizer: torch.optim.Optimizer, schedule: FlooredStepLR, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_rates_halve_and_stop_below_the_floor():
    optimizer = make_optimizer(1.0)
    rates = run(optimizer, FlooredStepLR(optimizer, step_size=2, gamma=0.5, floor=0.2), 10)
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125]


def test_a_rate_equal_to_the_floor_stays():
    optimizer = make_optimizer(0.5)
    assert run(optimizer, FlooredStepLR(optimizer, step_size=1, gamma=0.5, floor=0.5), 3) == [0.5, 0.5, 0.5]


def test_each_parameter_group_has_its_own_floor_crossing():
    optimizer = make_optimizer(1.0, 0.1)
    schedule = FlooredStepLR(optimizer, step_size=1, gamma=0.5, floor=0.2)
    run(optimizer, schedule, 5)
    assert schedule.get_last_lr() == [0.125, 0.1]


@pytest.mark.parametrize("steps_before", [1, 3, 4, 7])
def test_state_round_trip_continues_the_schedule(steps_before):
    optimizer = make_optimizer(1e-3)
    schedule = FlooredStepLR(optimizer, step_size=3, gamma=0.5, floor=1e-5)
    run(optimizer, schedule, steps_before)
    optimizer_state, schedule_state = optimizer.state_dict(), schedule.state_dict()

    resumed_optimizer = make_optimizer(9.0)
    resumed = FlooredStepLR(resumed_optimizer, step_size=3, gamma=0.5, floor=1e-5)
    resumed_optimizer.load_state_dict(optimizer_state)
    resumed.load_state_dict(schedule_state)
    assert run(resumed_optimizer, resumed, 30) == run(optimizer, schedule, 30)


def test_state_is_plain_enough_for_a_weights_only_checkpoint(tmp_path):
    schedule = FlooredStepLR(make_optimizer(1e-3), step_size=3, gamma=0.5)
    torch.save(schedule.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == schedule.state_dict()


@pytest.mark.parametrize("wrong", [{"step_size": 0}, {"gamma": 0.0}, {"gamma": 1.5}, {"floor": -1.0}])
def test_values_out_of_range_are_refused(wrong):
    arguments = {"step_size": 10, "gamma": 0.9} | wrong
    with pytest.raises(ConfigError, match=r"learning-rate schedule.*expected"):
        FlooredStepLR(make_optimizer(1.0), **arguments)
