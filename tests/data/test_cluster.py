"""Preparing on real Dask schedulers and workers: started here, given by an address, or as jobs of a stand-in of Slurm.

About 40 s: a Python process that imports torch and MONAI takes several seconds to start, and there are ten of them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import nibabel as nib
import numpy as np
import psutil
import pytest
import torch

from monai_tff.contract import InputContract
from monai_tff.data import cluster, schedulers
from monai_tff.data.cluster import prepare_on_cluster
from monai_tff.data.loading import load_scan
from monai_tff.data.packed import PackedName, open_packed, verify_packed
from monai_tff.data.prepare import PreparedScan
from monai_tff.data.schedulers import check_scheduler
from monai_tff.errors import ConfigError

GRID, FRAMES = (7, 8, 9), 24
CONTRACT = InputContract(GRID, 20, trim=2, mask="nonzero", axis_codes=None)

SBATCH = """#!/bin/sh
# runs a job on this machine, as Slurm does on another
[ "$1" = --test-only ] && exit {test_status}
[ {submit_status} = 0 ] || {{ echo "QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }}
cp "$1" "{folder}/$$.sh"
setsid sh "{folder}/$$.sh" > "{folder}/$$.log" 2>&1 &
echo "Submitted batch job $!" | tee -a "{folder}/submitted"
"""
SCANCEL = '#!/bin/sh\necho "$1" >> "{folder}/cancelled"\nkill -TERM -- "-$1"\n'


def scans(folder: Path, count: int) -> list[dict]:
    """Records of scans with zeros outside a box, so that the mask is not the grid."""
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    records = []
    for number in range(count):
        values = np.zeros((*GRID, FRAMES), np.int16)
        values[:, 1:-1] = random.integers(1, 900, (7, 6, 9, FRAMES))
        image = folder / f"sub-{number:02d}_task-rest_bold.nii"
        nib.save(nib.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0])), image)
        records.append({"image": str(image), "scan": image.name, "mask": None, "tr": 2.0})
    return records


def packed_path(record: dict, packed_dir: Path) -> Path:
    return PackedName.of_record(record["image"], CONTRACT, scan=record["scan"], encoding="int16").path(packed_dir)


def assert_every_file_is_right(records: list[dict], packed_dir: Path) -> None:
    """Whole, of the right values, and nothing else in the folder."""
    paths = [packed_path(record, packed_dir) for record in records]
    assert sorted(packed_dir.iterdir()) == sorted(paths)
    for record, path in zip(records, paths, strict=True):
        verify_packed(path)
        wanted, _ = load_scan(record["image"], CONTRACT, repetition_time=2.0)
        found = open_packed(path)
        assert torch.equal(found.mask, wanted.mask)
        torch.testing.assert_close(found.unpack(), wanted.unpack(), rtol=0, atol=0)


def worker_processes() -> list[psutil.Process]:
    """Workers of a local cluster: what the server that this process started has handed out."""
    servers = [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]
    return [worker for server in servers for worker in server.children()]


def listening_at(process: psutil.Process) -> set[str]:
    """Addresses at which a process takes connections."""
    return {each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}


def test_a_worker_that_is_killed_half_way_loses_nothing(tmp_path: Path) -> None:
    records = scans(tmp_path / "cohort", 40)
    records.insert(7, {"image": str(tmp_path / "none.nii"), "scan": "none.nii"})
    packed, killed, done, reachable = tmp_path / "packed", [], [], set()

    def on_done(result: PreparedScan) -> None:
        done.append(result)
        if len(done) == 20:
            victim = worker_processes()[0]
            reachable.update(listening_at(psutil.Process()) | listening_at(victim))
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)

    results = prepare_on_cluster(records, packed, CONTRACT, scheduler="local", workers=2, on_done=on_done)
    assert len(killed) == 1
    assert reachable == {"127.0.0.1"}
    assert [result.scan for result in results] == [record["scan"] for record in records]
    assert sorted(done) == sorted(results)
    failed = results.pop(7)
    assert failed.status == "failed"
    assert failed.sentence.startswith(f"{tmp_path / 'none.nii'}: there is no such file")
    # a scan that was just done when its worker died is found there by the next one
    assert {result.status for result in results} <= {"packed", "present"}
    assert [result.num_bytes for result in results] == [
        packed_path(r, packed).stat().st_size for r in records if r != records[7]
    ]
    assert_every_file_is_right(records[:7] + records[8:], packed)
    # started again there is nothing left to do
    again = prepare_on_cluster(records[:7], packed, CONTRACT, scheduler="local", workers=1)
    assert {result.status for result in again} == {"present"}


class Deadly:
    """The name of a scan that ends every process which reads it, but for the one that made it."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __str__(self) -> str:
        if os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return "deadly.nii"


def test_a_scan_that_ends_its_workers_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "LOST_WORKERS", 1)
    records = scans(tmp_path / "cohort", 3)
    deadly = {"image": str(tmp_path / "deadly.nii"), "scan": Deadly()}
    # so few scans that dask hands them all out at once: those behind the deadly one lose their workers with it
    results = prepare_on_cluster([deadly, *records], tmp_path / "packed", CONTRACT, workers=2)
    assert [result.status == "failed" for result in results] == [True, False, False, False]
    assert results[0].sentence.startswith(f"{tmp_path / 'deadly.nii'}: 2 workers were lost while they packed it alone")
    assert_every_file_is_right(records, tmp_path / "packed")


class started:  # noqa: N801 - reads as a sentence
    """A process that ends with the block."""

    def __init__(self, module: str, *arguments: str, log: Path) -> None:
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=file, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> subprocess.Popen:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


def wait_for(log: Path, text: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_a_scheduler_given_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, packed = scans(tmp_path / "cohort", 40), tmp_path / "packed"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    place = ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    with started("distributed.cli.dask_scheduler", *place, log=tmp_path / "scheduler.log") as scheduler:
        wait_for(tmp_path / "scheduler.log", "Scheduler at")
        with monkeypatch.context() as patch:
            patch.setattr(schedulers, "WORKER_SECONDS", 0.2)
            with pytest.raises(ConfigError, match=rf"scheduler {address} had no worker for 0\.2 s, .* dask worker"):
                prepare_on_cluster(records[:1], packed, CONTRACT, scheduler=address)
        worker = [address, "--nthreads", "1", "--no-dashboard"]
        with started("distributed.cli.dask_worker", *worker, log=tmp_path / "worker.log"):
            results = prepare_on_cluster(records[:4], packed, CONTRACT, scheduler=address)
            assert [result.status for result in results] == ["packed"] * 4
            assert_every_file_is_right(records[:4], packed)
            monkeypatch.setattr(schedulers, "SCHEDULER_SECONDS", 1.0)
            lost = prepare_on_cluster(
                records, packed, CONTRACT, scheduler=address, on_done=lambda result: scheduler.kill()
            )
    # it was lost after the first result; what workers had begun may still have been written
    assert lost[0].status == "present"
    assert lost[-1].status == "failed"
    assert "was not packed because the scheduler was lost" in lost[-1].sentence
    for path in packed.iterdir():
        verify_packed(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("slrum", "scheduler is 'slrum', expected local, slurm, or the address"),
        ("tcp://node1", "scheduler is 'tcp://node1', expected local, slurm, or the address"),
        ("slurm", "there is no command sbatch, expected a machine from which jobs can be submitted"),
    ],
)
def test_unknown_schedulers_are_refused(text: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=sentence):
        check_scheduler(text)


@pytest.mark.parametrize(
    ("text", "module", "package"),
    [("local", "distributed", "distributed"), ("slurm", "dask_jobqueue", "dask-jobqueue")],
)
def test_without_dask_the_extra_is_named(text: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"'{text}', which needs {package}, .*pip install 'monai_tff\[cluster\]'"):
        check_scheduler(text)


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers, "SCHEDULER_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"scheduler {place} does not answer within 0\.3 s .*dask scheduler"):
            prepare_on_cluster([{"image": "a.nii"}], tmp_path, CONTRACT, scheduler=place)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Puts a stand-in of Slurm on the path: `sbatch` runs the job's script as a process group of this machine."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    write_sbatch(folder)
    (folder / "scancel").write_text(SCANCEL.format(folder=folder))
    (folder / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    loopback = next(name for name in psutil.net_if_addrs() if name.startswith("lo"))
    with dask.config.set({"jobqueue.slurm.interface": loopback, "jobqueue.slurm.account": "imaging"}):
        yield folder


def write_sbatch(folder: Path, test_status: int = 0, submit_status: int = 0) -> None:
    text = SBATCH.format(folder=folder, test_status=test_status, submit_status=submit_status)
    (folder / "sbatch").write_text(text)
    (folder / "sbatch").chmod(0o755)


def numbers(file: Path) -> list[str]:
    return [line.split()[-1] for line in file.read_text().splitlines()]


def test_jobs_of_slurm_that_are_lost_are_submitted_again(tmp_path: Path, slurm: Path) -> None:
    records = scans(tmp_path / "cohort", 30)
    killed: list[int] = []

    def on_done(result: PreparedScan) -> None:
        if not killed:
            killed.append(int(numbers(slurm / "submitted")[0]))
            os.killpg(killed[0], signal.SIGKILL)

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "500ms"}):
        results = prepare_on_cluster(
            records, tmp_path / "packed", CONTRACT, scheduler="slurm", workers=1, on_done=on_done
        )
    assert {result.status for result in results} <= {"packed", "present"}
    assert_every_file_is_right(records, tmp_path / "packed")
    jobs = numbers(slurm / "submitted")
    assert len(jobs) == 2
    assert jobs[1] in numbers(slurm / "cancelled")
    script = next(slurm.glob("*.sh")).read_text()
    for wanted in (
        "#SBATCH -A imaging",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --mem=4G",
        "--nthreads 1",
        "--no-dashboard",
    ):
        assert wanted in script


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ({"test_status": 1}, "sbatch refuses its jobs .*correct the options in ~/.config/dask/jobqueue.yaml"),
        ({"submit_status": 1}, "sbatch took none of its jobs .*wait until jobs of yours have ended"),
    ],
)
def test_jobs_that_slurm_refuses(
    tmp_path: Path, slurm: Path, statuses: dict, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedulers, "WORKER_SECONDS", 1.0)
    write_sbatch(slurm, **statuses)
    with pytest.raises(ConfigError, match=sentence):
        prepare_on_cluster(scans(tmp_path / "cohort", 1), tmp_path / "packed", CONTRACT, scheduler="slurm")
    assert not (slurm / "submitted").exists()


def test_options_of_slurm_that_make_no_job(tmp_path: Path, slurm: Path) -> None:
    with (
        dask.config.set({"jobqueue.slurm.memory": "plenty"}),
        pytest.raises(
            ConfigError, match=r"jobqueue\.yaml does not describe a job .*queue, account, walltime and memory"
        ),
    ):
        prepare_on_cluster(scans(tmp_path / "cohort", 1), tmp_path / "packed", CONTRACT, scheduler="slurm")


def test_no_records_need_no_scheduler(tmp_path: Path) -> None:
    assert prepare_on_cluster([], tmp_path, CONTRACT) == []
