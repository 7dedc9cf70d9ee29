"""One bundle as an inference task of MONAI Label."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_tff.bundle.layout import METADATA
from monai_tff.bundle.predictor import Prediction, Predictor
from monai_tff.errors import ConfigError

NOTE = "Research only: not a medical device, and not for decisions about a person."
SPREAD = "Standard deviation over the windows: variability within the scan, not the uncertainty of the prediction."
KINDS = {"binary": "classification", "multiclass": "classification", "regression": "regression"}


class ScanTask(InferTask):
    """Answers for one scan at a time with a bundle that is loaded once.

    Args:
        folder: of the bundle, checked before.
        device: as for `Predictor`.

    Raises:
        ConfigError: as `Predictor` does, or for metadata that cannot be read.
        WeightsError: likewise.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        self.predictor = Predictor(folder, device=device)
        self.name = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.resolve().name)
        metadata = _metadata(folder / METADATA)
        self.version = str(metadata.get("version", "unknown"))
        target = self.predictor.target
        self.kind = "reconstruction" if target is None else KINDS[target.kind]
        labels = [] if target is None else [*(target.class_names or (target.name,))]
        type_ = InferType.CLASSIFICATION if self.kind == "classification" else InferType.OTHERS
        super().__init__(type_, labels, dimension=4, description=str(metadata.get("description", "")))

    @property
    def reconstructs(self) -> bool:
        """Whether the answer is a scan."""
        return self.kind == "reconstruction"

    def is_valid(self) -> bool:
        """True: a bundle that could not be loaded stops the server from starting."""
        return True

    def info(self) -> dict[str, Any]:
        """What `/info` says of the model: MONAI Label's keys, and version, kind, target and input contract."""
        return {**super().info(), "kind": self.kind, **self._facts()}

    def _facts(self) -> dict[str, Any]:
        contract = self.predictor.contract.to_dict()
        return {"version": self.version, "target": contract["target"], "contract": contract, "note": NOTE}

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answers for a scan.

        Args:
            request: `image`, the path of the scan; `image_id`, what the caller knows it as; `result_folder`, where a
                reconstruction is written (a temporary file of its own by default).

        Returns:
            The file of a reconstruction, or None; and the answer in plain values.

        Raises:
            ScanError: for a scan that cannot be used.
            ContractError: for one that does not match the input contract.
        """
        answer = {"model": self.name, "image": request.get("image_id"), "kind": self.kind, **self._facts()}
        if self.reconstructs:
            content = self.predictor.reconstruct(request["image"])
            handle, file = tempfile.mkstemp(".nii.gz", "reconstruction_", request.get("result_folder"))
            with os.fdopen(handle, "wb") as target:
                target.write(content)
            return file, answer
        return None, {**answer, **_told(self.predictor.predict(request["image"]), self.kind)}


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}), expected the metadata of a bundle; check it.") from error


def _told(prediction: Prediction, kind: str) -> dict[str, Any]:
    (first, *_) = prediction.scores.values()
    return {
        "label": first if kind == "regression" else prediction.label,
        "score": prediction.scores,
        "spread": prediction.spread,
        "spread_meaning": SPREAD,
        "windows": list(prediction.windows),
    }
