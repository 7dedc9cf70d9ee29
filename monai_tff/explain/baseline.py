"""What a window is compared with: the mean training scan of the other classes.

Attributions tell how the output comes about on the way from a baseline to the window, so a baseline is a choice, and
the maps depend on it: Sturmfels, Lundberg, Lee, "Visualizing the Impact of Feature Attribution Baselines", 2020,
https://doi.org/10.23915/distill.00022. An image of zeros would make a map of where brains are bright; the mean scan
of the other classes asks what in this scan differs from them and moves the output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

from monai_tff.data.scan import CompactScan


class Baselines:
    """Mean training scans: of each class, or one of all scans for a number.

    Args:
        scans: compact scans of the training section, with the label of each: class index, or 0 for a number.
    """

    def __init__(self, scans: Iterable[tuple[CompactScan, int]]) -> None:
        sums: dict[int, torch.Tensor] = {}
        counts: dict[int, torch.Tensor] = defaultdict(lambda: torch.zeros(()))
        for scan, label in scans:
            image, mask = mean_image(scan)
            sums[label] = sums.get(label, torch.zeros(())) + image
            counts[label] = counts[label] + mask
        self.means = {label: sums[label] / counts[label].clamp(min=1) for label in sorted(sums)}

    def of(self, scan: CompactScan, window: torch.Tensor, predicted: int | None) -> torch.Tensor:
        """The baseline of a window.

        Args:
            scan: that the window is of.
            window: `[2, H, W, D, T]`.
            predicted: class of the window, None for a number.

        Returns:
            The shape of `window`: in the scan's mask channel 0 is the mean, over classes, of the mean training scans
            of all other classes, the same in all frames, and channel 1 is 0, the mean of every voxel; outside the
            mask it is the window.
        """
        others = [mean for label, mean in self.means.items() if label != predicted or len(self.means) == 1]
        mean = torch.stack(others).mean(dim=0).to(window)
        mask = scan.mask.to(window.device)[..., None]
        image = torch.stack((mean, torch.zeros_like(mean)))[..., None]
        return torch.where(mask, image, window)


def mean_image(scan: CompactScan) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of channel 0 over the frames of a scan.

    Args:
        scan: the whole trimmed scan; a voxel of its mask that is 0 in some frames counts with its mean all the same.

    Returns:
        float32 `[H, W, D]`, 0 outside the mask, and the mask as float32.
    """
    image = torch.zeros(scan.mask.shape)
    deviation = scan.global_std if scan.global_std > 0 else float("inf")
    image[scan.mask] = (scan.voxel_mean - scan.global_mean) / deviation
    return image, scan.mask.to(torch.float32)
