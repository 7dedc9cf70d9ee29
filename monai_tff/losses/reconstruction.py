"""The reconstruction loss of phases 1 and 2: absolute error, intensity term, perceptual term."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
from torch import nn

from monai_tff.errors import ConfigError, ContractError
from monai_tff.losses.process_mean import process_mean


def check_shapes(prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Refuses tensors that are not a reconstruction and the two channels it reconstructs.

    Args:
        prediction: reconstruction, expected as [B, 1, H, W, D, T].
        target: network input, expected as [B, 2, H, W, D, T] of the same B, H, W, D and T.

    Raises:
        ContractError: naming both shapes.
    """
    found, wanted = tuple(prediction.shape), tuple(target.shape)
    if target.ndim != 6 or target.shape[1] != 2 or found != (wanted[0], 1, *wanted[2:]):
        raise ContractError(
            f"reconstruction loss: the prediction is {list(found)} and the target {list(wanted)}, expected "
            "[B, 1, H, W, D, T] and [B, 2, H, W, D, T] of equal B, H, W, D and T; give the loss the two input "
            "channels as its target."
        )


class IntensityLoss(nn.Module):
    """Absolute error in the most active voxels of each frame.

    In each frame of channel 1 (voxel normalisation) the values at or below the background are set to 0 and the rest
    taken as magnitudes; the voxels whose magnitude is strictly above the 0.9-quantile (linear interpolation) of the
    magnitudes > 0 are kept. The loss is the mean of |prediction - channel 0| over all kept voxels of the batch
    together. A frame without such voxels contributes nothing; a batch without any gives 0 with gradient 0.

    Args:
        quantile: quantile of the magnitudes of a frame, above which a voxel counts; at least 0 and below 1.
        background: value of the background in channel 1. 0, the default, is what the two-channel normalisation
            writes. `corner` takes the value at voxel [0, 0, 0] of each frame, as published; it is the same wherever
            that voxel lies outside the brain.

    Raises:
        ConfigError: for a quantile outside [0, 1) or a background that is neither a number nor `corner`.

    Reference:
        Malkiel et al. 2021, "Pre-training and Fine-tuning Transformers for fMRI Prediction Tasks", arXiv 2112.05761.

    Example:
        >>> target = torch.zeros(1, 2, 7, 8, 9, 3)
        >>> IntensityLoss()(torch.ones(1, 1, 7, 8, 9, 3), target)
        tensor(0.)
    """

    def __init__(self, *, quantile: float = 0.9, background: float | Literal["corner"] = 0.0) -> None:
        super().__init__()
        if not 0 <= quantile < 1:
            raise ConfigError(
                f"intensity loss: quantile is {quantile}, expected a number of at least 0 and below 1, for example 0.9."
            )
        if isinstance(background, str) and background != "corner":
            raise ConfigError(
                f"intensity loss: background is '{background}', expected a number (0 after the two-channel "
                "normalisation) or corner."
            )
        self.quantile = Fraction(quantile).limit_denominator(10_000)
        self.background = background

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Computes the loss.

        Args:
            prediction: reconstruction [B, 1, H, W, D, T].
            target: network input [B, 2, H, W, D, T].

        Returns:
            Scalar.

        Raises:
            ContractError: where the shapes do not fit each other.
        """
        check_shapes(prediction, target)
        mask = self.mask(target)
        error = (prediction[:, 0] - target[:, 0]).abs()
        return process_mean(torch.where(mask, error, 0).sum(), mask.sum())

    @torch.no_grad()
    def mask(self, target: torch.Tensor) -> torch.Tensor:
        """Marks the voxels that the loss looks at.

        Args:
            target: network input [B, 2, H, W, D, T].

        Returns:
            Booleans [B, H, W, D, T].
        """
        activity = target[:, 1]
        background = activity[:, :1, :1, :1] if self.background == "corner" else self.background
        magnitude = torch.where(activity <= background, 0, activity).abs()
        # One sample at a time bounds the memory of the copy and of topk.
        thresholds = magnitude.new_empty(len(magnitude), magnitude.shape[-1])
        for number, sample in enumerate(magnitude):
            thresholds[number] = self._thresholds(sample.flatten(0, 2).T)
        return magnitude > thresholds[:, None, None, None, :]

    def _thresholds(self, frames: torch.Tensor) -> torch.Tensor:
        """Largest magnitude of each frame that does not lie above the quantile, infinity where none is positive.

        The interpolated quantile lies between two neighbours in rank, so exactly the values greater than the lower
        neighbour are above it: no interpolation is needed, and only the top of each frame has to be sorted.

        Args:
            frames: magnitudes [T, voxels], none negative.

        Returns:
            Thresholds [T].
        """
        num_voxels = frames.shape[1]
        positive = (frames > 0).sum(dim=1)
        above = self.quantile.denominator - self.quantile.numerator
        # Rank from the top of the lower neighbour, ceil((1 - quantile) * (count - 1)), in exact integers.
        rank = -((1 - positive.clamp(min=1)) * above // self.quantile.denominator)
        largest = -((1 - num_voxels) * above // self.quantile.denominator)
        descending = frames.topk(largest + 1, dim=1).values
        thresholds = descending.gather(1, rank[:, None])[:, 0]
        return torch.where(positive > 0, thresholds, torch.inf)


class ReconstructionLoss(nn.Module):
    """Weighted sum of the absolute error, the intensity loss and the perceptual loss.

    The absolute error is the mean of |prediction - channel 0| over everything, background included. A term of weight
    0 is not computed. After each call `terms` holds the value of each computed term before its weight
    (`reconstruction`, `intensity`, `perceptual`), detached. Where several processes train together, all terms are means
    over the batch of all of them, see `process_mean`.

    Args:
        reconstruction_weight: weight of the absolute error.
        intensity_weight: weight of the intensity loss.
        perceptual_weight: weight of the perceptual loss.
        perceptual: the perceptual loss, for example `PerceptualLoss(fraction=0.25)`; None leaves it out.
        intensity: the intensity loss, `IntensityLoss()` where None.

    Raises:
        ConfigError: for a negative weight, or if no term is left.

    Reference:
        Malkiel et al. 2021, arXiv 2112.05761.

    Example:
        >>> loss = ReconstructionLoss()
        >>> loss(torch.ones(1, 1, 7, 8, 9, 3), torch.zeros(1, 2, 7, 8, 9, 3))
        tensor(1.)
        >>> loss.terms
        {'reconstruction': tensor(1.), 'intensity': tensor(0.)}
    """

    def __init__(
        self,
        *,
        reconstruction_weight: float = 1.0,
        intensity_weight: float = 1.0,
        perceptual_weight: float = 1.0,
        perceptual: nn.Module | None = None,
        intensity: IntensityLoss | None = None,
    ) -> None:
        super().__init__()
        self.weights = {
            "reconstruction": float(reconstruction_weight),
            "intensity": float(intensity_weight),
            "perceptual": float(perceptual_weight),
        }
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(
                    f"reconstruction loss: {name}_weight is {weight:g}, expected a number of at least 0; 0 switches "
                    "the term off."
                )
        self.intensity = IntensityLoss() if intensity is None else intensity
        self.perceptual = perceptual
        if perceptual is None:
            del self.weights["perceptual"]
        if not any(self.weights.values()):
            raise ConfigError(
                "reconstruction loss: every weight is 0, expected at least one term; set reconstruction_weight to 1."
            )
        self.terms: dict[str, torch.Tensor] = {}

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Computes the weighted sum and records the terms.

        Args:
            prediction: reconstruction [B, 1, H, W, D, T].
            target: network input [B, 2, H, W, D, T].

        Returns:
            Scalar.

        Raises:
            ContractError: where the shapes do not fit each other.
        """
        check_shapes(prediction, target)
        terms = {name: self._term(name, prediction, target) for name, weight in self.weights.items() if weight}
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def _term(self, name: str, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if name == "intensity":
            return self.intensity(prediction, target)
        if name == "perceptual" and self.perceptual is not None:
            return self.perceptual(prediction, target)
        return process_mean((prediction - target[:, :1]).abs().sum(), prediction.numel())
