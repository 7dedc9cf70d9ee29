"""Measures what each encoding of a packed scan leaves of the two channels.

    python benchmarks/packed_error.py [--quick] [--output benchmarks/results]

Simulated voxels (means about 9,000, noise of about 1.3 % of it, a slow drift), packed by `monai_tff.data.packing`; the
error is the largest difference to the channels computed in float64, in standard deviations of the voxel for both
channels. Two simpler ways to use two bytes stand beside the encodings. Writes packed_error.json and packed_error.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from machine import describe

from monai_tff.data.frames import StoredFrames
from monai_tff.data.scan import CompactScan

ENCODINGS = ("integers", "codes", "codes8", "float32")


def voxels(num_frames: int, num_voxels: int, kind: str, seed: int = 0) -> np.ndarray:
    """float32 [T, V], by kind: `plain`, `spikes` (one frame of a hundredth of the voxels jumps) or `integers`."""
    generator = np.random.default_rng(seed)
    drift = 40 * np.sin(np.arange(num_frames) / 7)[:, None]
    base = 9000 + 2500 * generator.standard_normal(num_voxels)
    values = base.clip(300) + 120 * generator.standard_normal((num_frames, num_voxels)) + drift
    if kind == "spikes":
        values[num_frames // 2, ::100] *= 3
    values[num_frames // 3, ::50] = 0
    return np.rint(values).astype(np.float32) if kind == "integers" else values.astype(np.float32)


def errors(values: np.ndarray, encoding: str) -> tuple[float, float]:
    """Largest error of the global and of the voxel channel, in standard deviations of the voxel."""
    frames = values.reshape(*values.shape, 1, 1)
    scan = CompactScan.from_frames(
        StoredFrames(frames), torch.ones(frames.shape[1:], dtype=torch.bool), encoding=encoding
    )
    by_scan, by_voxel = (channel.numpy().reshape(-1, len(values)).T.astype(np.float64) for channel in scan.unpack())
    return _compare(values, by_scan * scan.global_std + scan.global_mean, by_voxel)


def simpler(values: np.ndarray, way: str) -> tuple[float, float]:
    """The same of real values in float16, or in int16 with one scale for the scan."""
    scale = float(np.abs(values).max()) / 32767
    kept = values.astype(np.float16) if way == "float16" else np.rint(values / scale) * scale
    mean, std = values.astype(np.float64).mean(0), values.astype(np.float64).std(0, ddof=1)
    return _compare(values, kept.astype(np.float64), (kept - mean) / std)


def _compare(values: np.ndarray, real: np.ndarray, by_voxel: np.ndarray) -> tuple[float, float]:
    exact = values.astype(np.float64)
    mean, std = exact.mean(0), exact.std(0, ddof=1)
    signal = exact != 0
    first = np.abs(real - exact) / std
    second = np.abs(by_voxel - (exact - mean) / std)
    return float(first[signal].max()), float(second[signal].max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer voxels")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for kind, num_frames in (("integers", 140), ("plain", 140), ("plain", 1190), ("spikes", 140), ("spikes", 1190)):
        values = voxels(num_frames, 200 if options.quick else 20_000, kind)
        found = {name: errors(values, name) for name in ENCODINGS if kind == "integers" or name != "integers"}
        found |= {name: simpler(values, name) for name in ("float16", "int16, one scale")}
        for name, (by_scan, by_voxel) in found.items():
            rows.append({"scan": kind, "frames": num_frames, "encoding": name, "global": by_scan, "voxel": by_voxel})
    machine = describe("torch", "numpy")
    lines = [
        "# Error of each encoding",
        "",
        "Largest error of each channel, in standard deviations of the voxel, over 20,000 simulated voxels. `spikes`: "
        "one frame of every hundredth voxel is three times as bright. The last two rows of each scan are no encodings "
        "of packed scans. Run again with `python benchmarks/packed_error.py`.",
        "",
        "| scan | frames | encoding | global channel | voxel channel |",
        "|---" * 5 + "|",
        *(f"| {r['scan']} | {r['frames']} | {r['encoding']} | {r['global']:.1e} | {r['voxel']:.1e} |" for r in rows),
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"machine": machine, "rows": rows}, indent=4)
    (options.output / "packed_error.json").write_text(content + "\n")
    (options.output / "packed_error.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
