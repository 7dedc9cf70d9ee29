"""Dask schedulers: started here, of jobs of Slurm, or running already and given by an address.

Dask is the extra `cluster`; nothing of it is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from monai_tff.errors import ConfigError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy import Cluster

SCHEDULER_SECONDS = 5.0
"""How long a scheduler may take to answer."""

WORKER_SECONDS = 120.0
"""How long a scheduler given by its address may be without any worker."""

WORKER_MEMORY = "4GB"
"""Memory of a Slurm job where dask's files name none."""

# without a dashboard dask still serves pages about itself: from any free port, to this machine alone
_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
_NO_WORKER_DASHBOARD = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+:\d+")
_SLURM_FILE = "~/.config/dask/jobqueue.yaml"


def check_scheduler(text: str) -> None:
    """Refuses a scheduler that there is none of, before any work is done.

    Args:
        text: `local`, `slurm`, or an address such as `tcp://node1:8786`.

    Raises:
        ConfigError: for another text, or where dask or `sbatch` is not installed.
    """
    if text not in ("local", "slurm") and not _ADDRESS.fullmatch(text):
        raise ConfigError(
            f"scheduler is '{text}', expected local, slurm, or the address of a Dask scheduler such as "
            "tcp://node1:8786."
        )
    for package in ("distributed", *(["dask_jobqueue"] if text == "slurm" else [])):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"scheduler is '{text}', which needs {package.replace('_', '-')}, found no such package ({error}); "
                "install it with: pip install 'monai_tff[cluster]', or leave the scheduler out to use this machine."
            ) from error
    if text == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError(
            "scheduler is 'slurm', but there is no command sbatch, expected a machine from which jobs can be "
            "submitted; run this on a login node, or use another scheduler."
        )


@contextlib.contextmanager
def scheduler_client(scheduler: str, workers: int, lost_workers: int) -> Iterator[Client]:
    """A client of a scheduler; what was started for it ends with the block.

    Args:
        scheduler: `local`, `slurm` or an address.
        workers: processes to start, of one thread each; not for an address.
        lost_workers: workers that a task may lose before it fails; a scheduler with an address has its own number.

    Raises:
        ConfigError: for a scheduler that does not answer, or jobs that Slurm refuses.
    """
    import dask
    from distributed import Client

    with contextlib.ExitStack() as stack:
        # no scan waits at a worker that is busy with another: it would be lost with it
        options = {"allowed-failures": lost_workers, "worker-saturation": 1.0}
        stack.enter_context(dask.config.set({f"distributed.scheduler.{key}": value for key, value in options.items()}))
        target: Cluster | str = scheduler
        if scheduler == "local":
            target = stack.enter_context(_local_cluster(workers))
        elif scheduler == "slurm":
            target = stack.enter_context(_slurm_cluster(workers))
        try:
            client = Client(target, timeout=SCHEDULER_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"scheduler {scheduler} does not answer within {SCHEDULER_SECONDS:g} s ({_first_line(error)}), "
                "expected a Dask scheduler at this address; start one with: dask scheduler, or use local or slurm."
            ) from error
        yield stack.enter_context(client)


def wait_for_worker(client: Client, scheduler: str) -> None:
    """Waits for the first worker, after the tasks are queued: some schedulers start workers for tasks alone.

    Jobs may wait in Slurm's queue for as long as it takes.

    Raises:
        ConfigError: when a scheduler with an address has none for two minutes, or Slurm took no job.
    """
    while True:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
            return
        except TimeoutError as error:
            if scheduler != "slurm":
                raise ConfigError(
                    f"scheduler {scheduler} had no worker for {WORKER_SECONDS:g} s, expected at least 1; start some "
                    f"with: dask worker {scheduler} --nthreads 1"
                ) from error
            # jobs that Slurm took are workers to come
            if not any(job.job_id for job in client.cluster.workers.values()):
                raise ConfigError(
                    "scheduler is 'slurm', but sbatch took none of its jobs (its message is above), expected at "
                    "least 1; wait until jobs of yours have ended, or ask for fewer workers."
                ) from error


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[Cluster]:
    """Processes of this machine, reachable from it alone; one that dies is replaced."""
    import dask
    from distributed import LocalCluster
    from distributed.utils import get_mp_context

    # a server that has imported everything once hands out processes in milliseconds, also in place of lost ones
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(["distributed", "monai_tff.data.cluster"])
        with LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs=_NO_DASHBOARD,
            # preparing bounds its memory itself, and pages of files, which dask counts too, are no reason to end it
            memory_limit=None,
            silence_logs=logging.ERROR,
        ) as cluster:
            yield cluster


@contextlib.contextmanager
def _slurm_cluster(workers: int) -> Iterator[Cluster]:
    """Jobs of Slurm, one worker each, submitted again when one ends before the work does.

    Queue, account, walltime and memory are those of dask's files. Jobs of several workers are not made: dask does not
    notice when such a job is lost.
    """
    import dask
    from dask_jobqueue import SLURMCluster
    from distributed import Security

    options = dask.config.get("jobqueue.slurm")
    security = Security()
    try:
        cluster = SLURMCluster(
            cores=1,
            processes=1,
            memory=options.get("memory") or WORKER_MEMORY,
            worker_extra_args=[*(options.get("worker-extra-args") or []), *_NO_WORKER_DASHBOARD],
            scheduler_options={**_NO_DASHBOARD, **(options.get("scheduler-options") or {})},
            security=security if security.require_encryption else None,
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"scheduler is 'slurm', but {_SLURM_FILE} does not describe a job ({_first_line(error)}), expected queue, "
            "account, walltime and memory under jobqueue: slurm:, as docs/how_to/prepare_on_a_cluster.md shows."
        ) from error
    try:
        _check_job(cluster.job_script())
        # a fixed number, but adaptive: jobs that reach their time limit are submitted anew
        cluster.adapt(minimum=workers, maximum=workers)
        yield cluster
    finally:
        # it asserts that every job was submitted, which must not hide why one was not
        with contextlib.suppress(AssertionError):
            cluster.close()


def _check_job(script: str) -> None:
    """Lets Slurm check a job without running it: refused jobs would leave the scheduler waiting for ever."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(
            f"scheduler is 'slurm', but sbatch refuses its jobs ({' '.join((done.stderr or done.stdout).split())}), "
            f"expected a job that this cluster takes; correct the options in {_SLURM_FILE}."
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":. ")
