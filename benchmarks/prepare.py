"""Packs one scan with `prepare` and with the published procedure: seconds, memory and bytes on disk.

    python benchmarks/prepare.py [--frames 150] [--long-frames 1200] [--rounds 5] [--output benchmarks/results]
    python benchmarks/prepare.py --quick    # seconds, small scans: to see that it runs

Every measurement is a process of its own with one torch thread; contestants take turns in alternating order, and
numbers are medians over rounds. Seconds run from after the imports to the last file on disk. Memory is the peak of the
process (VmHWM) less what it had after its imports (VmRSS), so that the size of imported packages does not count; the
peak with them stands beside it. Writes prepare.json and prepare.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from example_scan import GRID, write_scan
from machine import describe, in_words, memory_facts
from published_files import CROP, TRIM, write_frames

CONTESTANTS = ("int16", "int8", "float32", "published")
SMALL_GRID = (31, 37, 31)


def measure(contestant: str, image: Path, folder: Path) -> dict[str, float]:
    """Runs one contestant in this process."""
    import torch

    from monai_tff.contract import InputContract
    from monai_tff.data.header import read_header
    from monai_tff.data.prepare_scan import prepare_scan
    from monai_tff.transforms.spatial import cropped_size

    torch.set_num_threads(1)
    crop = [[bounds.start, bounds.stop] for bounds in CROP]
    size = cropped_size(read_header(image).spatial_shape, crop)
    contract = InputContract(spatial_size=size, window_length=1, crop=crop, trim=TRIM, axis_codes=None, mask="nonzero")
    before, processor, start = memory_facts()["now"], time.process_time(), time.perf_counter()
    if contestant == "published":
        num_bytes = write_frames(image, folder)
    else:
        result = prepare_scan({"image": str(image)}, folder, contract, contestant)
        assert result.status == "packed", result.sentence
        num_bytes = result.num_bytes
    seconds = time.perf_counter() - start
    processor = time.process_time() - processor
    peak = memory_facts()["peak"]
    return {"seconds": seconds, "processor": processor, "memory": peak - before, "peak": peak, "bytes": num_bytes}


def in_process(contestant: str, image: Path, folder: Path) -> dict[str, float]:
    arguments = ["--contestant", contestant, "--image", str(image), "--folder", str(folder)]
    run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    shutil.rmtree(folder)
    return json.loads(run.stdout.splitlines()[-1])


def compare(image: Path, folder: Path, contestants: tuple[str, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Medians of each contestant."""
    image.read_bytes()  # from the page cache for all
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in contestants if number % 2 else reversed(contestants):
            found[name].append(in_process(name, image, folder / name))
    return {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}


def run(frames: int, long_frames: int, rounds: int, grid: tuple[int, int, int], folder: Path) -> list[dict]:
    rows = []
    cases = [("int16", frames, CONTESTANTS, rounds), ("float32", frames, CONTESTANTS, rounds)]
    if long_frames:
        cases.append(("float32", long_frames, ("int16", "int8"), 1))
    for dtype, num_frames, contestants, times in cases:
        image = folder / f"scan_{dtype}_{num_frames}.nii.gz"
        voxels = write_scan(image, num_frames, dtype, grid=grid)
        for name, values in compare(image, folder / "out", contestants, times).items():
            row = {"source": dtype, "frames": num_frames, "voxels": voxels, "contestant": name, "rounds": times}
            row |= {key: round(values[key], 3) for key in ("seconds", "processor")}
            row |= {key: int(values[key]) for key in ("memory", "peak", "bytes")}
            row["bytes_per_value"] = round(values["bytes"] / voxels / (num_frames - TRIM), 3)
            rows.append(row)
        image.unlink()
    for row in rows:
        published = [r for r in rows if r["contestant"] == "published" and r["source"] == row["source"]]
        if published and published[0]["frames"] == row["frames"]:
            row["times_faster"] = round(published[0]["seconds"] / row["seconds"], 2)
            row["times_less_work"] = round(published[0]["processor"] / row["processor"], 2)
            row["share_of_memory"] = round(row["memory"] / published[0]["memory"], 3)
    return rows


def table(rows: list[dict], machine: dict[str, str], grid: tuple[int, int, int]) -> str:
    lines = [
        "# Preparing one scan",
        "",
        "`prepare` and the published procedure (`benchmarks/published_files.py`), "
        f"{' x '.join(map(str, grid))} voxels, crop of the paper, {TRIM} frames trimmed, one torch thread each; "
        "medians over the rounds. CPU s: processor time, which other work on the machine hardly changes. Memory: peak "
        "of the process less what it had after its imports; in brackets with them. Bytes per value: per voxel of the "
        "mask and frame after the trim. Run again with `python benchmarks/prepare.py`.",
        "",
        f"Machine: {in_words(machine)}; shared with other work while this ran.",
        "",
        "| source | frames | contestant | seconds | times faster | CPU s | times less | memory MB | share of memory "
        "| file MB | bytes per value | rounds |",
        "|---" * 12 + "|",
    ]
    for row in rows:
        cells = [row["source"], row["frames"], row["contestant"], row["seconds"], row.get("times_faster", "")]
        cells += [row["processor"], row.get("times_less_work", "")]
        cells += [f"{row['memory'] / 1e6:.0f} ({row['peak'] / 1e6:.0f})", row.get("share_of_memory", "")]
        cells += [f"{row['bytes'] / 1e6:.1f}", row["bytes_per_value"], row["rounds"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--long-frames", type=int, default=1200, help="of the HCP-size run; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a small grid, 14 frames, one round")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(measure(options.contestant, options.image, options.folder)))
        return
    frames, long_frames, rounds, grid = options.frames, options.long_frames, options.rounds, GRID
    if options.quick:
        frames, long_frames, rounds, grid = 14, 0, 1, SMALL_GRID
    machine = describe("torch", "nibabel", "numpy", "isal", "safetensors")
    with tempfile.TemporaryDirectory() as folder:
        rows = run(frames, long_frames, rounds, grid, Path(folder))
    options.output.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine, "grid": grid, "rows": rows}, indent=4)
    (options.output / "prepare.json").write_text(content + "\n")
    text = table(rows, machine, grid)
    (options.output / "prepare.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
