"""How many bytes a step has to move, and how fast the device moves bytes: no step is shorter than their quotient.

A convolution or matrix product reads its inputs and writes its outputs once, and so does the optimiser; everything
between them (normalisation, activation, dropout, sums) could be fused into them and is not counted.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import torch
from measuring import now
from torch.utils._python_dispatch import TorchDispatchMode

COUNTED = ("convolution", "mm", "bmm", "addmm", "baddbmm", "_fused_adam", "attention")
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**31}


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


class MovedBytes(TorchDispatchMode):
    """Counts the bytes that counted operations read and write while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if any(word == name or (len(word) > 5 and word in name) for word in COUNTED):
            # parameters and both moments, but no gradients; it works in place and has no outputs
            written = (args[0], *args[2:4]) if name.startswith("_fused_adam") else outputs
            self.total += sum(tensor.nbytes for tensor in (*_tensors(args), *_tensors(written)))
        return outputs


def bytes_of_step(contestant: Any) -> int:
    """Bytes that a training step of a contestant has to move."""
    with MovedBytes() as moved:
        contestant.train_on(contestant.image)
    return moved.total


def bytes_per_second(device: str, rounds: int = 5) -> float:
    """How fast the device reads and writes, by copying a large tensor."""
    source = torch.ones(COPIED_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(rounds + 1):
        start = now(device)
        target.copy_(source)
        times.append(now(device) - start)
    return 2 * source.nbytes / statistics.median(times[1:])
