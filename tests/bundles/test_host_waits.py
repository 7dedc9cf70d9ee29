"""A training step with the settings of a GPU never makes the host wait for it, but where the loss is looked at.

There need not be a GPU: the steps run on the CPU along the paths of a GPU, and every call is noted that would wait for
one: that reads a value or a number of elements from the device, or copies to it and waits.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.utils import set_determinism
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from monai_tff.bundle.experiment import quiet_workflow
from monai_tff.data import scan
from monai_tff.losses.perceptual import LAYERS
from monai_tff.networks import blocks, dropout, normalised_convolution
from monai_tff.resources import shipped_path

INTERVAL = 3

aten = torch.ops.aten
NEEDS_VALUES = {
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.unique_consecutive,
    aten.unique_dim,
    aten._unique,
    aten._unique2,
    aten.bincount,
    aten.repeat_interleave,
}
"""Operations whose result, or its size, the host has to know."""


def takes_a_mask(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether an indexing has booleans among its indices, which have to be counted."""
    if function.overloadpacket not in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1])


class Operations(TorchDispatchMode):
    """Notes operations that wait for the device, in the backward pass, too."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in NEEDS_VALUES or takes_a_mask(func, args):
            self.note(str(func))
        return func(*args, **kwargs or {})


class Calls(TorchFunctionMode):
    """Notes calls that wait where a device is another than the CPU, and do nothing or a copy on the CPU."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__):
            self.note(f"Tensor.{func.__name__}")
        of_numbers = func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], torch.Tensor)
        if of_numbers and kwargs.get("device") is not None:
            self.note(f"{func.__name__} onto the device")
        if func is torch.Tensor.to:
            moved = [value for value in (*args[1:], kwargs.get("device")) if isinstance(value, (str, torch.device))]
            waits = not (kwargs.get("non_blocking") or True in args[1:])
            # torch's own code moves nothing here: its tensors are on one device
            if moved and waits and "/torch/" not in sys._getframe(1).f_code.co_filename:
                self.note("Tensor.to a device")
        return func(*args, **kwargs)


@pytest.fixture
def along_the_paths_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (blocks, dropout, normalised_convolution):
        monkeypatch.setattr(module, "is_eager_on_cpu", lambda features: False)
    monkeypatch.setattr(scan, "_unpack_in_cache", scan._unpack_at_once)


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    yield
    set_determinism(None)


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with random weights in the place of those of ImageNet."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (outputs, inputs) in LAYERS.items():
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) / 20
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(state, path)
    return path


@pytest.mark.parametrize(
    ("phase", "target", "settings"),
    [
        ("autoencoder", "sex", {"window_length": 1, "use_perceptual": True}),
        ("transformer", "sex", {"use_perceptual": True}),
        ("finetune", "sex", {}),
        ("finetune", "age", {}),
        ("finetune", "site", {}),
    ],
)
def test_only_a_look_at_the_loss_waits_for_the_device(
    phase: str,
    target: str,
    settings: dict[str, Any],
    phases: dict[str, Any],
    small: dict[str, Any],
    cohort: SimpleNamespace,
    vgg16: Path,
    tmp_path: Path,
    along_the_paths_of_a_gpu: None,
) -> None:
    values = {**phases[phase].overrides, **small, **settings}
    values |= {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists[target]), "run_dir": str(tmp_path)}
    values |= {"loss_interval": INTERVAL, "batch_size": 2, "max_epochs": 1, "val_interval": 2, "dropout": 0.1}
    values |= {"device": "$torch.device('cpu')", "num_workers": 0, "use_tensorboard": True}
    if phase != "finetune":
        values["perceptual_weights"] = str(vgg16)
    hardware = str(shipped_path("monai_tff:configs/hardware/gpu.yaml", Path.cwd()))
    workflow = quiet_workflow([*phases[phase].config_files, hardware], "train", values)
    workflow.initialize()
    trainer = workflow.parser.get_parsed_content("train#trainer")
    waits = noted_in_steps(trainer)
    workflow.run()
    assert trainer.state.iteration == 6
    # so short a run has a line of progress after each step; a longer one has a hundred lines at most
    others = [(iteration, what) for iteration, what in waits if "handlers/progress.py" not in what]
    assert sorted({iteration for iteration, _ in others}) == [INTERVAL, 2 * INTERVAL], others
    assert all("_local_scalar_dense" in what for _, what in others), others


def noted_in_steps(trainer: Any) -> list[tuple[int, str]]:
    """Fills a list with the iterations and calls that wait, while the trainer runs."""
    noted: list[tuple[int, str]] = []

    def note(what: str) -> None:
        callers = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
        inside = [frame for frame in callers if "/torch/" not in frame.filename]
        noted.append((trainer.state.iteration, f"{what} at {inside[-1].filename}:{inside[-1].lineno}"))

    watching = [Calls(note), Operations(note)]

    @trainer.on(Events.ITERATION_STARTED)
    def begin() -> None:
        for mode in watching:
            mode.__enter__()

    # after every handler of the configuration
    @trainer.on(Events.ITERATION_COMPLETED)
    def end() -> None:
        for mode in reversed(watching):
            mode.__exit__(None, None, None)

    return noted
