"""Everything that a sceptical reader asks of a study, in one file: `evidence.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_tff.evidence.comparisons import compare, permute
from monai_tff.evidence.confounds import look_for_confounds
from monai_tff.evidence.ledger import read_ledger
from monai_tff.evidence.numbers import SAMPLES, main_statistic, plain
from monai_tff.evidence.study import Study, read_study
from monai_tff.evidence.verdict import judge
from monai_tff.handlers.evaluation_files import write_json

EVIDENCE_FILE = "evidence.json"


def gather_evidence(folder: str | Path, against: Sequence[str | Path] = (), samples: int = SAMPLES) -> dict[str, Any]:
    """Compares, permutes, looks for confounds, judges, and writes `evidence.json` into the folder.

    Every number comes from the files of the evaluations and the datalist alone, with the seed that is written down.

    Args:
        folder: a run folder of phase 3, or a folder of folds.
        against: earlier runs or folders of folds that were evaluated on the same test units.
        samples: draws of each bootstrap, and permutations.

    Returns:
        What was written; see `collect`.

    Raises:
        ConfigError: for a folder without an evaluation that has numbers, or with damaged files.
        WeightsError: for weights that cannot be read.
    """
    study = read_study(folder)
    evidence = collect(study, against, samples)
    write_json(study.folder / EVIDENCE_FILE, evidence)
    return evidence


def collect(study: Study, against: Sequence[str | Path] = (), samples: int = SAMPLES) -> dict[str, Any]:
    """The evidence of a study as JSON can hold it; None for what is not defined.

    Args:
        study: of `read_study`.
        against: earlier runs, see `gather_evidence`.
        samples: draws of each bootstrap, and permutations.

    Returns:
        `study` (what was evaluated), `samples`, `seed`, `verdict`, `flags`, `comparisons`, `permutation`, `confounds`,
        `ledger` and `remarks`.
    """
    seed = int(study.model.metrics["bootstrap"]["seed"])
    comparisons = compare(study, against, samples, seed)
    permutations = permute(study, samples, seed)
    confounds = look_for_confounds(study, samples, seed)
    ledger = read_ledger(study.model.metrics)
    rest = {name: value for name, value in plain(confounds).items() if name != "flags"}
    return {
        "study": _described(study),
        "samples": samples,
        "seed": seed,
        "verdict": plain(judge(study, comparisons, permutations, confounds.flags, ledger)),
        "flags": plain(confounds.flags),
        "comparisons": plain(comparisons),
        "permutation": plain(permutations),
        "confounds": rest,
        "ledger": plain(ledger),
        "remarks": [*study.remarks],
    }


def _described(study: Study) -> dict[str, Any]:
    units = study.model.units
    return {
        "target": plain(study.target),
        "statistic": main_statistic(study.target),
        "units": len(units),
        "subjects": int(units["subject"].nunique()),
        "groups": int(units["group"].nunique()),
        "splits": sorted({member.split for member in study.members}),
        "seeds": sorted({member.seed for member in study.members}),
        "baselines": sorted(study.baselines),
        "controls": sorted(study.controls),
    }
