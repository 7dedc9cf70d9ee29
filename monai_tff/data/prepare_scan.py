"""Packing one scan into its file: one decompression, memory bounded whatever the number of frames."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from monai_tff.contract import InputContract
from monai_tff.data.checking import check_header
from monai_tff.data.content import VoxelHash, content_hash
from monai_tff.data.denoising import confounds_table
from monai_tff.data.frames import StoredFrames, columns_in_file, stored_zero
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.loading import DEFAULT_READER, read_frames
from monai_tff.data.mask_files import find_mask
from monai_tff.data.packed import PackedName, encoding_of, read_packed_facts, verify_packed, write_packed
from monai_tff.data.packed_file import ValueRuns
from monai_tff.data.packed_leftovers import partial_path
from monai_tff.data.packed_source import describe_source, stale_reason
from monai_tff.data.packing import measure, packed_runs
from monai_tff.data.scan import CompactScan
from monai_tff.data.selection import choose_voxels, clean, known_voxels
from monai_tff.data.spill import Spill, open_rows
from monai_tff.data.stream import stored_runs, voxel_offset
from monai_tff.errors import ScanError, UserError

Record = Mapping[str, Any]


class PreparedScan(NamedTuple):
    """What became of one scan.

    Attributes:
        scan: its path in the datalist.
        status: `packed`; `present`, where a whole file was there already; or `failed`.
        sentence: why it failed, "" otherwise.
        num_bytes: size of its packed file.
        seconds: that it took.
    """

    scan: str
    status: Literal["packed", "present", "failed"]
    sentence: str
    num_bytes: int
    seconds: float


def prepare_scan(
    record: Record,
    packed_dir: str | os.PathLike[str],
    contract: InputContract,
    encoding: str = "int16",
    *,
    reader: str | None = None,
    verify: bool = False,
) -> PreparedScan:
    """Packs the scan of a record, unless that is done already.

    Nothing that a user can cause is raised: a damaged scan, one on another grid, a full disk or a folder that cannot be
    written to end in a sentence, and nothing half-written stays.

    Args:
        record: of `monai_tff.data.datalist.load_records`: `image`, `scan`, and `mask`, `tr`, `content`, `confounds`,
            which may be None or missing.
        packed_dir: folder of packed scans.
        contract: the input contract.
        encoding: `int16`, `int8` or `float32`.
        reader: name of the MONAI reader. Others than nibabel's hold the whole scan in memory.
        verify: compare a file that is there with its checksum.
    """
    start = time.perf_counter()
    scan = scan_of(record)
    status: Literal["packed", "present", "failed"] = "failed"
    sentence, size = "", 0
    try:
        name = packed_name(record, contract, encoding, reader)
        path = name.path(packed_dir)
        status = "present" if _is_ready(path, name, record, verify) else "packed"
        size = _pack(record, name, path) if status == "packed" else path.stat().st_size
    except UserError as error:
        status, sentence = "failed", " ".join(str(error).split())
    except OSError as error:
        status, sentence = "failed", _cannot_write(record["image"], packed_dir, error)
    except MemoryError:
        status, sentence = "failed", f"{record['image']}: memory is not enough for it; use fewer workers."
    return PreparedScan(scan, status, sentence, size, time.perf_counter() - start)


def scan_of(record: Record) -> str:
    """Path of a record's scan in the datalist; its file name where the record has none."""
    return str(record.get("scan") or os.path.basename(record["image"]))


def packed_name(record: Record, contract: InputContract, encoding: str, reader: str | None) -> PackedName:
    """What identifies the packed file of a record."""
    return PackedName.of_record(
        record["image"],
        contract,
        scan=scan_of(record),
        encoding=encoding,
        reader=reader,
        mask_file=record.get("mask"),
        confounds=record.get("confounds"),
    )


def _is_ready(path: Path, name: PackedName, record: Record, verify: bool) -> bool:
    """Whether a whole file of this name is there that is not stale."""
    if not path.is_file():
        return False
    try:
        facts = read_packed_facts(path)
        if verify:
            verify_packed(path)
    except ScanError:
        return False  # torn: it is built again, and replaced
    if stale_reason(facts["source"], record["image"], name.contract, name) is not None:
        return False
    _check_content(record, facts["source"]["content"])
    return True


def _check_content(record: Record, found: str) -> None:
    wanted = record.get("content")
    if wanted is not None and found != wanted:
        raise ScanError(
            f"{record['image']}: its voxels have the content hash {found[:12]}..., expected {wanted[:12]}... as in the "
            "datalist; the file was changed or replaced, get the old one back or build the datalist again."
        )


def _pack(record: Record, name: PackedName, path: Path) -> int:
    """Writes the packed file of a record; returns its bytes."""
    image, mask, contract = record["image"], record.get("mask"), name.contract
    header = read_header(image)
    check_header(image, header, contract, record.get("tr"))
    seconds = header.repetition_time if record.get("tr") is None else record["tr"]
    selection = known_voxels(header, contract, mask_file=mask, source=image)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = None if selection is None else selection.voxels.numpy()
    with _frames_read_once(image, header, contract.trim, columns, path, name.reader) as (frames, content):
        _check_content(record, content)
        if selection is None:
            selection = choose_voxels(frames, header, contract, mask_file=mask, source=image)
        _refuse_empty(selection.mask, image)
        frames, voxels = clean(
            frames, selection.voxels, contract, image, record.get("confounds"), seconds, scratch=path.parent
        )
        numbers = measure(
            frames,
            voxels,
            slope=header.slope,
            intercept=header.intercept,
            encoding=encoding_of(name.encoding),
            background_elsewhere=not bool(selection.mask.all()),
            source=str(image),
        )
        runs = (packed for _, packed in packed_runs(frames, voxels, numbers))
        scan = CompactScan(
            values=torch.empty(0, len(voxels), dtype=numbers.dtype),
            mask=selection.mask,
            affine=torch.as_tensor(selection.affine, dtype=torch.float64),
            repetition_time=seconds,
            **numbers.fields(),
        )
        used = mask or find_mask(image, header) if contract.mask == "auto" else None
        table = confounds_table(contract.denoising, image, record.get("confounds"))
        facts = {
            "contract": contract.to_dict(),
            "parameters": name.parameters(),
            "source": describe_source(image, name.scan, header, content, used, record.get("tr"), table),
            "mask_source": selection.origin,
        }
        return write_packed(path, scan, facts, ValueRuns(numbers.dtype, (len(frames), len(voxels)), runs))


@contextmanager
def _frames_read_once(
    image: str | os.PathLike[str],
    header: ScanHeader,
    trim: int,
    voxels: np.ndarray | None,
    target: Path,
    reader: str | None,
) -> Iterator[tuple[StoredFrames, str]]:
    """The trimmed frames of a scan, and its content hash.

    A compressed scan is decompressed once; what is needed of it goes to a file beside the target, which is removed at
    the end. An uncompressed one is read where it lies.
    """
    if (reader or DEFAULT_READER) != DEFAULT_READER:
        yield read_frames(image, header, str(reader), trim), content_hash(image, header)
        return
    size = int(np.prod(header.spatial_shape))
    background = stored_zero(header.slope, header.intercept, header.dtype.kind in "iu")
    columns = None if voxels is None else columns_in_file(voxels, header.spatial_shape)
    offset = voxel_offset(image) + trim * size * header.dtype.itemsize
    count = header.num_frames - trim
    compressed = str(image).endswith(".gz")
    with (
        Spill(partial_path(target), header.dtype, size, columns, background)
        if compressed
        else open_rows(image, header.dtype, size, count, offset)
    ) as rows:
        content = VoxelHash()
        done = 0
        for run in stored_runs(image, header):
            content.update(run)
            kept = run[max(0, trim - done) :]
            done += len(run)
            if len(kept) and isinstance(rows, Spill):
                rows.add(kept)
            elif len(kept) and columns is None:
                rows.note_signal(kept, background)
        shape = (count, *header.spatial_shape)
        yield StoredFrames.from_rows(rows, shape, header.slope, header.intercept, trim), content.hexdigest()


def _refuse_empty(mask: torch.Tensor, image: str | os.PathLike[str]) -> None:
    if not bool(mask.any()):
        raise ScanError(
            f"{image}: the mask holds none of {mask.numel()} voxels, expected at least 1; "
            "give another mask, or a crop that does not cut the brain away."
        )


def _cannot_write(image: str | os.PathLike[str], packed_dir: str | os.PathLike[str], error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "free some space or choose another folder" if full else "choose a folder that you may write to"
    reason = error.strerror or type(error).__name__
    return f"{image}: cannot be packed into {packed_dir} ({reason}); {way_out} and start again."
