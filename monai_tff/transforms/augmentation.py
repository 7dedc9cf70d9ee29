"""Optional augmentation of training windows: Gaussian blur and Gaussian noise."""

from __future__ import annotations

import torch
from monai.transforms import RandGaussianNoise, RandGaussianSmooth, RandomizableTransform
from monai.utils import convert_to_tensor


class WindowAugmentation(RandomizableTransform):
    """Blurs all frames of a window with one random Gaussian and adds noise; the background stays as it is.

    Built from MONAI's `RandGaussianSmooth` and `RandGaussianNoise`, both channels and all frames at once.

    Args:
        prob: probability of each of the two.
        sigma: lowest and highest standard deviation of the blur, in voxels, drawn per axis.
        noise_std: the noise's standard deviation is drawn between 0 and this, in units of the normalised input.

    Example:
        >>> augmentation = WindowAugmentation(prob=0.5)
        >>> augmented = augmentation(torch.zeros(2, 7, 8, 9, 4), seed=3)
    """

    def __init__(self, prob: float = 0.5, sigma: tuple[float, float] = (0.25, 1.0), noise_std: float = 0.1) -> None:
        super().__init__(prob=1.0)
        low, high = sigma
        self.smooth = RandGaussianSmooth((low, high), (low, high), (low, high), prob=prob)
        self.noise = RandGaussianNoise(prob=prob, std=noise_std)

    def randomize(self, data: None = None) -> None:
        """Seeds the blur and the noise from this transform's own state."""
        super().randomize(None)
        self.smooth.set_random_state(int(self.R.randint(2**31)))
        self.noise.set_random_state(int(self.R.randint(2**31)))

    def __call__(self, window: torch.Tensor, seed: int | None = None) -> torch.Tensor:
        """Augments a window out of place.

        Args:
            window: float32 [2, H, W, D, T].
            seed: what is drawn depends on it alone; None to go on with this transform's random state.

        Returns:
            float32 [2, H, W, D, T], its memory frame by frame.
        """
        if seed is not None:
            self.set_random_state(seed)
        self.randomize()
        height, width, depth, frames = window.shape[1:]
        by_frame = window.permute(4, 0, 1, 2, 3)
        folded = by_frame.reshape(frames * 2, height, width, depth)
        augmented = convert_to_tensor(self.noise(self.smooth(folded))).reshape(by_frame.shape)
        # background: channel 1 is exactly 0 and channel 0 has its fill, the lowest value there is
        background = (window[1] == 0) & (window[0] == window[0].amin())
        return torch.where(background, window, augmented.permute(1, 2, 3, 4, 0))
