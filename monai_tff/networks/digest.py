"""What tells weights from others: a hash of their tensors, in whatever file and with whatever contract they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from monai_tff.networks.checkpoints import Source, read_state_dict


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names, kinds, shapes and bytes of tensors.

    Args:
        tensors: by name; their order does not matter.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_digest(source: Source) -> str:
    """SHA-256 over the tensors of a network: the same for a run's checkpoint and for the bundle that is made of it.

    Args:
        source: a checkpoint file or what it holds, see `read_state_dict`.

    Returns:
        64 hexadecimal digits.

    Raises:
        WeightsError: see `read_state_dict`.
    """
    return tensors_digest(read_state_dict(source))
