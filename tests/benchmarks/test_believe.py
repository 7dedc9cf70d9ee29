"""The benchmark of cohorts whose truth is known: its experiments can be run, and its verdicts are right."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from monai_tff.bundle.experiment import check_phase, read_experiment
from monai_tff.cli.cohort import make_cohort

ROOT = Path(__file__).parents[2]


@pytest.fixture
def believe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    known = set(sys.modules)
    import believe

    yield believe
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["null", "leak", "motion", "site"])
def test_the_experiments_can_be_run(believe: ModuleType, tmp_path: Path, name: str) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(believe.experiment(), sort_keys=False))
    experiment = read_experiment(file)
    assert [phase.name for phase in experiment.phases] == ["autoencoder", "transformer", "finetune"]
    plan = believe.cohort(believe.COHORTS[name])
    plan["simulate"] |= {"subjects": 12, "frames": 9}
    made = make_cohort(plan, tmp_path / "cohort")
    datalists = sorted((tmp_path / "cohort").glob("datalist*.json"))
    assert len(datalists) == believe.FOLDS
    phase = experiment.phases[-1]
    phase.overrides.update(made | {"datalist": str(datalists[0])})
    check_phase(phase)
    options = json.loads((tmp_path / "cohort" / "simulation.json").read_text())["options"]
    assert ("leak" in options, "confounds" in options) == (name == "leak", name in ("motion", "site"))


def evidence(flags: list[str]) -> dict[str, Any]:
    return {
        "study": {"subjects": 210},
        "permutation": {"model": {"p": 0.4}, "strata": ["fold"], "baselines": {"only_age": {"observed": 0.5}}},
        "flags": [{"name": flag, "sentence": f"{flag} is a warning."} for flag in flags],
        "verdict": {"headline": "Nothing above chance was found."},
    }


@pytest.mark.parametrize(
    ("name", "auroc", "flags", "failures"),
    [
        ("null", 0.55, [], []),
        ("null", 0.62, [], ["AUROC 0.62, expected at most 0.6"]),
        ("null", 0.5, ["within:site"], ["flags within:site, expected none"]),
        ("leak", 0.95, [], []),
        ("leak", 0.8, [], ["AUROC 0.80, expected at least 0.9"]),
        ("motion", 0.5, ["covariate:motion"], []),
        ("motion", 0.9, [], ["flags none, expected covariate:motion"]),
        ("site", 0.9, ["covariate:motion"], ["flags covariate:motion, expected covariate:site"]),
    ],
)
def test_what_is_not_as_it_must_be_is_said(believe, name, auroc, flags, failures) -> None:
    metrics = {"values": {"auroc": auroc}, "intervals": {"auroc": [auroc - 0.1, auroc + 0.05]}}
    row = believe.row_of(name, believe.COHORTS[name], evidence(flags), metrics, 12.34)
    assert row["failures"] == failures
    page = believe.table([row], {"cores": "2"})
    assert f"| {name} | 210 | {auroc:.2f} [{auroc - 0.1:.2f}, {auroc + 0.05:.2f}] | 0.4 |" in page
    assert ("| yes | 12.3 |" in page) == (not failures)
    assert all(f"{flag} is a warning." in page for flag in flags)
    json.dumps(row)
