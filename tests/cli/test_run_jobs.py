"""Child processes: how many at a time, with which variables, and that none of them outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import psutil
import pytest
from distributed import LocalCluster

from monai_tff.cli import run_jobs as module
from monai_tff.cli.run_cluster import run_on_cluster
from monai_tff.cli.run_jobs import Job, cores_of_each, gpu_of, last_error, run_jobs, visible_gpus

SAY_VARIABLES = "import os; print(*[os.environ.get(n) for n in ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES')])"
WAIT_FOR_PARENT = "import time; from monai_tff.cli.run_member import end_with_parent; end_with_parent(); "


def job(folder: Path, name: str, code: str) -> Job:
    return Job(name, ("-c", code), folder / name / "log.txt")


def test_each_place_has_a_gpu_and_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "visible_gpus", lambda: ["4", "6"])
    monkeypatch.setattr("monai_tff.data.quality_workers.usable_cores", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS")
    # the first ends last, so that the fourth comes to another place
    waits = {"a": 0.6, "b": 0.0, "c": 0.0, "d": 0.0}
    jobs = [job(tmp_path, name, f"{SAY_VARIABLES}; import time; time.sleep({wait})") for name, wait in waits.items()]
    running: set[str] = set()
    most, ended = [0], []

    def on_start(job: Job) -> None:
        running.add(job.name)
        most[0] = max(most[0], len(running))

    def on_end(job: Job, code: int) -> None:
        running.discard(job.name)
        ended.append((job.name, code))

    run_jobs(jobs, 3, on_start, on_end)
    assert most == [3]
    assert sorted(ended) == [(name, 0) for name in "abcd"]
    said = {one.name: one.log.read_text().split() for one in jobs}
    assert [said[name] for name in "abc"] == [["2", "4"], ["2", "6"], ["2", "4"]]
    assert said["d"][0] == "2"
    assert ended[-1][0] == "a"


def test_the_users_choice_of_threads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert cores_of_each(2) == {}
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert int(cores_of_each(10_000)["OMP_NUM_THREADS"]) == 1


def test_gpus_are_those_that_the_user_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7")
    assert visible_gpus() == ["3", "GPU-7"]
    assert [gpu_of(place, ["3", "GPU-7"])["CUDA_VISIBLE_DEVICES"] for place in range(3)] == ["3", "GPU-7", "3"]
    assert gpu_of(1, []) == {}


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "good", "print('fine')"),
        job(tmp_path, "bad", "import sys; print('error: no such scan, take another'); sys.exit(1)"),
        job(tmp_path, "worse", "raise KeyError('x')"),
        job(tmp_path, "last", "print('fine')"),
    ]
    codes: dict[str, int] = {}
    run_jobs(jobs, 1, lambda job: None, lambda job, code: codes.update({job.name: code}))
    assert codes == {"good": 0, "bad": 1, "worse": 1, "last": 0}
    assert [last_error(one.log) for one in jobs] == ["fine", "no such scan, take another", "KeyError: 'x'", "fine"]
    run_jobs(jobs[:1], 1, lambda job: None, lambda job, code: None)
    assert jobs[0].log.read_text() == "fine\nfine\n"
    assert last_error(tmp_path / "none") == "it did not start"


def test_an_interruption_ends_all(tmp_path: Path) -> None:
    """Also one that does not want to, and the process that it started."""
    stubborn = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(os.getpid(), child.pid, flush=True); time.sleep(60)"
    )
    jobs = [job(tmp_path, "plain", "import os, time; print(os.getpid(), flush=True); time.sleep(60)")]
    jobs.append(job(tmp_path, "stubborn", stubborn))
    jobs.append(
        job(tmp_path, "trigger", f"import time; p = {str(jobs[1].log)!r}\nwhile not open(p).read(): time.sleep(.02)")
    )

    def interrupt(job: Job, code: int) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SECONDS_TO_END", 0.5)
        with pytest.raises(KeyboardInterrupt):
            run_jobs(jobs, 3, lambda job: None, interrupt)
    pids = [int(word) for one in jobs[:2] for word in one.log.read_text().split()]
    assert len(pids) == 3
    assert not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(found: Path) -> str:
    end = time.monotonic() + 60
    while not (found.is_file() and found.read_text().endswith("\n")) and time.monotonic() < end:
        time.sleep(0.02)
    return found.read_text()


def test_a_parent_that_is_killed_takes_its_children_with_it(tmp_path: Path) -> None:
    child = f"{WAIT_FOR_PARENT} import os; print(os.getpid(), flush=True); time.sleep(60)"
    parent = (
        "from pathlib import Path; from monai_tff.cli.run_jobs import Job, run_jobs; "
        f"job = Job('child', ('-c', {child!r}), Path({str(tmp_path / 'log')!r})); "
        "run_jobs([job], 1, lambda job: None, lambda job, code: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    pid = int(wait_for(tmp_path / "log"))
    assert is_alive(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_jobs_on_the_workers_of_a_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = [
        job(tmp_path, "good", "import os; print(os.getcwd(), os.environ.get('CUDA_VISIBLE_DEVICES'))"),
        job(tmp_path, "bad", "import sys; print('error: no'); sys.exit(3)"),
        job(tmp_path, "deadly", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"),
    ]
    started, codes = [], {}
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), LocalCluster(**options) as cluster:
        run_on_cluster(
            jobs,
            cluster.scheduler_address,
            1,
            lambda job: started.append(job.name),
            lambda job, code: codes.update({job.name: code}),
        )
    assert started == ["good", "bad", "deadly"]
    assert codes == {"good": 0, "bad": 3, "deadly": -1}
    assert jobs[0].log.read_text().split() == [str(tmp_path), "None"]
