from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from monai_tff.handlers.lr_schedule import FlooredStepLR

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())["lr_schedule_step_and_lr"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_published_schedule_is_reproduced_exactly(name):
    rate, gamma, step_size = (float(part) for part in name.split("/"))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule = FlooredStepLR(optimizer, step_size=int(step_size), gamma=gamma)
    optimizer.step()
    changes = [[0, rate]]
    for step in range(1, EXPECTED[name]["last"][-1][0] + 2 * int(step_size) + 1):
        schedule.step()
        if optimizer.param_groups[0]["lr"] != changes[-1][1]:
            changes.append([step, optimizer.param_groups[0]["lr"]])
    first, last = EXPECTED[name]["first"], EXPECTED[name]["last"]
    assert changes[: len(first)] == first
    assert changes[-len(last) :] == last
    assert len(changes) == EXPECTED[name]["number_of_changes"]
