"""Measures what the server adds to a prediction, and what 8 requests at once cost; run it where MONAI Label is.

    .venv-label/bin/python benchmarks/serve.py [--quick] [--output benchmarks/results]

A bundle of the paper's network size with random weights predicts a simulated scan of 50 x 50 x 34 x 100. The same
prediction is made over HTTP and in this process, in turns, so that other work on the machine meets both; each with one
thread of torch, whose threads otherwise wait for each other in other ways on a busy machine. Then 8 requests come at
once, and `/info` is asked meanwhile. Writes serve.json and serve.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests
import torch
import yaml
from machine import describe, in_words

from monai_tff.bundle.predictor import Predictor
from monai_tff.networks import TFFPredictor
from monai_tff.resources import bundles_folder

GRID, FRAMES, WINDOW = (50, 50, 34), 100, 20
AT_ONCE = 8


def make_bundle(folder: Path, grid: tuple[int, int, int], hidden_size: int) -> Path:
    """A bundle as a run makes it, with random weights."""
    shutil.copytree(bundles_folder() / "tff_fmri_prediction", folder / "bundle")
    path = folder / "bundle" / "configs" / "inference.yaml"
    config = yaml.safe_load(path.read_text())
    config["contract"] |= {"spatial_size": list(grid), "window_length": WINDOW}
    config["network_def"] |= {"spatial_size": list(grid), "hidden_size": hidden_size}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    torch.manual_seed(0)
    network = TFFPredictor(grid, num_outputs=1, hidden_size=hidden_size, code_normalisation=True)
    (folder / "bundle" / "models").mkdir()
    torch.save({"model": network.state_dict()}, folder / "bundle" / "models" / "model.pt")
    return folder / "bundle"


def make_scan(path: Path, grid: tuple[int, int, int], frames: int) -> Path:
    """An int16 scan whose brain is an ellipsoid."""
    generator = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, length) for length in grid), indexing="ij")
    brain = sum(axis**2 for axis in axes) < 0.8
    values = np.rint(9000 + 120 * generator.standard_normal((*grid, frames))) * brain[..., None]
    image = nib.Nifti1Image(values.astype(np.int16), np.diag([4.0, 4.0, 4.0, 1.0]))
    image.header.set_zooms((4.0, 4.0, 4.0, 2.0))
    path.parent.mkdir(parents=True)
    nib.save(image, path)
    return path


@contextmanager
def serving(bundle: Path, studies: Path) -> Iterator[tuple[str, int]]:
    """Address and process of a server."""
    words = [sys.executable, "-u", "-m", "monai_tff", "serve", str(bundle), "--studies", str(studies), "--port", "0"]
    words.append("--trust")  # it is made above
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=one) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"listening at (http://\S+)", line):
                    yield found[1], process.pid
                    break
        finally:
            process.terminate()


def peak(process: int, reset: bool = False) -> int:
    """The most bytes that a process had in memory since the last reset."""
    if reset:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def ask(url: str) -> tuple[float, int, Any]:
    began = time.perf_counter()
    answer = requests.post(f"{url}/infer/bundle", params={"image": "scan_bold"}, timeout=600)
    return time.perf_counter() - began, answer.status_code, answer.json()


def compare(url: str, bundle: Path, scan: Path, rounds: int) -> dict[str, Any]:
    """Seconds over HTTP and in this process, in turns; the first of both is left out."""
    predictor = Predictor(bundle)
    first = ask(url)[0]
    predictor.predict(scan)
    over_http, in_process = [], []
    for _ in range(rounds):
        seconds, status, answer = ask(url)
        assert status == 200, answer
        over_http.append(seconds)
        began = time.perf_counter()
        prediction = predictor.predict(scan)
        in_process.append(time.perf_counter() - began)
        assert answer["score"] == prediction.scores
    ratios = [one / other for one, other in zip(over_http, in_process, strict=True)]
    return {
        "first_seconds": round(first, 2),
        "second_seconds": round(over_http[0], 2),
        "http_seconds": round(statistics.median(over_http), 3),
        "process_seconds": round(statistics.median(in_process), 3),
        "ratio": round(statistics.median(ratios), 3),
        "largest_ratio": round(max(ratios), 3),
        "rounds": rounds,
    }


def at_once(url: str, process: int) -> dict[str, Any]:
    """8 requests at once: how they end, the memory beside that of one, and the slowest `/info` meanwhile."""
    peak(process, reset=True)
    one_seconds = ask(url)[0]
    one = peak(process)
    peak(process, reset=True)
    results: list[tuple[float, int, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(ask(url))) for _ in range(AT_ONCE)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    info = []
    while any(thread.is_alive() for thread in threads):
        asked = time.perf_counter()
        assert requests.get(f"{url}/info", timeout=60).status_code == 200
        info.append(time.perf_counter() - asked)
        time.sleep(0.05)
    return {
        "answered": sum(status == 200 for _, status, _ in results),
        "seconds": round(time.perf_counter() - began, 2),
        "one_seconds": round(one_seconds, 2),
        "one_peak_megabytes": round(one / 1e6),
        "peak_megabytes": round(peak(process) / 1e6),
        "info_asked": len(info),
        "info_slowest_seconds": round(max(info), 3),
    }


def table(found: dict[str, Any], machine: dict[str, str], grid: tuple[int, int, int], frames: int) -> str:
    alone, together = found["alone"], found["together"]
    rows = [
        ("first request, s", alone["first_seconds"]),
        ("second request, s", alone["second_seconds"]),
        (f"median of {alone['rounds']} requests, s", alone["http_seconds"]),
        ("median of the same predictions in this process, s", alone["process_seconds"]),
        ("ratio within a round, median (largest)", f"{alone['ratio']} ({alone['largest_ratio']})"),
        (f"answered of {AT_ONCE} requests at once", together["answered"]),
        ("their seconds, beside those of one", f"{together['seconds']}, {together['one_seconds']}"),
        (
            "memory at its most, MB, beside that of one",
            f"{together['peak_megabytes']}, {together['one_peak_megabytes']}",
        ),
        (f"slowest of {together['info_asked']} calls of /info meanwhile, s", together["info_slowest_seconds"]),
    ]
    return "\n".join(
        [
            "# Serving predictions",
            "",
            f"A scan of {' x '.join(map(str, (*grid, frames)))} (int16), windows of {WINDOW} frames, a network of "
            "the paper's size with random weights, one thread. The answers over HTTP are the numbers of this "
            "process, bit for bit. Run again with `.venv-label/bin/python benchmarks/serve.py`.",
            "",
            f"Machine: {in_words(machine)}; shared with other work while this ran.",
            "",
            "| what | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a small grid and network, 2 rounds")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    grid, frames, hidden, rounds = GRID, FRAMES, 2640, options.rounds
    if options.quick:
        grid, frames, hidden, rounds = (12, 12, 12), 40, 32, 2
    torch.set_num_threads(1)
    machine = describe("torch", "numpy", "monailabel", "starlette", "uvicorn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = make_bundle(folder, grid, hidden)
        scan = make_scan(folder / "studies" / "scan_bold.nii.gz", grid, frames)
        with serving(bundle, scan.parent) as (url, process):
            found = {"alone": compare(url, bundle, scan, rounds), "together": at_once(url, process)}
    options.output.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine, "grid": grid, "frames": frames, **found}, indent=4)
    (options.output / "serve.json").write_text(content + "\n")
    text = table(found, machine, grid, frames)
    (options.output / "serve.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
