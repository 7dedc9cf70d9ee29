"""What a header shows about a scan and the input contract."""

from __future__ import annotations

import os

from monai_tff.contract import InputContract
from monai_tff.data.header import ScanHeader
from monai_tff.errors import ConfigError
from monai_tff.transforms.spatial import cropped_size

_OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))


def axis_order(axis_codes: str, wanted: str | None) -> tuple[int, ...]:
    """Where each axis of the wanted orientation is stored.

    Args:
        axis_codes: orientation of the stored scan, for example `LAS`.
        wanted: orientation that it is brought to; None keeps the stored order.

    Raises:
        ConfigError: if the wanted orientation is not one letter per axis.

    Example:
        >>> axis_order("PLS", "RAS")
        (1, 0, 2)
    """
    if wanted is None:
        return (0, 1, 2)
    order = tuple(i for code in wanted for i, found in enumerate(axis_codes) if code in (found, _OPPOSITE[found]))
    if sorted(order) != [0, 1, 2]:
        raise ConfigError(f"axis_codes is '{wanted}', expected one of R/L, A/P and S/I each, such as RAS.")
    return order


def check_header(
    path: str | os.PathLike[str],
    header: ScanHeader,
    contract: InputContract,
    repetition_time: float | None = None,
) -> None:
    """Checks what a scan's header says against the contract.

    Args:
        path: the scan.
        header: its header.
        contract: what the network expects.
        repetition_time: seconds, from the scan's record; None for the header's.

    Raises:
        ContractError: naming the scan, the value found and the value expected.
    """
    order = axis_order(header.axis_codes, contract.axis_codes)
    contract.check(
        str(path),
        spatial_size=cropped_size([header.shape[axis] for axis in order], contract.crop),
        voxel_size=[header.voxel_size[axis] for axis in order],
        frames=max(0, header.num_frames - contract.trim),
        repetition_time=header.repetition_time if repetition_time is None else repetition_time,
    )
