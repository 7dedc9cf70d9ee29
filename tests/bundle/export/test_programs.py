"""The programs of a bundle compute what the network computes, need nothing of ours, and say nothing of the machine."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_tff.bundle import layout
from monai_tff.bundle.export.programs import _without_remark_on_loss, write_programs
from monai_tff.errors import BundleError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

SIZE = (7, 8, 9)
NETWORKS: dict[str, Any] = {
    "predictor": lambda: TFFPredictor(SIZE, num_outputs=3, hidden_size=32, max_frames=6),
    "reconstructor": lambda: TFFReconstructor(SIZE, hidden_size=32, max_frames=6, code_normalisation=True),
    "autoencoder": lambda: TFFAutoEncoder(SIZE, hidden_size=32),
}
WINDOWS = {"predictor": 4, "reconstructor": 6, "autoencoder": 1}

ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("monai_tff", "monai", "transformers", "ignite", "nibabel"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
import torch
for program, numbers in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    windows, expected = torch.load(numbers, weights_only=True)
    torch.testing.assert_close(torch.jit.load(program)(windows), expected, rtol=1e-5, atol=2e-6)
assert "monai_tff" not in sys.modules
"""


def with_metadata(folder: Path) -> Path:
    """A folder with the metadata that go into TorchScript."""
    (folder / "configs").mkdir()
    (folder / layout.METADATA).write_text("{}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A network of a kind, and the folder with its programs."""

    @cache
    def write(kind: str) -> tuple[Path, Any]:
        torch.manual_seed(0)
        network = NETWORKS[kind]().eval().requires_grad_(False)
        folder = with_metadata(tmp_path_factory.mktemp(kind))
        write_programs(folder, network, WINDOWS[kind])
        return folder, network

    return write


def windows(batch_size: int, frames: int) -> torch.Tensor:
    return torch.randn((batch_size, 2, *SIZE, frames), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", NETWORKS)
def test_programs_are_the_network(kind: str, written: Callable[[str], tuple[Path, Any]]) -> None:
    folder, network = written(kind)
    script = torch.jit.load(folder / layout.TORCHSCRIPT)
    program = torch.export.load(folder / layout.PROGRAM).module()
    for batch_size, frames in ((1, 1), (2, 4), (5, 2), (1, 6)):
        image = windows(batch_size, frames)
        expected = network(image)
        torch.testing.assert_close(script(image), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(program(image), expected, rtol=1e-5, atol=1e-5)


def test_torchscript_needs_torch_alone(written: Callable[[str], tuple[Path, Any]], tmp_path: Path) -> None:
    arguments = []
    for kind in NETWORKS:
        folder, network = written(kind)
        torch.save([windows(3, 5), network(windows(3, 5))], tmp_path / f"{kind}.pt")
        arguments += [folder / layout.TORCHSCRIPT, tmp_path / f"{kind}.pt"]
    command = [sys.executable, "-W", "ignore", "-c", ALONE, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", [layout.TORCHSCRIPT, layout.PROGRAM])
def test_programs_do_not_say_where_the_code_lay(
    name: str, kind: str, written: Callable[[str], tuple[Path, Any]]
) -> None:
    here = [str(Path(torch.__file__).parents[2]).encode(), str(Path(__file__).parents[3]).encode(), b"site-packages"]
    with zipfile.ZipFile(written(kind)[0] / name) as archive:
        assert [m for m in archive.namelist() if any(path in archive.read(m) for path in here)] == []
        assert not any(member.endswith(".debug_pkl") for member in archive.namelist())


@pytest.mark.parametrize("name", [layout.TORCHSCRIPT, layout.PROGRAM])
def test_a_full_disk_is_a_sentence(name: str, written: Callable[[str], tuple[Path, Any]], tmp_path: Path) -> None:
    """Some of torch's own writers end the whole process instead; of the network that is written the soonest."""
    folder, network = written("autoencoder")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    script, program = ((folder / file).stat().st_size for file in (layout.TORCHSCRIPT, layout.PROGRAM))
    assert script < program
    room = 20_000 if name == layout.TORCHSCRIPT else (script + program) // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(BundleError, match=rf"{Path(name).name}: could not be written \(.*File too large"):
            write_programs(with_metadata(tmp_path), network, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_only_the_remark_on_the_loss_is_held_back() -> None:
    logger, records = logging.getLogger("transformers.modeling_utils"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with _without_remark_on_loss():
            logger.warning("`loss_type=None` was set in the config but it is unrecognized.")
            logger.warning("Something else.")
        logger.warning("`loss_type=None` was set in the config, later.")
    finally:
        logger.removeHandler(handler)
    assert records == ["Something else.", "`loss_type=None` was set in the config, later."]


class OfTheWindow(nn.Module):
    """Computes something else for the window that it is traced with."""

    spatial_size = SIZE

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((1, 2, 3, 4, 5)) + (1 if image.shape[0] > 2 else 0)


class OfTheBatch(nn.Module):
    """Cannot take another batch size than the one that it is traced with."""

    spatial_size = SIZE

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape([int(size) for size in image.shape])


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (OfTheWindow(), r"models/model.ts: 3 window\(s\) of 2 frame\(s\) differ from the network by up to 1, expected"),
        (OfTheBatch(), r"models/model.ts: 1 window\(s\) of 1 frame\(s\) cannot be computed \(.+\), expected"),
    ],
)
def test_a_program_that_differs_is_an_error(network: nn.Module, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=sentence):
        write_programs(with_metadata(tmp_path), network.eval(), 4)
