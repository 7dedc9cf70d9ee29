"""Jobs on the workers of a Dask scheduler, each as a child process of its worker, with a log.

The folders of cohort and runs must be the same on every machine; only arguments and exit codes go over the network.
Cores and GPUs of `slurm` and of an address are those that the workers' environment shows. Dask sets OMP_NUM_THREADS to
1 there, unless its `distributed.nanny.pre-spawn-environ` says something else.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from monai_tff.cli.run_jobs import Job, cores_of_each, end_all, gpu_of, start, visible_gpus
from monai_tff.data.schedulers import scheduler_client, wait_for_worker

LOST_WORKERS = 1
"""Workers that a job may lose before it fails; it goes on where the lost one stopped."""

WORKER_LOST = -1
"""Exit code of a job whose workers were lost."""


def run_on_cluster(
    jobs: Sequence[Job],
    scheduler: str,
    workers: int,
    on_start: Callable[[Job], None],
    on_end: Callable[[Job, int], None],
) -> None:
    """Runs jobs on the workers of a Dask scheduler.

    Args:
        jobs: what to run.
        scheduler: `local`, `slurm` or an address, see `monai_tff.data.schedulers`.
        workers: processes to start, each of which runs one job at a time; a scheduler given by its address has its own.
        on_start: called as a job is handed to the scheduler.
        on_end: called with the exit code as a job ends.

    Raises:
        ConfigError: for a scheduler that does not answer or has no worker, or jobs that Slurm refuses.
    """
    from distributed import KilledWorker, as_completed

    local = scheduler == "local"
    workers = min(workers, len(jobs))
    # found here: Dask's workers have variables of their own
    cores, gpus = (cores_of_each(workers), visible_gpus()) if local else ({}, [])
    with scheduler_client(scheduler, workers, LOST_WORKERS) as client:
        futures, named = [], {}
        for job in jobs:
            on_start(job)
            futures.append(client.submit(run_in_worker, job, str(Path.cwd()), cores, gpus, pure=False))
            named[futures[-1].key] = job
        wait_for_worker(client, scheduler)
        for future in as_completed(futures, loop=client.loop):
            try:
                code = future.result()
            except (KilledWorker, concurrent.futures.CancelledError):
                code = WORKER_LOST
            # a result that a worker still holds would be made anew with the worker
            future.release()
            on_end(named[future.key], code)


def run_in_worker(job: Job, folder: str, environment: Mapping[str, str], gpus: Sequence[str]) -> int:
    """What a worker does: it waits for a child process, which ends when the worker does.

    Args:
        job: what to run.
        folder: to run it in.
        environment: what is set besides the variables of the worker.
        gpus: that workers of one machine share; none where the scheduler sees to them.

    Returns:
        The exit code.
    """
    from distributed import get_worker

    place = int(get_worker().name) if gpus else 0
    process = start(job, {**environment, **gpu_of(place, gpus)}, folder)
    try:
        return process.wait()
    finally:
        end_all([process])
