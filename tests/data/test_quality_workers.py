"""Reading in several processes: the same facts, and no scan is lost when a process is killed."""

from __future__ import annotations

import multiprocessing
import threading

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.quality_facts import ScanFacts, ScanJob, read_facts
from monai_tff.data.quality_workers import KILLED, read_all


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[ScanJob]:
    folder = tmp_path_factory.mktemp("scans")
    paths = [folder / f"sub-{number}_bold.nii.gz" for number in range(7)]
    for number, path in enumerate(paths):
        values = np.random.default_rng(number).integers(1, 900, (7, 8, 9, 4)).astype(np.int16)
        nib.Nifti1Image(values, np.eye(4)).to_filename(path)
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    return [ScanJob(str(path)) for path in paths]


def comparable(facts: list[ScanFacts]) -> list[dict]:
    return [{key: value for key, value in found.to_dict().items() if key != "seconds"} for found in facts]


@pytest.mark.parametrize("workers", [1, 2])
def test_facts_come_in_the_order_of_the_jobs(jobs: list[ScanJob], workers: int) -> None:
    told: dict[int, ScanFacts] = {}
    found = read_all(jobs, workers, told.__setitem__)
    assert comparable(found) == comparable([read_facts(job) for job in jobs])
    assert [told[number] for number in range(7)] == found
    assert [facts.error is not None for facts in found] == [number == 3 for number in range(7)]


def test_a_killed_process_costs_no_scan(jobs: list[ScanJob]) -> None:
    killed = []

    def kill_one(number: int, facts: ScanFacts) -> None:
        if not killed:
            killed.append(number)
            multiprocessing.active_children()[0].kill()

    found = read_all(jobs, 2, kill_one)
    assert comparable(found) == comparable([read_facts(job) for job in jobs])


def test_scans_whose_process_is_always_killed_are_named(jobs: list[ScanJob]) -> None:
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.01):
            for child in multiprocessing.active_children():
                child.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        found = read_all(jobs[:2], 2)
    finally:
        over.set()
        killer.join()
    assert [facts.error for facts in found] == [KILLED, KILLED]


def test_no_jobs_give_no_facts() -> None:
    assert read_all([], 2) == []
