"""Is what `run` says of a study to be believed? Four cohorts whose truth is known, three phases in three folds each.

    python benchmarks/believe.py --work <folder>     writes benchmarks/results/believe.{json,md}

| cohort | what the scans hold | expected |
|---|---|---|
| null | nothing | AUROC 0.40 - 0.60 over at least 200 test subjects, no flag |
| leak | the label, written into a corner | AUROC above 0.9 over at least 200 test subjects |
| motion | more spikes in patients | a flag of motion |
| site | patients at other sites, scanners of their own pattern | a flag of the site |

Runs that were interrupted continue. The uses of the test sets go into a ledger of the benchmark's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from machine import describe, in_words

from monai_tff.baselines import run_baselines
from monai_tff.cli.cohort import make_cohort
from monai_tff.evidence import gather_evidence

RESULTS = Path(__file__).parent / "results"
SHIPPED = "monai_tff:bundles/tff_fmri_"
LAYERS = ["monai_tff:configs/datasets/simulated.yaml", "monai_tff:configs/hardware/cpu.yaml"]
TARGET = "diagnosis"
FOLDS = 3
SEED = 5
FRAMES = 16
COMMON = {"spatial_size": [8, 10, 9], "hidden_size": 48, "use_tensorboard": False, "seed": SEED}
PHASES: dict[str, dict[str, Any]] = {
    "autoencoder": {
        "use_perceptual": False,
        "max_epochs": 1,
        "windows_per_scan": 8,
        "batch_size": 32,
        "max_validation_windows": 2,
    },
    "transformer": {
        "use_perceptual": False,
        "window_length": 8,
        "max_epochs": 1,
        "windows_per_scan": 2,
        "batch_size": 8,
        "max_validation_windows": 1,
        "learning_rate": 0.0003,
    },
    "finetune": {
        "window_length": 8,
        "max_epochs": 4,
        "windows_per_scan": 3,
        "batch_size": 8,
        "learning_rate": 0.001,
    },
}
WITHOUT = ("control", "baselines", "explain", "report")
BASELINES = ("covariates", "only_age", "only_sex", "only_site", "only_motion", "mean_image")


@dataclasses.dataclass(frozen=True)
class Truth:
    """A cohort and what must be found in it.

    Attributes:
        simulate: options of the simulation.
        lowest: AUROC that must be reached, None where any will do.
        highest: AUROC that must not be passed, None likewise.
        flag: that must be raised, None where none must.
        flags_forbidden: whether none may be raised.
    """

    simulate: dict[str, Any]
    lowest: float | None = None
    highest: float | None = None
    flag: str | None = None
    flags_forbidden: bool = False

    def failures(self, auroc: float, flags: list[str]) -> list[str]:
        """What is not as it must be, in words."""
        found = []
        if self.lowest is not None and not auroc >= self.lowest:
            found.append(f"AUROC {auroc:.2f}, expected at least {self.lowest}")
        if self.highest is not None and not auroc <= self.highest:
            found.append(f"AUROC {auroc:.2f}, expected at most {self.highest}")
        if self.flag is not None and self.flag not in flags:
            found.append(f"flags {', '.join(flags) or 'none'}, expected {self.flag}")
        if self.flags_forbidden and flags:
            found.append(f"flags {', '.join(flags)}, expected none")
        return found


COHORTS = {
    "null": Truth({"subjects": 210}, lowest=0.40, highest=0.60, flags_forbidden=True),
    "leak": Truth({"subjects": 210, "leak": TARGET}, lowest=0.9),
    "motion": Truth({"subjects": 120, "spike_rate": 0.1, "confound": [f"{TARGET}:motion:4"]}, flag="covariate:motion"),
    "site": Truth(
        {"subjects": 120, "sites": 3, "confound": [f"{TARGET}:site:5"], "site_pattern_std": 0.15},
        flag="covariate:site",
    ),
}


def cohort(truth: Truth) -> dict[str, Any]:
    """How a cohort and the datalists of its folds are made, as an experiment says it."""
    return {
        "simulate": {"voxel_size": 20.0, "frames": FRAMES, "seed": SEED, **truth.simulate},
        "datalist": {"target": TARGET, "ratios": "0.8,0.2,0", "folds": FOLDS, "seed": SEED},
    }


def experiment() -> dict[str, Any]:
    """The three phases, as `run` reads them from a file."""
    files = {
        "autoencoder": ["reconstruction/configs/train.yaml", "reconstruction/configs/train_autoencoder.yaml"],
        "transformer": ["reconstruction/configs/train.yaml"],
        "finetune": ["prediction/configs/train.yaml"],
    }
    phases = {
        phase: {"config_file": [*(SHIPPED + file for file in files[phase]), *LAYERS], "overrides": dict(values)}
        for phase, values in PHASES.items()
    }
    return {"name": "believe", "overrides": COMMON, "phases": phases}


def run_cohort(work: Path, name: str, truth: Truth, jobs: int) -> dict[str, Any]:
    """Runs all folds of one cohort, and gathers the evidence; what is finished is not done again."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(experiment(), sort_keys=False))
    began = time.perf_counter()
    made = make_cohort(cohort(truth), folder / "cohort")
    command = [sys.executable, "-m", "monai_tff", "run", str(file), "--run-dir", str(folder / "run"), "--resume"]
    command += ["--dataset-dir", made["dataset_dir"], "--datalist", made["datalist"]]
    command += ["--folds", "all", "--jobs", str(jobs)]
    command += [part for step in WITHOUT for part in ("--without", step)]
    with (folder / "log.txt").open("a") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: the run ended with {done.returncode}, see {log.name}")
        run_baselines(folder / "run", BASELINES, say=lambda line: print(line, file=log))
    evidence = gather_evidence(folder / "run")
    return row_of(name, truth, evidence, json.loads(_metrics(folder).read_text()), time.perf_counter() - began)


def _metrics(folder: Path) -> Path:
    return folder / "run" / "evaluation" / "metrics.json"


def row_of(
    name: str, truth: Truth, evidence: dict[str, Any], metrics: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What is kept of one cohort."""
    auroc = metrics["values"]["auroc"]
    flags = [flag["name"] for flag in evidence["flags"]]
    baselines = evidence["permutation"]["baselines"]
    return {
        "cohort": name,
        "subjects": evidence["study"]["subjects"],
        "auroc": auroc,
        "interval": metrics["intervals"]["auroc"],
        "permutation_p": evidence["permutation"]["model"]["p"],
        "strata": evidence["permutation"]["strata"],
        "baselines": {baseline: test["observed"] for baseline, test in baselines.items()},
        "flags": flags,
        "sentences": [flag["sentence"] for flag in evidence["flags"]],
        "headline": evidence["verdict"]["headline"],
        "seconds": round(seconds, 1),
        "failures": truth.failures(auroc, flags),
    }


def table(rows: list[dict[str, Any]], machine: dict[str, str]) -> str:
    """The results as a page."""
    lines = ["# Cohorts whose truth is known", ""]
    lines += ["All three phases in three folds, each subject tested once; 20 mm, tiny networks.", ""]
    lines += ["| cohort | test subjects | AUROC | permutation p | flags | as expected | seconds |", "|---" * 7 + "|"]
    for row in rows:
        low, high = row["interval"]
        auroc = f"{row['auroc']:.2f} [{low:.2f}, {high:.2f}]"
        flags, verdict = ", ".join(row["flags"]) or "none", "; ".join(row["failures"]) or "yes"
        cells = [row["cohort"], row["subjects"], auroc, f"{row['permutation_p']:.2g}", flags, verdict, row["seconds"]]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    for row in rows:
        lines += ["", f"**{row['cohort']}**: {row['headline']}", *(f"- {sentence}" for sentence in row["sentences"])]
    lines += ["", f"Together {sum(row['seconds'] for row in rows) / 60:.1f} minutes; {in_words(machine)}.", ""]
    settings = {"common": COMMON, "frames": FRAMES, "folds": FOLDS, **PHASES}
    settings["cohorts"] = {name: truth.simulate for name, truth in COHORTS.items()}
    lines += ["Rerun: `python benchmarks/believe.py --work <folder>`. Settings:", "", "```yaml"]
    return "\n".join([*lines, yaml.safe_dump(settings, sort_keys=False) + "```", ""])


def main() -> None:
    """Runs the cohorts and writes the results; ends with 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(COHORTS), default=list(COHORTS))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.environ["MONAI_TFF_LEDGER"] = str(options.work.resolve() / "ledger.jsonl")
    rows = []
    for name in options.only:
        print(f"{name}: {FOLDS} folds ...", flush=True)
        rows.append(run_cohort(options.work.resolve(), name, COHORTS[name], options.jobs))
        print(f"{name}: {rows[-1]['headline']} {rows[-1]['seconds']} s", flush=True)
    if options.only == list(COHORTS):
        machine = describe("torch", "monai")
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "believe.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
        (RESULTS / "believe.md").write_text(table(rows, machine))
    failures = [f"{row['cohort']}: {failure}" for row in rows for failure in row["failures"]]
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
