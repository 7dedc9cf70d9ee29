"""A cohort without any effect must stay at chance: AUROC 0.40 - 0.60 over at least 200 pooled test subjects.

    python benchmarks/null_cohort.py --work <folder>     writes benchmarks/results/null_cohort.{json,md}

For each seed: a simulated cohort of 84 subjects with no planted effect (42 in the test set), all three phases. The
scores of the test subjects are pooled over the seeds. A run that was interrupted continues.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from small_study import cohort, describe, run

from monai_tff.contract import Target
from monai_tff.metrics import evaluate_units, format_result

RESULTS = Path(__file__).parent / "results"
ALLOWED = (0.40, 0.60)
EPOCHS = 6


def run_seed(work: Path, seed: int) -> pd.DataFrame:
    """Trains on the null cohort of a seed; returns its table of test predictions, subjects named by seed."""
    folder = work / f"null_{seed}"
    paths = cohort(folder / "cohort", None, seed, subjects=84, ratios="0.4,0.1,0.5")
    run(folder / "run", paths, seed, ["autoencoder", "transformer", "finetune"], max_epochs=EPOCHS)
    units = pd.read_csv(folder / "run" / "finetune" / "evaluation" / "predictions.csv", dtype={"subject": str})
    units["group"] = units["subject"] = f"seed-{seed}-" + units["subject"]
    return units


def main() -> None:
    """Runs the seeds, pools their test subjects and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 105)))
    options = parser.parse_args()
    tables = [run_seed(options.work.resolve(), seed) for seed in options.seeds]
    target = Target("sex", "binary", ("F", "M"))
    pooled = evaluate_units(pd.concat(tables, ignore_index=True), target)
    by_seed = [evaluate_units(table, target, bootstrap_samples=0).values["auroc"] for table in tables]
    lines = ["# A cohort without any effect", "", *format_result(pooled, target), ""]
    lines += [f"AUROC by seed: {', '.join(f'{value:.2f}' for value in by_seed)}.", ""]
    lines += ["Rerun: `python benchmarks/null_cohort.py --work <folder>`.", ""]
    lines += [f"Settings, but {EPOCHS} epochs of phase 3:", "", "```yaml", describe() + "```", ""]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "null_cohort.md").write_text("\n".join(lines))
    content = {"values": pooled.values, "auroc_interval": pooled.intervals["auroc"], "auroc_by_seed": by_seed}
    (RESULTS / "null_cohort.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))
    low, high = ALLOWED
    if not low <= pooled.values["auroc"] <= high:
        raise SystemExit(f"pooled AUROC {pooled.values['auroc']:.3f} lies outside {low} - {high}: something leaks.")


if __name__ == "__main__":
    main()
