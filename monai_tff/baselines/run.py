"""Runs the baselines of a run folder, or of each split of a set of folds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from monai_tff.baselines.features import FittedFeatures, fit_features, transform
from monai_tff.baselines.linear import LinearModel, fit_linear
from monai_tff.baselines.options import BaselineOptions, known_names
from monai_tff.baselines.sections import Section, read_section, score_rows, training_weights
from monai_tff.bundle.baseline_folders import baseline_folder
from monai_tff.bundle.finished_run import FinishedRun, read_finished_run
from monai_tff.bundle.study_folder import is_folds_folder, read_members
from monai_tff.data.label_statistics import target_statistics
from monai_tff.data.test_set import test_set_hash
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation
from monai_tff.handlers.ledger import count_uses
from monai_tff.metrics.calibration import fit_calibration, with_temperature

VERSION = 1
"""Of the methods; another one makes finished baselines be done anew."""

OF_CONTRACT = ("spatial_size", "axis_codes", "crop", "trim", "mask", "denoising", "normalisation")
"""Keys of the contract that the features depend on."""

Say = Callable[[str], object]


def run_baselines(
    folder: str | Path,
    names: Sequence[str] | None = None,
    say: Say = print,
    *,
    overwrite: bool = False,
    options: BaselineOptions | None = None,
) -> list[Path]:
    """Fits baselines on the split of a run, and writes the evaluation of each beside that of the network.

    Everything is fitted on training subjects: scaling, components, parcels, coefficients, and by cross-validation over
    their groups the strength of the penalty. Temperature and threshold are fitted on validation subjects, as the
    network's are. Test scans are read last, and only transformed. Baselines that are finished and were made from the
    same datalist, contract and options are left as they are.

    Args:
        folder: run folder of phase 3, or folder of an experiment over folds, whose baselines are run once per split
            and then pooled.
        names: of `monai_tff.bundle.baseline_folders.BASELINES`; None for all. `covariates` takes those that are not
            the target and are known for at least half of the training subjects; `only_...` cannot be made without its
            covariate.
        say: takes each sentence for the user.
        overwrite: do finished ones anew.
        options: choices that features depend on.

    Returns:
        Folders that hold an evaluation, `<folder>/baselines/<name>`.

    Raises:
        ConfigError: for a folder that is neither, or a name that no baseline has.
        DatalistError: for a datalist that was moved or changed, or scans that are not there.
        ScanError: for a scan that cannot be used.
        ContractError: for a scan that does not match the contract.
    """
    wanted = known_names(names)
    options = BaselineOptions() if options is None else options
    if not is_folds_folder(folder):
        return _of_run(read_finished_run(folder), wanted, say, overwrite, options)
    first = {member.split: member for member in reversed(read_members(folder))}
    made: list[set[str]] = []
    for split, member in reversed(first.items()):
        say(f"{split}:")
        made.append({path.name for path in _of_run(read_finished_run(member.folder), wanted, say, overwrite, options)})
    return _pooled(Path(folder), [name for name in wanted if all(name in of_split for of_split in made)])


def _pooled(folder: Path, names: Sequence[str]) -> list[Path]:
    from monai_tff.bundle.folds import pool_evaluations

    for name in names:
        pool_evaluations(folder, f"baselines/{name}")
    return [baseline_folder(folder, name) for name in names]


def _of_run(run: FinishedRun, names: Sequence[str], say: Say, overwrite: bool, options: BaselineOptions) -> list[Path]:
    marker = _marker(run, options)
    finished = [] if overwrite else [name for name in names if _made_from(run, name) == marker]
    missing = [name for name in names if name not in finished]
    if finished:
        say(f"finished before: {', '.join(finished)}")
    made: list[str] = []
    if missing:
        # the order of a sum depends on the number of threads, and so would the last digits
        with threadpool_limits(limits=1):
            made = _fit_and_evaluate(run, missing, say, options, marker)
    for name in set(missing) - set(made):
        # numbers of another datalist, which had what this one lacks
        (baseline_folder(run.folder, name) / "metrics.json").unlink(missing_ok=True)
    return [baseline_folder(run.folder, name) for name in names if name in {*finished, *made}]


def _fit_and_evaluate(
    run: FinishedRun, names: Sequence[str], say: Say, options: BaselineOptions, marker: str
) -> list[str]:
    training = read_section(run, "training")
    features = fit_features(run, training, names, options, say)
    models = fit_models(run, training, features, say)
    tables = []
    for name in ("validation", "test"):
        section = read_section(run, name)
        values = transform(run, section, features)
        tables.append({key: score_rows(section, models[key].scores(values[key]), run.target) for key in models})
    validation, test = tables
    for name, model in models.items():
        calibration = fit_calibration(validation[name], run.target, run.flat)
        details = {
            "baseline": _facts(run, training, name, features[name], model, marker),
            "calibration": {"fitted_on": "validation", **dataclasses.asdict(calibration)},
        }
        windows = with_temperature(test[name], run.target, calibration.temperature)
        folder = baseline_folder(run.folder, name)
        lines = write_evaluation(folder, windows, _settings(run, name, calibration.threshold), details)
        say(f"baseline {name}: {lines[-1]}")  # everything else stands in the files
    if models:
        say(count_uses(test_set_hash(run.datalist)).sentence())
    return list(models)


def fit_models(
    run: FinishedRun, training: Section, features: dict[str, FittedFeatures], say: Say
) -> dict[str, LinearModel]:
    """Fits the model of each baseline on training scans.

    Args:
        run: the run.
        training: its training section.
        features: of `fit_features`.
        say: takes a sentence.

    Returns:
        Models by name of the baseline.
    """
    weights = training_weights(run, training)
    models = {
        name: fit_linear(
            feature.training,
            training.truth,
            training.groups,
            weights,
            classes=run.target.kind != "regression",
            seed=run.seed,
        )
        for name, feature in features.items()
    }
    fixed = [model.strength for model in models.values() if not model.folds]
    if fixed:
        say(f"the penalty is {fixed[0]:g} and not chosen: too few training groups for a cross-validation.")
    return models


def _settings(run: FinishedRun, name: str, threshold: float) -> EvaluationSettings:
    mean = target_statistics(run.datalist)[0] if run.target.kind == "regression" else None
    return EvaluationSettings(
        run.target,
        threshold=threshold,
        flat=run.flat,
        baseline_value=mean,
        seed=run.seed,
        test_set=test_set_hash(run.datalist),
        kind="baseline",
        model=name,
    )


def _facts(
    run: FinishedRun, training: Section, name: str, feature: FittedFeatures, model: LinearModel, marker: str
) -> dict[str, Any]:
    chosen = f"cross-validation over the groups of training subjects, {model.folds} folds"
    return {
        "name": name,
        **feature.facts,
        "training": {
            "subjects": training.num_subjects,
            "groups": len(np.unique(training.groups)),
            "scans": len(training.records),
        },
        "features": feature.training.shape[1],
        "strength": model.strength,
        "strength_chosen_by": chosen if model.folds else "fixed: too few training groups for a cross-validation",
        "seed": run.seed,
        "made_from": marker,
    }


def _marker(run: FinishedRun, options: BaselineOptions) -> str:
    """What a finished baseline must have been made from."""
    contract = run.contract.to_dict()
    content = {
        "version": VERSION,
        "datalist": hashlib.sha256(run.datalist.read_bytes()).hexdigest(),
        "contract": {key: contract[key] for key in OF_CONTRACT},
        "target": contract["target"],
        "encoding": run.packing["encoding"],
        "flat": run.flat,
        "seed": run.seed,
        "options": dataclasses.asdict(options),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _made_from(run: FinishedRun, name: str) -> str | None:
    """The marker of a baseline that is there; a file that cannot be read is written anew."""
    try:
        return json.loads((baseline_folder(run.folder, name) / "metrics.json").read_text("utf-8"))["baseline"][
            "made_from"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
