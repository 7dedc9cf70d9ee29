"""Reads one window of 20 frames and two channels from a packed scan and from one file per frame and normalisation.

    python benchmarks/packed_window.py [--frames 150] [--rounds 200] [--output benchmarks/results]
    python benchmarks/packed_window.py --quick    # seconds, a small scan: to see that it runs

Both read warm files at the same random positions, in turn and in alternating order, in one process with one torch
thread; the ratio is the median over rounds of (packed / published) within a round. `handed over` opens the packed
file, cuts the window and copies everything that the device needs for it into fresh memory, as a transfer does; the two
channels are then made on the device; it is compared with reading the 40 files of the published window. `two channels`
makes them too, on this processor; it is compared with reading and stacking the files. Writes
packed_window.json and packed_window.md.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from example_scan import GRID, write_scan
from machine import describe, in_words
from published_files import CROP, TRIM, read_files, read_window, write_frames

from monai_tff.contract import InputContract
from monai_tff.data.packed import open_packed
from monai_tff.data.prepare_scan import prepare_scan
from monai_tff.data.scan import CompactScan
from monai_tff.transforms.spatial import cropped_size

LENGTH = 20
BESIDE = {"handed_over": "files", "two_channels": "stacked"}
SMALL_GRID = (31, 37, 31)
ENCODINGS = ("int16", "int8", "float32")


def hand_over(path: Path, start: int) -> CompactScan:
    """A window whose tensors are in memory of their own."""
    return open_packed(path).window(start, LENGTH)._with_tensors(torch.clone)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(packed: Path, published: Path, num_frames: int, rounds: int, seed: int) -> dict[str, float]:
    """Median milliseconds, and median ratios to the published procedure."""
    generator = random.Random(seed)
    times: dict[str, list[float]] = {"handed_over": [], "two_channels": [], "files": [], "stacked": []}
    for number in range(rounds):
        start = generator.randint(0, num_frames - LENGTH)
        calls = {
            "handed_over": lambda start=start: hand_over(packed, start),
            "two_channels": lambda start=start: open_packed(packed).window(start, LENGTH).unpack(),
            "files": lambda start=start: read_files(published, start, LENGTH),
            "stacked": lambda start=start: read_window(published, start, LENGTH),
        }
        for name in calls if number % 2 else reversed(calls):
            times[name].append(seconds(calls[name]))
    result = {f"{name}_ms": round(1e3 * statistics.median(values), 2) for name, values in times.items()}
    for name, other_name in BESIDE.items():
        ratios = [one / other for one, other in zip(times[name], times[other_name], strict=True)]
        result[f"{name}_ratio"] = round(statistics.median(ratios), 3)
        result[f"{name}_quartiles"] = [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]]
    return result


def largest_difference(packed: Path, published: Path) -> list[float]:
    """Largest difference of each channel to the published window, in its own units."""
    difference = (open_packed(packed).window(3, LENGTH).unpack() - read_window(published, 3, LENGTH)).abs()
    return [float(f"{float(channel.max()):.1e}") for channel in difference]


def run(dtype: str, frames: int, rounds: int, grid: tuple[int, int, int], folder: Path) -> list[dict]:
    image = folder / f"{dtype}.nii.gz"
    write_scan(image, frames, dtype, grid=grid)
    write_frames(image, folder / "published")
    crop = [[bounds.start, bounds.stop] for bounds in CROP]
    size = cropped_size(grid, crop)
    contract = InputContract(spatial_size=size, window_length=1, crop=crop, trim=TRIM, axis_codes=None, mask="nonzero")
    published_bytes = read_window(folder / "published", 0, LENGTH).nbytes
    rows = []
    for encoding in ENCODINGS:
        result = prepare_scan({"image": str(image)}, folder / "packed" / encoding, contract, encoding)
        assert result.status == "packed", result.sentence
        (packed,) = (folder / "packed" / encoding).glob("*.safetensors")
        window = open_packed(packed).window(0, LENGTH)
        rows.append(
            {
                "source": dtype,
                "encoding": encoding,
                "rounds": rounds,
                **compare(packed, folder / "published", frames - TRIM, rounds, seed=1),
                "megabytes": round(window.nbytes / 1e6, 2),
                "published_megabytes": round(published_bytes / 1e6, 2),
                "share_of_bytes": round(window.nbytes / published_bytes, 3),
                "largest_difference": largest_difference(packed, folder / "published"),
            }
        )
    return rows


def table(rows: list[dict], machine: dict[str, str], grid: tuple[int, int, int]) -> str:
    lines = [
        "# Reading one window",
        "",
        f"A window of {LENGTH} frames and two channels at a random position, warm, of a scan of "
        f"{' x '.join(map(str, grid))} voxels with the paper's crop; milliseconds are medians, ratios are medians of "
        "(packed / published) within a round, with quartiles. Handed over: opened, cut and copied, ready for the "
        "device, which makes the two channels; beside reading the 40 published files. Two channels: made on this "
        "processor with one thread; beside reading and stacking the files. Run again with "
        "`python benchmarks/packed_window.py`.",
        "",
        f"Machine: {in_words(machine)}; shared with other work while this ran.",
        "",
        "| source | encoding | handed over ms | files ms | ratio | two channels ms | stacked ms | ratio "
        "| MB handed over | share of bytes | largest difference (global, voxel) |",
        "|---" * 11 + "|",
    ]
    for row in rows:
        cells = [row["source"], row["encoding"]]
        for name, other_name in BESIDE.items():
            low, high = row[f"{name}_quartiles"]
            cells += [row[f"{name}_ms"], row[f"{other_name}_ms"], f"{row[f'{name}_ratio']} ({low} - {high})"]
        cells += [f"{row['megabytes']} of {row['published_megabytes']}", row["share_of_bytes"]]
        cells.append(", ".join(map(str, row["largest_difference"])))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="a small grid, 40 frames, 4 rounds")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    frames, rounds, grid = (40, 4, SMALL_GRID) if options.quick else (options.frames, options.rounds, GRID)
    torch.set_num_threads(1)
    machine = describe("torch", "safetensors", "numpy")
    rows = []
    for dtype in ("int16", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            rows += run(dtype, frames, rounds, grid, Path(folder))
    options.output.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine, "grid": grid, "rows": rows}, indent=4)
    (options.output / "packed_window.json").write_text(content + "\n")
    text = table(rows, machine, grid)
    (options.output / "packed_window.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
