"""What the evaluation of a reconstruction network writes: volumes as NIfTI, and mean losses."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_tff.data.scan import CompactScan
from monai_tff.handlers.files import replaced_file


def reconstruction_name(scan: str) -> str:
    """File name of a scan's reconstruction, in the scan's own subfolder.

    Args:
        scan: path of the scan relative to its folder.

    Returns:
        The path with the BIDS entity `desc-reconstruction` in place of another `desc-` and before the suffix.

    Example:
        >>> reconstruction_name("sub-01/func/sub-01_task-rest_desc-preproc_bold.nii.gz")
        'sub-01/func/sub-01_task-rest_desc-reconstruction_bold.nii.gz'
    """
    path = Path(scan)
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    words = [word for word in stem.split("_") if not word.startswith("desc-")]
    has_suffix = len(words) > 1 and "-" not in words[-1]
    words.insert(len(words) - 1 if has_suffix else len(words), "desc-reconstruction")
    return str(path.with_name("_".join(words) + ".nii.gz"))


class ReconstructionWriter:
    """Writes each reconstructed scan as a 4D NIfTI with the scan's affine and repetition time.

    The network reconstructs the global normalisation; the file is in the scan's own units (reconstruction * std +
    mean of the scan), 0 outside the mask. Its frames are those left after the trim, its grid that after the crop.

    Args:
        output_dir: folder of the files, one per scan.
    """

    def __init__(self, output_dir: str | os.PathLike[str]) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose batches are one whole scan.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._say)

    def _say(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            print(f"reconstructions of {engine.state.iteration} scans: {self.output_dir}")

    def __call__(self, engine: Engine) -> None:
        """Writes the scan of this iteration."""
        state: Any = engine.state
        batch = state.batch
        scan: CompactScan = batch[CommonKeys.IMAGE][0]
        volumes = state.output[CommonKeys.PRED][0, 0]  # [H, W, D, T]
        path = self.output_dir / reconstruction_name(batch["scan"][0])
        with replaced_file(path) as file:
            file.write(reconstruction_bytes(volumes, scan))


def reconstruction_bytes(volumes: torch.Tensor, scan: CompactScan) -> bytes:
    """The `.nii.gz` file of a reconstructed scan, in the scan's own units.

    Args:
        volumes: reconstruction of the global normalisation, [H, W, D, T].
        scan: the scan, for its statistics, mask, affine and repetition time.

    Returns:
        The bytes of the file; the same for the same volumes.
    """
    mask = scan.mask.cpu()[..., None]
    values = torch.where(mask, volumes.cpu() * scan.global_std + scan.global_mean, 0).to(torch.float32)
    image = nib.Nifti1Image(values.numpy(), np.asarray(scan.affine, dtype=np.float64))
    image.header.set_xyzt_units("mm", "sec")
    zooms = image.header.get_zooms()[:3]
    image.header.set_zooms((*zooms, scan.repetition_time or 0.0))
    # mtime=0: the same scan gives the same bytes
    return gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)


class LossWriter:
    """Writes the mean losses of an evaluation to `metrics.json`.

    Args:
        output_dir: folder of the file.
        split: section of the datalist that was evaluated.
        pretraining_overlap: as for `PredictionsWriter`.
    """

    def __init__(
        self, output_dir: str | os.PathLike[str], split: str = "test", pretraining_overlap: str | None = None
    ) -> None:
        self.output_dir = Path(output_dir)
        self.split = split
        self.pretraining_overlap = pretraining_overlap

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Writes and prints the losses of the evaluation that has ended."""
        if idist.get_rank() != 0:
            return
        values: dict[str, Any] = {
            name: float(value) for name, value in engine.state.metrics.items() if isinstance(value, (int, float))
        }
        report = {"split": self.split, "pretraining_overlap": self.pretraining_overlap, "values": values}
        with replaced_file(self.output_dir / "metrics.json") as file:
            file.write((json.dumps(report, indent=4) + "\n").encode())
        if self.pretraining_overlap is not None:
            print(f"pretraining overlap: {self.pretraining_overlap}")
        print(f"{self.split} " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))
