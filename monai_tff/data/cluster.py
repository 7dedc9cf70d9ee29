"""Preparing scans on many machines: each scan is one task of a Dask scheduler, and a lost worker's scans are redone.

Workers read the scans and write the packed files themselves, so that both folders must be the same on every machine;
only paths and results go over the network. Packed files are written atomically and are never written twice, and so a
scan that two workers prepare, because one was thought lost, is as right as any other.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_tff.contract import InputContract
from monai_tff.data.packed_leftovers import remove_leftovers
from monai_tff.data.prepare import PreparedScan, prepare_scan, unforeseen
from monai_tff.data.schedulers import check_scheduler, scheduler_client, wait_for_worker
from monai_tff.errors import ScanError

if TYPE_CHECKING:
    from distributed import Client, Future

LOST_WORKERS = 3
"""Workers that a scan may lose before it is packed alone, and then again: it must not end workers for ever."""


def prepare_on_cluster(
    records: Sequence[Mapping[str, Any]],
    packed_dir: str | Path,
    contract: InputContract,
    *,
    encoding: str = "int16",
    scheduler: str = "local",
    workers: int = 1,
    reader: str | None = None,
    verify: bool = False,
    on_done: Callable[[PreparedScan], None] | None = None,
) -> list[PreparedScan]:
    """Packs scans on the workers of a Dask scheduler.

    Args:
        records: of `monai_tff.data.datalist.load_records`, with paths that every worker can open.
        packed_dir: folder of packed scans, the same on every machine.
        contract: the input contract.
        encoding: `int16`, `int8` or `float32`.
        scheduler: `local` (processes of this machine), `slurm` (jobs as `~/.config/dask/jobqueue.yaml` describes them)
            or the address of a running scheduler.
        workers: processes to start, of one thread each; a scheduler given by its address has its own.
        reader: name of the MONAI reader.
        verify: compare files that are there with their checksums.
        on_done: called here after each scan.

    Returns:
        One result per record, in their order. A scan that failed, or that lost its worker too often, has the status
        `failed` and a sentence; the others are done all the same.

    Raises:
        ConfigError: for an unknown scheduler, one that does not answer or has no worker, or jobs that are refused.
    """
    check_scheduler(scheduler)
    if not records:
        return []
    remove_leftovers(Path(packed_dir))
    task = functools.partial(
        _prepare,
        packed_dir=os.path.abspath(packed_dir),
        contract=contract,
        encoding=encoding,
        reader=reader,
        verify=verify,
    )
    with scheduler_client(scheduler, min(workers, len(records)), LOST_WORKERS) as client:
        results = _results(client, scheduler, task, [dict(record) for record in records], on_done)
    remove_leftovers(Path(packed_dir))
    return results


def _prepare(record: Mapping[str, Any], **options: Any) -> PreparedScan:
    """What a worker does, in one thread: every core has a worker of its own."""
    import torch

    torch.set_num_threads(1)
    return prepare_scan(record, **options)


def _results(
    client: Client,
    scheduler: str,
    task: Callable[..., PreparedScan],
    records: Sequence[dict[str, Any]],
    on_done: Callable[[PreparedScan], None] | None,
) -> list[PreparedScan]:
    from distributed import as_completed

    results: dict[int, PreparedScan] = {}

    def done(position: int, future: Future) -> None:
        results[position] = _outcome(future, records[position])
        # a result that a worker still holds would be made anew with the worker
        future.release()
        if on_done is not None:
            on_done(results[position])

    futures = client.map(task, records, pure=False, key="prepare_scan")
    positions = {future.key: position for position, future in enumerate(futures)}
    wait_for_worker(client, scheduler)
    suspects = []
    for future in as_completed(futures, loop=client.loop):
        if _lost_its_workers(future):
            suspects.append(positions[future.key])
        else:
            done(positions[future.key], future)
    # a scan may have shared its workers with the one that ended them
    for position in suspects:
        done(position, client.submit(task, records[position], pure=False))
    return [results[position] for position in range(len(records))]


def _lost_its_workers(future: Future) -> bool:
    from distributed import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _outcome(future: Future, record: Mapping[str, Any]) -> PreparedScan:
    """The result of a scan; whatever went wrong with its worker is a sentence of this scan alone."""
    image = record["image"]
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        error: Exception = ScanError(
            f"{image}: was not packed because the scheduler was lost, expected it to run until the last scan is done; "
            "start the same command again, what is packed already is kept."
        )
    except Exception as raised:
        error = raised
    if _lost_its_workers(future):
        error = ScanError(
            f"{image}: {LOST_WORKERS + 1} workers were lost while they packed it alone, expected one to end by itself; "
            "give the workers more memory and start again."
        )
    return unforeseen(record, error)
