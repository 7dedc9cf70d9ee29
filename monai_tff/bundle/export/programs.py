"""The network as a program that needs no code of ours: TorchScript (torch alone) and a torch.export program.

Both note by themselves where the source code lies on the machine that makes them; that is taken out here.
"""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from monai_tff.bundle import layout
from monai_tff.bundle.export.saving import saving, write_buffer
from monai_tff.bundle.verification.running import is_same_output
from monai_tff.errors import BundleError
from monai_tff.networks.base import IN_CHANNELS

DEBUG_SUFFIX = ".debug_pkl"
"""End of the members of a TorchScript archive that name the source file of each line."""

EXAMPLE_SIZE = 2
"""Windows, and frames in each, that a program is made with and keeps: 1 would become a constant, more cost room."""


def write_programs(folder: Path, network: Any, window_length: int) -> None:
    """Writes `model.ts` and `model.pt2`, and proves both equal to the network at other sizes.

    Args:
        folder: of the bundle, with its metadata.json.
        network: one of the TFF networks, in evaluation mode, on the CPU.
        window_length: frames in a window, from the input contract.

    Raises:
        BundleError: if a program gives other numbers than the network, or refuses a batch or a window; if the disk
            refuses.
    """
    expected = {size: _output(network, network, size) for size in _sizes_to_prove(network, window_length)}
    example = _windows(network, EXAMPLE_SIZE, min(EXAMPLE_SIZE, _longest_window(network) or EXAMPLE_SIZE))
    metadata = (folder / layout.METADATA).read_bytes()
    _write_torchscript(folder / layout.TORCHSCRIPT, network, example, metadata)
    _prove(layout.TORCHSCRIPT, torch.jit.load(str(folder / layout.TORCHSCRIPT)), network, expected)
    _write_program(folder / layout.PROGRAM, network, example)
    _prove(layout.PROGRAM, torch.export.load(folder / layout.PROGRAM).module(), network, expected)


def _longest_window(network: Any) -> int | None:
    return getattr(getattr(network, "transformer", None), "max_frames", None)


def _sizes_to_prove(network: Any, window_length: int) -> list[tuple[int, int]]:
    """Batch sizes and frames: the window of the contract, and others that the program was not made with."""
    longest = _longest_window(network) or window_length + 1
    sizes = {(1, window_length), (1, 1), (3, min(2, longest)), (1, min(window_length + 1, longest))}
    return sorted(sizes)


def _windows(network: Any, batch_size: int, frames: int) -> torch.Tensor:
    """Windows of noise [B, 2, H, W, D, T], the same in each call."""
    generator = torch.Generator().manual_seed(1000 * batch_size + frames)
    return torch.randn((batch_size, IN_CHANNELS, *network.spatial_size, frames), generator=generator)


@torch.no_grad()
def _output(program: Callable[[torch.Tensor], torch.Tensor], network: Any, size: tuple[int, int]) -> torch.Tensor:
    return program(_windows(network, *size))


def _prove(
    name: str,
    program: Callable[[torch.Tensor], torch.Tensor],
    network: Any,
    expected: dict[tuple[int, int], torch.Tensor],
) -> None:
    for size, wanted in expected.items():
        what = f"{name}: {size[0]} window(s) of {size[1]} frame(s)"
        way_out = "another version of torch may do; the installed one is " + torch.__version__
        try:
            found = _output(program, network, size)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(
                f"{what} cannot be computed ({reason}), expected the network's output; {way_out}."
            ) from error
        if found.shape != wanted.shape:
            raise BundleError(
                f"{what} give the shape {list(found.shape)}, expected the network's {list(wanted.shape)}; {way_out}."
            )
        if not is_same_output(found, wanted):
            difference = (found - wanted).abs().max().item()
            raise BundleError(
                f"{what} differ from the network by up to {difference:.2g}, expected the same numbers; {way_out}."
            )


@torch.no_grad()
def _write_torchscript(path: Path, network: Any, example: torch.Tensor, metadata: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # TorchScript is deprecated, and tracing warns of every size that it takes for a constant: both are proven below
        warnings.simplefilter("ignore")
        with _without_remark_on_loss():
            traced = torch.jit.trace(network, example, check_trace=False)
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, _extra_files={layout.SCRIPT_METADATA: metadata})
    del traced
    with saving(path):
        _without_debug_members(buffer, path)


def _without_debug_members(source: io.BytesIO, path: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            if not member.filename.endswith(DEBUG_SUFFIX):
                with old.open(member) as content, new.open(zipfile.ZipInfo(member.filename), "w") as copy:
                    for block in iter(lambda: content.read(2**20), b""):
                        copy.write(block)


@torch.no_grad()
def _write_program(path: Path, network: Any, example: torch.Tensor) -> None:
    longest = _longest_window(network)
    sizes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if longest is None or longest > 1:
        sizes[5] = torch.export.Dim("frames", min=1, max=longest)
    with _without_remark_on_loss():
        program = torch.export.export(network, (example,), dynamic_shapes=(sizes,))
    for node in _nodes(program.graph_module):
        node.meta.pop("stack_trace", None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_buffer(path, buffer)


@contextmanager
def _without_remark_on_loss() -> Iterator[None]:
    """Tracing reads every property of BERT, the loss too: transformers then remarks on one that is not used."""

    def passes(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("`loss_type=None` was set in the config")

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)


def _nodes(module: torch.nn.Module) -> Iterator[Any]:
    """Nodes of a graph and of the graphs inside it."""
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield from part.graph.nodes
