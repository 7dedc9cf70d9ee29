"""What each phase feeds its network: compact windows are unpacked and normalised on the device, labels follow.

Where a batch has codes of frames, they take the place of the windows at the network's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch

from monai_tff.contract import Target
from monai_tff.data.frame_codes import FrameCodes
from monai_tff.data.scan import CompactScan, unpack_windows


def label_tensor(
    labels: Sequence[float | int],
    target: Target,
    device: torch.device | str | None = "cpu",
    mean: float = 0.0,
    std: float = 1.0,
) -> torch.Tensor:
    """Labels as the loss of a target's kind wants them.

    Args:
        labels: class indices, or numbers in the target's units.
        target: what is predicted.
        device: where the tensor goes.
        mean: subtracted from a regression target, in its units.
        std: divides a regression target, in its units.

    Returns:
        Long [B] for several classes, float32 [B, 1] for two classes (0 or 1) or a (standardised) number.
    """
    classes = target.kind == "multiclass"
    # from page-locked memory, else the host would wait for the GPU
    pinned = device is not None and torch.device(device).type == "cuda"
    values = torch.tensor(labels, dtype=torch.long if classes else torch.float32, pin_memory=pinned)
    values = values.to(device, non_blocking=True)
    if classes:
        return values
    values = values.reshape(-1, 1)
    return (values - mean) / std if target.kind == "regression" else values


class PrepareReconstruction(PrepareBatch):
    """Phases 1 and 2: the two-channel windows are the target, and they or the codes of their frames the input.

    Args:
        augmentation: called with a window [2, H, W, D, T] and its seed, gives the augmented input; the target stays
            as it is.
    """

    def __init__(self, augmentation: Callable[[torch.Tensor, int], torch.Tensor] | None = None) -> None:
        self.augmentation = augmentation

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Unpacks a batch of windows.

        Returns:
            Input, float32 [B, 2, H, W, D, T] or codes [B, T, hidden], and target, float32 [B, 2, H, W, D, T].
        """
        target = _windows(batchdata, device, non_blocking)
        if "codes" in batchdata:
            return _codes(batchdata, device, non_blocking), target
        return _augmented(target, batchdata, self.augmentation), target


class PreparePrediction(PrepareBatch):
    """Phase 3: two-channel windows, or the codes of their frames, and the labels of their scans.

    Args:
        target: what is predicted.
        mean: mean of a regression target over the training subjects; 0 leaves it in its units (the paper).
        std: standard deviation likewise; 1 leaves it in its units.
        augmentation: as in `PrepareReconstruction`.
    """

    def __init__(
        self,
        target: Target,
        mean: float | None = None,
        std: float | None = None,
        augmentation: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    ) -> None:
        self.target = target
        self.mean = 0.0 if mean is None else mean
        self.std = 1.0 if std is None else std
        self.augmentation = augmentation

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Unpacks a batch of windows.

        Returns:
            Input, float32 [B, 2, H, W, D, T] or codes [B, T, hidden], and labels, see `label_tensor`.
        """
        if "codes" in batchdata:
            inputs = _codes(batchdata, device, non_blocking)
        else:
            inputs = _augmented(_windows(batchdata, device, non_blocking), batchdata, self.augmentation)
        labels = label_tensor(batchdata["label"][: len(inputs)], self.target, device, self.mean, self.std)
        return inputs, labels


class PrepareScan(PrepareBatch):
    """Evaluation and inference: one whole compact scan, for an inferer that slides windows over it.

    Args:
        codes: codes of the frames, which then take the place of the scan.
    """

    def __init__(self, codes: FrameCodes | None = None) -> None:
        self.codes = codes

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[CompactScan | torch.Tensor, None]:
        """Takes the scan out of a batch of one.

        Returns:
            The compact scan, still where it was loaded (the inferer moves windows), or the codes of its frames
            [1, T, hidden], and None for the target.

        Raises:
            ValueError: if the batch holds more than one scan.
        """
        scans = batchdata["image"]
        if len(scans) != 1:
            raise ValueError(f"one whole scan is evaluated at a time, the batch holds {len(scans)}; use batch_size 1.")
        if self.codes is not None:
            return self.codes.window(batchdata["scan"][0], 0, scans[0].num_frames)[None], None
        return scans[0], None


def _windows(batchdata: Mapping[str, Any], device: str | torch.device | None, non_blocking: bool) -> torch.Tensor:
    """The windows of a batch, none if the only one is a filler."""
    return _without_filler(unpack_windows(batchdata["image"], device=device, non_blocking=non_blocking), batchdata)


def _codes(batchdata: Mapping[str, Any], device: str | torch.device | None, non_blocking: bool) -> torch.Tensor:
    """The codes [B, T, hidden] of a batch's windows, likewise."""
    moved = [codes.to(device, non_blocking=non_blocking) for codes in batchdata["codes"]]
    return _without_filler(torch.stack(moved), batchdata)


def _without_filler(windows: torch.Tensor, batchdata: Mapping[str, Any]) -> torch.Tensor:
    return windows[:0] if any(batchdata.get("filler", ())) else windows


def _augmented(
    images: torch.Tensor,
    batchdata: Mapping[str, Any],
    augmentation: Callable[[torch.Tensor, int], torch.Tensor] | None,
) -> torch.Tensor:
    if augmentation is None or not len(images):
        return images
    augmented = [augmentation(image, seed) for image, seed in zip(images, batchdata["seed"], strict=True)]
    # frame-major memory, as unpacked: the network then folds frames into the batch without a copy
    return torch.stack([image.movedim(-1, 0) for image in augmented]).movedim(1, -1)
