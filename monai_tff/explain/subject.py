"""Everything that is computed of one subject, and the file that keeps it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_tff.explain.baseline import Baselines
from monai_tff.explain.explained_run import Chosen, ExplainedRun, check_grid
from monai_tff.explain.gradients import Output, integrated_gradients
from monai_tff.explain.occlusion import cubes, occluded_frames, occluded_space
from monai_tff.explain.outputs import column_of, output_of, predicted_class
from monai_tff.explain.rollout import attention_rollout
from monai_tff.explain.settings import ExplainSettings
from monai_tff.handlers.files import replaced_file

FRAME_BLOCKS = 32
"""Blocks that a window is cut into, at most, when frames are occluded."""


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A window with what it is compared with.

    Attributes:
        window: float32 `[2, H, W, D, T]`.
        baseline: likewise.
        column: which output of the network is explained.
        mask: bool `[H, W, D]`.
    """

    window: torch.Tensor
    baseline: torch.Tensor
    column: int
    mask: torch.Tensor

    def ends(self, output: Output) -> tuple[float, float]:
        """The output of the window and of its baseline."""
        with torch.no_grad():
            return float(output(self.window[None])), float(output(self.baseline[None]))


@dataclasses.dataclass(frozen=True, eq=False)
class SubjectMaps:
    """What was found of one subject, averaged over the windows of each scan, then over scans.

    Attributes:
        signed: integrated gradients summed over frames, float32 `[2, H, W, D]`.
        absolute: absolute values of the same, of both channels and of their sum, float32 `[3, H, W, D]`.
        occlusion: of cubes, signed and absolute, float32 `[2, H, W, D]`, or None.
        rollout: attention rollout, float32 `[T]`.
        frames: occlusion of frames, signed and absolute, float32 `[2, T]`.
        mask: bool `[H, W, D]`: in the mask of at least half of the scans.
        affine: float64 `[4, 4]`.
        changes: output less that of the baseline, one per window, float64 `[W]`.
        errors: sum of the attributions less the change, likewise.
    """

    signed: NDArray[np.float32]
    absolute: NDArray[np.float32]
    occlusion: NDArray[np.float32] | None
    rollout: NDArray[np.float32]
    frames: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    changes: NDArray[np.float64]
    errors: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Writes the file in one step."""
        held = {name: value for name, value in vars(self).items() if value is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **held)
        with replaced_file(path) as file:
            file.write(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> SubjectMaps:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as held:
            return cls(**{field.name: held.get(field.name) for field in dataclasses.fields(cls)})


def examples_of(
    explained: ExplainedRun, baselines: Baselines, chosen: Chosen, windows_per_scan: int
) -> Iterator[tuple[int, Any, Example]]:
    """The windows of a subject: number of the scan, the scan, and the window with its baseline.

    Raises:
        DatalistError: for scans on more than one grid.
    """
    target, first = explained.run.target, None
    for number, record in enumerate(chosen.records):
        scan = explained.scan(record)
        first = scan if first is None else first
        check_grid(first, scan)
        for window in explained.windows(scan, windows_per_scan):
            with torch.no_grad():
                predicted = predicted_class(explained.network(window[None])[0], target, explained.paper_head)
            baseline = baselines.of(scan, window, predicted)
            yield number, scan, Example(window, baseline, column_of(target, predicted), scan.mask)


def explain_subject(
    explained: ExplainedRun, baselines: Baselines, chosen: Chosen, settings: ExplainSettings, occlude: bool
) -> SubjectMaps:
    """Computes all maps of a subject.

    Args:
        explained: the run.
        baselines: mean training scans.
        chosen: the subject.
        settings: of the explanation.
        occlude: whether cubes are occluded, too.
    """
    found: dict[int, list[dict[str, NDArray]]] = {}
    masks: dict[int, NDArray[np.bool_]] = {}
    affine = np.eye(4)
    for number, scan, example in examples_of(explained, baselines, chosen, settings.windows_per_scan):
        found.setdefault(number, []).append(_of_window(explained.network, scan.affine, example, settings, occlude))
        masks[number] = example.mask.numpy()
        affine = affine if scan.affine is None else scan.affine.numpy()
    windows = [window for scan in found.values() for window in scan]
    mean = {
        name: np.mean([np.mean([window[name] for window in scan], axis=0) for scan in found.values()], axis=0)
        for name in windows[0]
        if name not in ("change", "error")
    }
    return SubjectMaps(
        signed=mean["signed"],
        absolute=mean["absolute"],
        occlusion=mean.get("occlusion"),
        rollout=mean["rollout"],
        frames=mean["frames"],
        mask=np.mean([*masks.values()], axis=0) >= 0.5,
        affine=affine,
        changes=np.array([window["change"] for window in windows]),
        errors=np.array([window["error"] for window in windows]),
    )


def _of_window(
    network: Any, affine: torch.Tensor | None, example: Example, settings: ExplainSettings, occlude: bool
) -> dict[str, Any]:
    output = output_of(network, example.column)
    after, before = example.ends(output)
    signed = integrated_gradients(output, example.window, example.baseline, settings.steps)
    with torch.no_grad():
        codes, of_baseline = (network.encode_frames(item[None])[0] for item in (example.window, example.baseline))
        rollout = attention_rollout(network.transformer.attention_maps(codes[None])[0])[0]
    block = -(-len(codes) // FRAME_BLOCKS)
    found = {
        "signed": signed,
        "absolute": torch.cat((signed, signed.sum(dim=0, keepdim=True))).abs(),
        "rollout": rollout,
        "frames": _both(occluded_frames(output, codes, of_baseline, block)),
    }
    if occlude:
        numbers = cubes(example.mask, edge_in_voxels(affine, settings.cube_mm))
        found["occlusion"] = _both(occluded_space(output, example.window, example.baseline, numbers))
    total = float(signed.sum(dtype=torch.float64))
    arrays = {name: value.cpu().numpy() for name, value in found.items()}
    return {**arrays, "change": after - before, "error": total - (after - before)}


def _both(values: torch.Tensor) -> torch.Tensor:
    return torch.stack((values, values.abs()))


def edge_in_voxels(affine: torch.Tensor | None, millimetres: float) -> list[int]:
    """Voxels along each axis that come nearest to a length; a grid without an affine has voxels of 1 mm."""
    sizes = [1.0] * 3 if affine is None else affine[:3, :3].norm(dim=0).tolist()
    return [max(1, round(millimetres / size)) for size in sizes]
