"""Finished runs without their networks: a baseline needs the datalist, the contract and how scans are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.contract import InputContract
from monai_tff.data import SplitPlan, build_datalist, read_bids, simulate_cohort, target_of, write_datalist
from monai_tff.data.overlap import UNLABELLED, split_hash
from monai_tff.data.simulate import PlantedEffect
from monai_tff.data.splits import SECTIONS


@pytest.fixture(scope="session")
def finished() -> Callable[..., FinishedRun]:
    """What `read_finished_run` gives: finished(folder, datalist, dataset_dir)."""

    def run(folder: Path, datalist: Path, dataset_dir: Path) -> FinishedRun:
        folder.mkdir(parents=True, exist_ok=True)
        size = json.loads((dataset_dir / "simulation.json").read_text("utf-8"))["spatial_size"]
        contract = InputContract(spatial_size=size, window_length=5, target=target_of(datalist))
        packing = {"packed_dir": None, "encoding": "int16", "reader": None}
        return FinishedRun(folder, datalist, dataset_dir, contract, packing, memory_map=False, flat=False, seed=4)

    return run


@pytest.fixture(scope="session")
def edited() -> Callable[..., None]:
    """Changes records of a datalist and hashes it anew: edited(path, change), with change(section, record)."""

    def edit(path: Path, change: Callable[[str, dict[str, Any]], object]) -> None:
        content = json.loads(path.read_text("utf-8"))
        for section in SECTIONS:
            for record in content[section]:
                change(section, record)
        content["split"]["hash"] = split_hash({name: content[name] for name in (*SECTIONS, UNLABELLED)})
        path.write_text(json.dumps(content), "utf-8")

    return edit


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory, finished: Callable[..., FinishedRun]) -> SimpleNamespace:
    """Runs on 80 subjects whose sexes differ in a regional mean, and whose diagnoses differ in a coupling."""
    folder = tmp_path_factory.mktemp("planted")
    scans = folder / "cohort"
    effects = {"sex": [PlantedEffect("regional_mean", 3.0)], "diagnosis": [PlantedEffect("network_coupling", 8.0)]}
    simulate_cohort(scans, num_subjects=80, voxel_size=20.0, num_frames=60, seed=3, num_sites=2, effects=effects)
    runs = {}
    for target in effects:
        content = build_datalist(
            read_bids(scans, target), target, dataset_dir=scans, plan=SplitPlan(ratios=(0.6, 0.15, 0.25))
        )
        write_datalist(content, folder / f"{target}.json")
        runs[target] = finished(folder / target, folder / f"{target}.json", scans)
    return SimpleNamespace(**runs)
