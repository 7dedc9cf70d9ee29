"""The precision in which networks compute: float32, or bfloat16 where that is safe."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer


def mixed_precision(device: torch.device, amp: bool) -> torch.autocast:
    """Automatic mixed precision in bfloat16, whose range is that of float32: no loss has to be scaled.

    Convolutions and matrix products are computed in bfloat16; normalisations, and what comes out of a network for its
    loss, are float32. MONAI's own `amp` would use float16 with a GradScaler, on CUDA only.

    Args:
        device: where the network is.
        amp: False leaves everything in float32.

    Returns:
        The context to call the network in.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp)


class WindowInferer(Inferer):
    """Calls the network on a batch of windows, as training and the validation of phases 1 and 2 do.

    Args:
        amp: compute in bfloat16 where that is safe, see `mixed_precision`.
    """

    def __init__(self, amp: bool = False) -> None:
        super().__init__()
        self.amp = amp

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Computes the network's output.

        Args:
            inputs: the network's input, [B, ...]; its device is the network's. B may be 0.
            network: the network.
            *args: not used, for MONAI's signature.
            **kwargs: not used, for MONAI's signature.

        Returns:
            float32.
        """
        if not len(inputs):
            # A process without a share of the batch: a window of zeros gives every weight a gradient, which is 0.
            return self(inputs.new_zeros((1, *inputs.shape[1:])), network)[:0]
        with mixed_precision(inputs.device, self.amp):
            output = network(inputs)
        return output.float() if self.amp else output
