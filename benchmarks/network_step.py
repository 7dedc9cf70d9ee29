"""Times a training step (forward, loss, backward) of our networks against the published layout of operations.

    python benchmarks/network_step.py [--hcp] [--seconds 60] [--threads 2] [--output benchmarks/results]

Both run in one process, one after the other in turn and in changing order, in training mode, with the same parameters
and input; the ratio is the median over rounds of (ours / published) within a round. Before timing, the outputs in
evaluation mode are compared. Writes network_step.json and network_step.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from published_layout import PublishedLayout
from torch import nn

from monai_tff.networks import TFFPredictor, TFFReconstructor

SMALL, MIDDLE, HCP = (16, 18, 16), (32, 36, 28), (75, 93, 81)
CASES = [
    ("reconstructor", SMALL, 160, 1, 20),
    ("predictor", SMALL, 160, 3, 20),
    ("reconstructor", MIDDLE, 160, 1, 20),
    ("predictor", MIDDLE, 160, 3, 20),
]
HCP_CASES = [("reconstructor", HCP, 2640, 1, 1), ("predictor", HCP, 2640, 1, 1)]
NETWORKS = {"reconstructor": (TFFReconstructor, 0.2), "predictor": (TFFPredictor, 0.35)}
MIN_ROUNDS = 4


def step_seconds(network: nn.Module, image: torch.Tensor) -> float:
    network.zero_grad(set_to_none=True)
    start = time.perf_counter()
    output = network(image)
    if output.ndim == image.ndim:
        loss = nn.functional.l1_loss(output, image[:, :1])
    else:
        loss = nn.functional.binary_cross_entropy_with_logits(output, torch.zeros_like(output))
    loss.backward()
    if image.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(case: tuple, seconds: float, device: str) -> dict:
    kind, size, hidden_size, batch_size, num_frames = case
    make, dropout = NETWORKS[kind]
    torch.manual_seed(0)
    ours = make(size, hidden_size=hidden_size, dropout=dropout).to(device)
    published = PublishedLayout(ours, batch_size, dropout).to(device)
    # The loaders give frame-major memory to ours; the published loader stacked frames along the last axis.
    frames = torch.randn(batch_size, num_frames, 2, *size, device=device).permute(0, 2, 3, 4, 5, 1)
    contestants = {"ours": (ours, frames), "published": (published, frames.contiguous())}
    with torch.no_grad():
        outputs = [network.eval()(image) for network, image in contestants.values()]
    difference = (outputs[0] - outputs[1]).abs().max().item()
    del outputs
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for network, image in contestants.values():
        step_seconds(network.train(), image)
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < MIN_ROUNDS or time.perf_counter() < end:
        for name in sorted(contestants, reverse=rounds % 2 == 0):
            times[name].append(step_seconds(*contestants[name]))
        rounds += 1
    ratios = [one / other for one, other in zip(times["ours"], times["published"], strict=True)]
    return {
        "network": kind,
        "grid": "x".join(map(str, size)),
        "hidden": hidden_size,
        "batch": batch_size,
        "frames": num_frames,
        "rounds": rounds,
        "ours_s": round(statistics.median(times["ours"]), 4),
        "published_s": round(statistics.median(times["published"]), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_quartiles": [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]],
        "largest_output_difference": float(f"{difference:.1e}"),
    }


def table(rows: list[dict], machine: dict) -> str:
    title = "Training step (forward, loss, backward), median seconds; ratio = ours / published, medians over rounds."
    lines = [f"{title} {', '.join(f'{key} {value}' for key, value in machine.items())}.", ""]
    lines += [
        "| network | input | ours | published | ratio | quartiles | rounds | output difference |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        low, high = row["ratio_quartiles"]
        shape = f"{row['batch']} x {row['frames']} frames {row['grid']}, hidden {row['hidden']}"
        lines.append(
            f"| {row['network']} | {shape} | {row['ours_s']} | {row['published_s']} | {row['ratio']} | "
            f"{low} - {high} | {row['rounds']} | {row['largest_output_difference']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hcp", action="store_true", help="the HCP grid with hidden size 2640 too")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all cases together")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases = CASES + (HCP_CASES if options.hcp else [])
    rows = [measure(case, options.seconds / len(cases), options.device) for case in cases]
    machine = {
        "device": options.device,
        "threads": options.threads,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "processor": platform.machine(),
    }
    text = table(rows, machine)
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "network_step.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=4) + "\n")
    (options.output / "network_step.md").write_text(text)


if __name__ == "__main__":
    main()
