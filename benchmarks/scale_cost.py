"""Cost of preparing one scan, measured in a process of its own, and what whole cohorts follow to need."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from example_scan import GRID, write_scan
from machine import memory_facts

OWN_GRID = (88, 88, 64)
SMALL_GRID = (31, 37, 31)

SIZES: dict[str, dict[str, Any]] = {
    "MNI 2 mm, 150 frames": {"grid": GRID, "frames": 150, "dtype": "float32"},
    "MNI 2 mm, 490 frames": {"grid": GRID, "frames": 490, "dtype": "float32"},
    "MNI 2 mm, 490 frames, clean_img:simple": {"grid": GRID, "frames": 490, "dtype": "float32", "denoise": True},
    "88 x 88 x 64, 490 frames": {"grid": OWN_GRID, "frames": 490, "dtype": "int16"},
    "MNI 2 mm, 1200 frames": {"grid": GRID, "frames": 1200, "dtype": "float32"},
}
QUICK = {
    "small": {"grid": SMALL_GRID, "frames": 40, "dtype": "float32"},
    "small, clean_img:simple": {"grid": SMALL_GRID, "frames": 40, "dtype": "float32", "denoise": True},
}
ENCODINGS = ("int16", "int8")
COHORTS = {
    "HCP S1200, 1,200 subjects x 4 runs": ("MNI 2 mm, 1200 frames", 4800),
    "UK Biobank, 40,000 subjects, MNI 2 mm": ("MNI 2 mm, 490 frames", 40000),
    "UK Biobank, the same, denoised": ("MNI 2 mm, 490 frames, clean_img:simple", 40000),
    "UK Biobank, 40,000 subjects, own grid": ("88 x 88 x 64, 490 frames", 40000),
}
"""What each cohort is made of: a size above, and the number of its scans if every subject has all."""


def write_confounds(path: Path, num_frames: int) -> None:
    """A table of old fMRIPrep: 24 regressors of motion, 2 of tissue, and cosines follow from it."""
    random = np.random.default_rng(0)
    names = ("X", "Y", "Z", "RotX", "RotY", "RotZ", "CSF", "WhiteMatter")
    table = {name: np.cumsum(random.normal(0, 0.05, num_frames)) for name in names}
    pd.DataFrame(table).to_csv(path, sep="\t", index=False)


def measure_here(image: Path, encoding: str, folder: Path, denoising: str) -> dict[str, float]:
    """Packs a scan in this process."""
    import torch

    from monai_tff.contract import InputContract
    from monai_tff.data.header import read_header
    from monai_tff.data.prepare import prepare_scan

    torch.set_num_threads(1)
    if denoising != "none":
        # the first call imports them, which is no part of the cost of a scan
        import nilearn.glm.first_level
        import nilearn.interfaces.fmriprep  # noqa: F401
    size = read_header(image).spatial_shape
    contract = InputContract(size, 1, mask="nonzero", axis_codes=None, denoising=denoising)
    confounds = image.with_name("confounds.tsv") if denoising != "none" else None
    before = memory_facts()["now"]
    result, used = timed(
        lambda: prepare_scan({"image": str(image), "confounds": confounds}, folder, contract, encoding)
    )
    if result.status != "packed":
        raise RuntimeError(result.sentence)
    peak = memory_facts()["peak"]
    return {
        "seconds": result.seconds,
        "cpu_seconds": used,
        "memory": peak - before,
        "peak": peak,
        "bytes": result.num_bytes,
    }


def timed(work: Any) -> tuple[Any, float]:
    """What a function returns, and the processor's seconds that it took."""
    import time

    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def measure_sizes(sizes: Mapping[str, Mapping[str, Any]], folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Medians over the rounds, each in a fresh process; a scan is written once for all that use it."""
    rows = []
    written: tuple[Any, ...] | None = None
    image, voxels = folder / "scan.nii.gz", 0
    for name, size in sizes.items():
        wanted = (size["grid"], size["frames"], size["dtype"])
        if written != wanted:
            voxels = write_scan(image, size["frames"], size["dtype"], grid=size["grid"])
            write_confounds(folder / "confounds.tsv", size["frames"])
            written = wanted
        denoising = "clean_img:simple" if size.get("denoise") else "none"
        for encoding in ENCODINGS:
            runs = [_in_process(image, encoding, folder / "packed", denoising) for _ in range(rounds)]
            values = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            rows.append(
                {
                    "size": name,
                    "encoding": encoding,
                    "voxels": voxels,
                    "source_bytes": image.stat().st_size,
                    "bytes": int(values["bytes"]),
                    "seconds": round(values["seconds"], 2),
                    "cpu_seconds": round(values["cpu_seconds"], 2),
                    "memory": int(values["memory"]),
                    "peak": int(values["peak"]),
                }
            )
    return rows


def _in_process(image: Path, encoding: str, folder: Path, denoising: str) -> dict[str, float]:
    image.read_bytes()  # from the page cache, whatever ran before
    script = Path(__file__).with_name("scale.py")
    arguments = ["--measure", encoding, "--image", str(image), "--folder", str(folder), "--denoising", denoising]
    run = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=True)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    return json.loads(run.stdout.splitlines()[-1])


def needs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each cohort needs: disk, hours of one core, and workers to be done within a day."""
    measured = {(row["size"], row["encoding"]): row for row in rows}
    found = []
    for cohort, (size, scans) in COHORTS.items():
        if (size, "int16") not in measured:
            continue
        int16, int8 = measured[size, "int16"], measured[size, "int8"]
        hours = scans * int16["cpu_seconds"] / 3600
        workers = max(1, math.ceil(hours / 24))
        found.append(
            {
                "cohort": cohort,
                "scans": scans,
                "int16_terabytes": round(scans * int16["bytes"] / 1e12, 2),
                "int8_terabytes": round(scans * int8["bytes"] / 1e12, 2),
                "core_hours": round(hours, 1),
                "workers_for_a_day": workers,
                "memory_per_worker_gigabytes": round(int16["peak"] / 1e9, 1),
                "source_terabytes": round(scans * int16["source_bytes"] / 1e12, 2),
                "read_megabytes_per_second": round(scans * int16["source_bytes"] / 1e6 / 86400, 1),
            }
        )
    return found
