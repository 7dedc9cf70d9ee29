"""From a scan's file to a compact scan: read, check against the contract, mask, orient, crop, trim, pack."""

from __future__ import annotations

import os
import zlib
from collections.abc import Hashable, Mapping
from typing import Any

import nibabel as nib
import numpy as np
from monai.config import KeysCollection
from monai.transforms import LoadImage, MapTransform
from nibabel.filebasedimages import ImageFileError

from monai_tff.contract import InputContract
from monai_tff.data.checking import check_header
from monai_tff.data.frames import StoredFrames
from monai_tff.data.header import ScanHeader, open_nifti, read_header
from monai_tff.data.packed import PackedName, encoding_of
from monai_tff.data.packed_source import open_prepared
from monai_tff.data.scan import CompactScan
from monai_tff.data.selection import choose_voxels, clean
from monai_tff.errors import ScanError

_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, RuntimeError, MemoryError, ImageFileError)

DEFAULT_READER = "NibabelReader"


class LoadScand(MapTransform):
    """Loads scans as the contract says: the whole deterministic part of the preprocessing.

    The frames are read with a MONAI reader and never copied as a whole: orientation and crop (MONAI's `Orientation`
    and `SpatialCrop`) move a volume of voxel numbers, and only the voxels that are left within the mask are read,
    into a compact scan.

    Args:
        keys: keys of the paths; each becomes a `CompactScan`.
        contract: orientation, crop, trim, mask policy and what is checked.
        reader: name of the MONAI reader, `NibabelReader` (None too) or `ITKReader`.
        encoding: see `monai_tff.data.packing`; `auto` keeps integers as integers.
        mask_key: key of the path of a mask, or None under that key where the record has none.
        repetition_time_key: key of the repetition time in seconds; a scan without one has that of its header.
        confounds_key: key of the path of the table of confounds, needed where the contract removes them.
        scan_key: key of the scan's path in the datalist, which names its packed file.
        packed_dir: folder of packed scans, made with `python -m monai_tff prepare`; None reads the scans themselves.
        memory_map: map packed scans, so that the page cache holds what windows use; otherwise read them whole.
        allow_missing_keys: skip keys that a record lacks.

    Example:
        >>> contract = InputContract(spatial_size=(75, 93, 81), window_length=20, trim=10)
        >>> load = LoadScand("image", contract)
        >>> record = load({"image": "sub-01_task-rest_bold.nii.gz"})  # doctest: +SKIP
    """

    def __init__(
        self,
        keys: KeysCollection,
        contract: InputContract,
        reader: str | None = None,
        encoding: str = "auto",
        mask_key: str = "mask",
        repetition_time_key: str = "tr",
        allow_missing_keys: bool = False,
        packed_dir: str | None = None,
        memory_map: bool = True,
        confounds_key: str = "confounds",
        scan_key: str = "scan",
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.contract = contract
        self.reader = reader
        self.encoding = encoding
        self.mask_key = mask_key
        self.repetition_time_key = repetition_time_key
        self.packed_dir = packed_dir
        self.memory_map = memory_map
        self.confounds_key = confounds_key
        self.scan_key = scan_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Loads one record.

        Returns:
            The record with compact scans under its keys and the origin of the mask under `mask_source`.

        Raises:
            ScanError: for a scan or mask that cannot be used, naming the file; with `packed_dir`, for a packed file
                that is missing or stale.
            ContractError: for a scan that does not match the contract, with both values.
        """
        out = dict(data)
        for key in self.key_iterator(out):
            out[key], out["mask_source"] = load_scan(
                data[key],
                self.contract,
                reader=self.reader,
                encoding=self.encoding,
                mask_file=data.get(self.mask_key),
                repetition_time=data.get(self.repetition_time_key),
                confounds=data.get(self.confounds_key),
                packed_dir=self.packed_dir,
                memory_map=self.memory_map,
                scan=data.get(self.scan_key),
            )
        return out


def load_scan(
    path: str | os.PathLike[str],
    contract: InputContract,
    *,
    reader: str | None = None,
    encoding: str = "auto",
    mask_file: str | os.PathLike[str] | None = None,
    repetition_time: float | None = None,
    confounds: str | os.PathLike[str] | None = None,
    packed_dir: str | os.PathLike[str] | None = None,
    memory_map: bool = True,
    scan: str | None = None,
) -> tuple[CompactScan, str]:
    """Loads one scan as the contract says, from its file or packed.

    The mask is chosen on the stored grid after the trim, then oriented and cropped with the scan.

    Args:
        path: 4D NIfTI file.
        contract: orientation, crop, trim, mask policy and what is checked.
        reader: name of the MONAI reader; None for `NibabelReader`.
        encoding: see `monai_tff.data.packing`.
        mask_file: a mask on the stored grid, before siblings and estimates.
        repetition_time: seconds; None for the sidecar's or the header's.
        confounds: table of the confounds that the contract removes.
        packed_dir: folder of packed scans; None reads the scan itself.
        memory_map: map a packed scan instead of reading it whole.
        scan: the scan's path in the datalist, which names its packed file; None for its file name.

    Returns:
        The compact scan and the origin of its mask.

    Raises:
        ScanError: for a scan or mask that cannot be used, naming the file; for a packed file missing or stale.
        ContractError: for a scan that does not match the contract, with both values.
    """
    if packed_dir is not None:
        name = PackedName.of_record(
            path, contract, scan=scan, encoding=encoding, reader=reader, mask_file=mask_file, confounds=confounds
        )
        return open_prepared(name, packed_dir, path, repetition_time=repetition_time, memory_map=memory_map)
    return _load_source(path, contract, reader, encoding, mask_file, repetition_time, confounds)


def _load_source(
    path: str | os.PathLike[str],
    contract: InputContract,
    reader: str | None,
    encoding: str,
    mask_file: str | os.PathLike[str] | None,
    repetition_time: float | None,
    confounds: str | os.PathLike[str] | None,
) -> tuple[CompactScan, str]:
    """A scan from its own file, see `load_scan`."""
    header = read_header(path)
    check_header(path, header, contract, repetition_time)
    frames = read_frames(path, header, reader or DEFAULT_READER, contract.trim)
    selection = choose_voxels(frames, header, contract, mask_file=mask_file, source=path)
    seconds = header.repetition_time if repetition_time is None else repetition_time
    frames, voxels = clean(frames, selection.voxels, contract, path, confounds, seconds)
    packed = CompactScan.from_frames(
        frames,
        selection.mask,
        voxels=voxels,
        slope=header.slope,
        intercept=header.intercept,
        encoding=encoding_of(encoding),
        affine=selection.affine,
        repetition_time=seconds,
        source=str(path),
    )
    return packed, selection.origin


def read_frames(path: str | os.PathLike[str], header: ScanHeader, reader_name: str, trim: int) -> StoredFrames:
    """The trimmed frames; stored integers stay as they are (memory-mapped if not compressed) where nibabel reads."""
    reader = LoadImage(reader=reader_name).readers[-1]
    try:
        image = reader.read(os.fspath(path))
        proxy = getattr(image, "dataobj", None)
        if isinstance(proxy, nib.arrayproxy.ArrayProxy):
            values, slope, intercept = proxy.get_unscaled(), float(proxy.slope), float(proxy.inter)
        else:
            # other readers fill what a truncated file lacks with zeros; nibabel raises for its last voxel
            open_nifti(path).dataobj[-1, -1, -1, -1]
            values, slope, intercept = reader.get_data(image)[0], 1.0, 0.0
    except _UNREADABLE as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ScanError(
            f"{path}: the voxels cannot be read ({lines[0].strip().rstrip('.')}), expected {header.shape} of them; "
            "the file is truncated or damaged, copy or convert it again."
        ) from error
    if values.shape != header.shape:
        raise ScanError(
            f"{path}: {reader_name} gives the shape {values.shape}, expected {header.shape} as in the header; "
            f"use reader: {DEFAULT_READER}."
        )
    return StoredFrames(np.moveaxis(values, -1, 0)[trim:], slope, intercept, first_frame=trim)
