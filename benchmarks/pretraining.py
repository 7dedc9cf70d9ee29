"""Does pretraining earn its keep? Phase 3 from scratch, from phases 1 and 2, and from scratch at equal compute.

    python benchmarks/pretraining.py --work <folder> [--effects ...] [--seeds 5]
    python benchmarks/pretraining.py --work <folder> --table     writes benchmarks/results/pretraining.{json,md}

For each planted effect and seed: one simulated cohort of 80 subjects (40 training, 10 validation, 30 test), three
trainings, the same test subjects. A run that was interrupted continues.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats
from small_study import PHASES, cohort, describe, run, training_flops

EFFECTS = ("regional_mean", "network_amplitude", "network_coupling")
SIZE = 3.0
MEASURES = ("cross_entropy", "balanced_accuracy", "auroc")
RESULTS = Path(__file__).parent / "results"


def equal_compute_epochs() -> int:
    """Epochs of phase 3 alone that cost what phases 1, 2 and 3 cost together."""
    flops = training_flops()
    return round(PHASES["finetune"]["max_epochs"] * sum(flops.values()) / flops["finetune"])


def run_cell(work: Path, effect: str, seed: int) -> dict[str, dict[str, float]]:
    """The three trainings of one effect and seed."""
    folder = work / f"{effect}_{seed}"
    paths = cohort(folder / "cohort", f"sex:{effect}:{SIZE}", seed, subjects=80, ratios="0.5,0.125,0.375")
    scratch = {"initial_weights": None}
    return {
        "pretrained": run(folder / "pretrained", paths, seed, ["autoencoder", "transformer", "finetune"]),
        "scratch": run(folder / "scratch", paths, seed, ["finetune"], **scratch),
        "scratch, equal compute": run(
            folder / "equal", paths, seed, ["finetune"], max_epochs=equal_compute_epochs(), **scratch
        ),
    }


def table(cells: dict[str, dict[str, dict[str, float]]]) -> str:
    """Means over seeds, and paired differences to the pretrained runs with 95 % t intervals, as Markdown."""
    seeds = sorted({int(name.rsplit("_", 1)[1]) for name in cells})
    lines = [
        "# Does pretraining earn its keep?",
        "",
        f"Simulated cohorts, effect size d = {SIZE}, {len(seeds)} seeds, 30 test subjects each.",
        "Differences are paired over seeds (mean and 95 % t interval).",
        f"Equal compute: {equal_compute_epochs()} epochs from scratch against {PHASES['finetune']['max_epochs']} after",
        "pretraining, by counted operations.",
        "Rerun: `python benchmarks/pretraining.py --work <folder>`, then `--table`.",
        "",
        "| effect | measure | pretrained | scratch | scratch, equal compute "
        "| pretrained - scratch | pretrained - equal compute |",
        "|---|---|---|---|---|---|---|",
    ]
    for effect, measure in product(EFFECTS, MEASURES):
        rows = [cells[f"{effect}_{seed}"] for seed in seeds if f"{effect}_{seed}" in cells]
        if not rows:
            continue
        values = {arm: np.array([row[arm][measure] for row in rows]) for arm in rows[0]}
        means = [f"{column.mean():.3f}" for column in values.values()]
        differences = [_difference(values["pretrained"] - values[arm]) for arm in list(values)[1:]]
        lines.append(f"| {effect} | {measure} | {' | '.join(means + differences)} |")
    return "\n".join([*lines, "", "```yaml", describe() + "```", ""])


def _difference(values: np.ndarray) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.3f} [{values.mean() - half:+.3f}, {values.mean() + half:+.3f}]"


def main() -> None:
    """Runs the cells that are missing, or writes the table of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--effects", nargs="+", default=EFFECTS, choices=EFFECTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        for seed, effect in product(options.seeds, options.effects):
            result = run_cell(options.work.resolve(), effect, seed)
            (options.work / f"{effect}_{seed}.json").write_text(json.dumps(result, indent=1))
            print(
                effect,
                seed,
                {arm: {m: round(values[m], 3) for m in MEASURES} for arm, values in result.items()},
                flush=True,
            )
        return
    cells = {file.stem: json.loads(file.read_text()) for file in sorted(options.work.glob("*_*.json"))}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pretraining.json").write_text(json.dumps(cells, indent=1) + "\n")
    (RESULTS / "pretraining.md").write_text(table(cells))
    print(table(cells))


if __name__ == "__main__":
    main()
