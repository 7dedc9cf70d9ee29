"""The input contract: what a set of weights expects of a scan, and the check that a scan is that.

The contract travels with the weights: in every checkpoint, in `inference.yaml` and in every packed scan. A scan
that does not match is refused with both values named, because a network predicts something for any tensor of the
right shape, also for one that was prepared in another way.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from monai_tff.contract_values import (
    inner_probability,
    orientation,
    positive_number,
    positive_numbers,
    slices,
    whole_number,
    whole_numbers,
)
from monai_tff.errors import ContractError

NORMALISATION = "tff-1"
"""Version of the two-channel normalisation (global and per voxel, background exactly 0)."""

TR_POLICIES = ("refuse", "allow")
MASK_POLICIES = ("auto", "nonzero")
CLEANING = "clean_img:"
"""Start of a denoising that is done when a scan is loaded; a strategy follows."""

STRATEGIES = ("simple", "compcor", "ica_aroma")
"""Strategies of nilearn's `load_confounds_strategy` that keep every frame; `scrubbing` drops frames."""

DENOISING = ("none", "fix", "by_cohort", *(CLEANING + strategy for strategy in STRATEGIES))
TR_TOLERANCE = 0.01
VOXEL_SIZE_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        name: column of the table it comes from, for example `sex`.
        kind: `binary`, `multiclass` or `regression`.
        class_names: names in the order of the class index (index 1 is the positive class of a binary target);
            empty for a regression.
    """

    name: str
    kind: str
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.kind not in ("binary", "multiclass", "regression"):
            raise ContractError(
                f"target '{self.name}': kind is '{self.kind}', expected binary, multiclass or regression."
            )
        wanted = {"binary": len(self.class_names) == 2, "multiclass": len(self.class_names) > 2}
        if not wanted.get(self.kind, not self.class_names):
            raise ContractError(
                f"target '{self.name}': a {self.kind} target cannot have the classes {list(self.class_names)}; "
                "binary has two, multiclass three or more, regression none."
            )

    @property
    def num_outputs(self) -> int:
        """Outputs of the network: one logit for two classes, C logits for C classes, one value for a number."""
        return len(self.class_names) if self.kind == "multiclass" else 1


@dataclasses.dataclass(frozen=True)
class InputContract:
    """What the network expects of its input.

    Attributes:
        spatial_size: H, W, D of the network input in voxels, after the crop.
        window_length: frames in a window.
        voxel_size: mm along each axis, or None where the training cohort did not state one.
        axis_codes: orientation that scans are brought to before the crop, `RAS`; None keeps the stored order (the
            paper's recipe).
        crop: `[start, stop]` per axis as in a Python slice (negative and None allowed), None for a whole axis or for
            no crop at all.
        trim: frames dropped at the start of a scan.
        mask: `auto` (a mask file, a sibling, nonzero voxels, nilearn's `compute_epi_mask`) or `nonzero` (paper).
        denoising: what is removed from the time courses: `none`; `fix` (by ICA-FIX, as HCP delivers it) or `by_cohort`
            (in another way of the cohort's own), where nothing is left to do; or `clean_img:STRATEGY` (done when a scan
            is loaded, see `monai_tff.data.denoising`).
        repetition_time: seconds between frames, or None where unknown.
        tr_policy: what to do with a scan of another repetition time: `refuse` or `allow`.
        normalisation: version of the two-channel normalisation.
        target: what is predicted, None for a reconstruction.
        threshold: probability above which the positive class of two is named, between 0 and 1.
        temperature: divisor of the logits, above 0; 1 for uncalibrated weights.
        target_mean: mean of a regression target over training subjects, in the target's units.
        target_std: standard deviation likewise.

    Example:
        >>> contract = InputContract(spatial_size=(75, 93, 81), window_length=20, repetition_time=0.72)
        >>> contract.check("scan.nii.gz", spatial_size=(75, 93, 81), frames=1190, repetition_time=0.72)
    """

    spatial_size: tuple[int, int, int]
    window_length: int
    voxel_size: tuple[float, float, float] | None = None
    axis_codes: str | None = "RAS"
    crop: tuple[tuple[int | None, int | None], ...] | None = None
    trim: int = 0
    mask: str = "auto"
    denoising: str = "none"
    repetition_time: float | None = None
    tr_policy: str = "refuse"
    normalisation: str = NORMALISATION
    target: Target | None = None
    threshold: float = 0.5
    temperature: float = 1.0
    target_mean: float | None = None
    target_std: float | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "spatial_size": whole_numbers("spatial_size", self.spatial_size, 3, 1),
            "window_length": whole_number("window_length", self.window_length, 1),
            "trim": whole_number("trim", self.trim, 0),
            "threshold": inner_probability("threshold", self.threshold),
            "temperature": positive_number("temperature", self.temperature),
        }
        if self.voxel_size is not None:
            checked["voxel_size"] = positive_numbers("voxel_size", self.voxel_size, 3)
        if self.crop is not None:
            checked["crop"] = slices("crop", self.crop)
        if self.repetition_time is not None:
            checked["repetition_time"] = positive_number("repetition_time", self.repetition_time)
        if self.axis_codes is not None:
            checked["axis_codes"] = orientation("axis_codes", self.axis_codes)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if isinstance(self.target, Mapping):
            object.__setattr__(self, "target", Target(**self.target))
        self._refuse_unknown("tr_policy", TR_POLICIES)
        self._refuse_unknown("mask", MASK_POLICIES)
        self._refuse_unknown("denoising", DENOISING)
        self._refuse_unknown("normalisation", (NORMALISATION,))

    def _refuse_unknown(self, name: str, known: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise ContractError(f"input contract: {name} is '{value}', expected one of {', '.join(known)}.")

    def check(
        self,
        source: str,
        *,
        spatial_size: Sequence[int] | None = None,
        frames: int | None = None,
        voxel_size: Sequence[float] | None = None,
        repetition_time: float | None = None,
    ) -> None:
        """Compares what is known of a scan with the contract; what is None on either side is not compared.

        Args:
            source: the scan's file, for the message.
            spatial_size: voxels per axis after orientation and crop.
            frames: frames left after the trim.
            voxel_size: mm per axis after orientation.
            repetition_time: seconds.

        Raises:
            ContractError: naming the scan, the value found and the value expected.
        """
        if spatial_size is not None and tuple(spatial_size) != self.spatial_size:
            raise ContractError(
                f"{source}: the grid after the crop is {_times(spatial_size)}, expected {_times(self.spatial_size)}; "
                "set crop and spatial_size for this cohort, or resample the scan to the training grid."
            )
        if frames is not None and frames < self.window_length:
            raise ContractError(
                f"{source}: {frames} frames are left after dropping {self.trim}, expected at least "
                f"{self.window_length} for one window; use a longer scan or a shorter window_length."
            )
        if voxel_size is not None and self.voxel_size is not None:
            pairs = zip(voxel_size, self.voxel_size, strict=True)
            if any(abs(found - wanted) > VOXEL_SIZE_TOLERANCE * wanted for found, wanted in pairs):
                raise ContractError(
                    f"{source}: the voxel size is {_times(voxel_size)} mm, expected {_times(self.voxel_size)} mm; "
                    "resample the scan to the training grid."
                )
        self._check_repetition_time(source, repetition_time)

    def _check_repetition_time(self, source: str, found: float | None) -> None:
        expected = self.repetition_time
        if found is None or expected is None or self.tr_policy == "allow":
            return
        if abs(found - expected) > TR_TOLERANCE * expected:
            raise ContractError(
                f"{source}: the repetition time is {found:g} s, expected {expected:g} s within 1 %; use scans of that "
                "repetition time, or set tr_policy to allow."
            )

    def to_dict(self) -> dict[str, Any]:
        """The contract as plain lists, numbers and strings, ready for JSON or YAML."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputContract:
        """Builds a contract from `to_dict`'s form.

        Raises:
            ContractError: for a key that no contract has, or one that is missing.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        missing = sorted({"spatial_size", "window_length"} - set(values))
        if unknown or missing:
            raise ContractError(
                f"input contract: unknown keys {unknown}, missing keys {missing}; "
                "it was written by another version of monai_tff or edited by hand."
            )
        return cls(**values)


def _times(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
