"""A bundle held in memory that predicts one scan after another, for callers that do not end after one call."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from monai.utils import CommonKeys

from monai_tff.bundle.layout import INFERENCE
from monai_tff.bundle.workflow import Workflow
from monai_tff.contract import InputContract, Target
from monai_tff.data.find_scans import find_scans
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError
from monai_tff.handlers.reconstruction import reconstruction_bytes
from monai_tff.metrics import aggregate, predicted_classes, score_columns
from monai_tff.networks import load_finished


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a prediction bundle says of one scan.

    Attributes:
        scores: by class name the probability of each class; for a number its value under the target's name, in the
            target's units.
        label: name of the predicted class; None for a number.
        spread: standard deviation over the windows, of the probability of the predicted class (of the second class
            where there are two) or of the value: variability within the scan, not the uncertainty of the prediction.
        windows: one entry per window: `start`, its first frame after the trim, and `scores` as above.
    """

    scores: dict[str, float]
    label: str | None
    spread: float
    windows: tuple[dict[str, Any], ...]


def known_device(name: str) -> str:
    """The name of a device that is there.

    Args:
        name: `cpu`, `cuda` or `cuda:1`.

    Raises:
        ConfigError: if this machine has no such device.
    """
    count = torch.cuda.device_count()
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in known:
        raise ConfigError(f"device {name}: there is no such device here, expected one of {', '.join(known)}.")
    return name


def inference_config(folder: str | os.PathLike[str]) -> Path:
    """The inference configuration of a bundle or run folder.

    Args:
        folder: holds `configs/inference.yaml`.

    Raises:
        ConfigError: if it is not there; for a folder of several phases the sentence names them.
    """
    config = Path(folder) / INFERENCE
    if not config.is_file():
        phases = sorted(path.parents[1].name for path in Path(folder).glob(f"*/{INFERENCE}"))
        way_out = f"name one of its phases ({', '.join(phases)})" if phases else "check the path"
        raise ConfigError(f"{config}: there is no such file, expected a bundle or a run folder; {way_out}.")
    return config


class Predictor:
    """Network, weights and transforms of a bundle, loaded once.

    What runs is what the bundle's `inference.yaml` holds under MONAI's ids `preprocessing`, `network`, `inferer` and
    `postprocessing`; so check a bundle that is not your own before (`monai_tff.bundle.verification`). The numbers are
    those of `python -m monai_tff predict`.

    Args:
        folder: a bundle or run folder.
        device: `cpu`, `cuda`, ...; None for what the bundle chooses (CUDA where there is one).
        stride: frames between two windows; None for what the bundle says (side by side).

    Raises:
        ConfigError: for a missing or wrong configuration, or a device that is not there.
        WeightsError: for weights that cannot be read or do not fit.
    """

    def __init__(self, folder: str | os.PathLike[str], device: str | None = None, stride: int | None = None) -> None:
        config = inference_config(folder)
        overrides: dict[str, Any] = {"bundle_root": str(Path(folder).resolve())}
        if device is not None:
            overrides["device"] = f"$torch.device('{known_device(device)}')"
        if stride is not None:
            overrides["stride"] = stride
        parser = Workflow(str(config), workflow_type="infer", logging_file=False, **overrides).parser
        self.contract: InputContract = parser.get_parsed_content("contract")
        self.network: torch.nn.Module = parser.get_parsed_content("network")
        self._preprocessing = parser.get_parsed_content("preprocessing")
        self._inferer = parser.get_parsed_content("inferer")
        self._postprocessing = None if self.target is None else parser.get_parsed_content("postprocessing")
        load_finished(self.network, parser.get_parsed_content("weights"))
        self.network.eval()

    @property
    def target(self) -> Target | None:
        """What is predicted; None for a bundle that reconstructs scans."""
        return self.contract.target

    def predict(self, path: str | os.PathLike[str]) -> Prediction:
        """Predicts the target of one scan.

        Args:
            path: a 4D NIfTI file.

        Raises:
            ScanError: for a scan that cannot be used.
            ContractError: for a scan that does not match the input contract, with both values.
            ConfigError: if the bundle has no target.
        """
        target = self.target
        if target is None or self._postprocessing is None:
            raise ConfigError("the bundle reconstructs scans, expected one with a target to predict.")
        record, scan, outputs = self._run(path)
        scores = self._postprocessing({CommonKeys.PRED: outputs})[CommonKeys.PRED].float().cpu()  # [windows, outputs]
        starts = self._inferer.starts(scan.num_frames)
        columns = score_columns(target)
        table = pd.DataFrame(scores.tolist(), columns=columns).assign(window=starts, truth=math.nan)
        table = table.assign(**{name: record[name] for name in ("subject", "session", "group", "scan")})
        unit = aggregate(table, target, unit="session")
        values = unit[columns].to_numpy()
        classes = target.kind != "regression"
        return Prediction(
            scores=_named(values[0].tolist(), target),
            label=str(predicted_classes(values, target, self.contract.threshold)[0]) if classes else None,
            spread=float(unit["spread"].iloc[0]),
            windows=tuple(
                {"start": int(start), "scores": _named(row, target)}
                for start, row in zip(starts, scores.tolist(), strict=True)
            ),
        )

    def reconstruct(self, path: str | os.PathLike[str]) -> bytes:
        """Reconstructs one scan.

        Args:
            path: a 4D NIfTI file.

        Returns:
            The bytes of a `.nii.gz` file, see `monai_tff.handlers.ReconstructionWriter`.

        Raises:
            ScanError: for a scan that cannot be used.
            ContractError: for a scan that does not match the input contract, with both values.
            ConfigError: if the bundle predicts a target.
        """
        if self.target is not None:
            raise ConfigError(f"the bundle predicts {self.target.name}, expected one that reconstructs scans.")
        _, scan, outputs = self._run(path)
        return reconstruction_bytes(outputs[0, 0], scan)

    def _run(self, path: str | os.PathLike[str]) -> tuple[dict[str, Any], CompactScan, torch.Tensor]:
        (record,) = find_scans(path)
        scan = self._preprocessing(record)[CommonKeys.IMAGE]
        with torch.no_grad():
            return record, scan, self._inferer(scan, self.network)


def _named(scores: list[float], target: Target) -> dict[str, float]:
    """Scores of one unit by class; of two classes the network gives the second alone."""
    if target.kind == "regression":
        return {target.name: scores[0]}
    if target.kind == "binary":
        scores = [1.0 - scores[0], scores[0]]
    return dict(zip(target.class_names, scores, strict=True))
