"""An experiment: the phases of one study in their order, each with its config files and overrides.

Its file::

    name: demo
    cohort: {simulate: {...}, datalist: {...}}     optional: what is made first, if it is not there
    overrides: {seed: 0}                           for every phase
    phases:
      autoencoder: {config_file: [...], overrides: {...}}
      transformer: ...
      finetune: ...

Paths are relative to the experiment's file; `monai_tff:` at their beginning stands for what the package ships.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_tff.bundle.checks import check_config_files
from monai_tff.bundle.processes import by_first_process
from monai_tff.bundle.run_folder import refuse_changes
from monai_tff.bundle.run_workflow import quiet_workflow, run_workflow
from monai_tff.data.cohort_check import check_cohort
from monai_tff.errors import ConfigError, WeightsError
from monai_tff.resources import shipped_path

KEYS = {"name", "cohort", "overrides", "phases"}
PHASE_KEYS = {"config_file", "overrides"}

EVALUATION = "evaluation"
FINISHED = "finished"
"""File in a run folder that says that its training has ended."""

Overrides = Mapping[str, Mapping[str, Any]]
"""Ids and values by phase; under "" for every phase."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of an experiment.

    Attributes:
        name: its name, also that of its run folder.
        config_files: the bundle's train.yaml and the layers over it, absolute.
        overrides: ids and values that override the files.
    """

    name: str
    config_files: tuple[str, ...]
    overrides: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment as read from its file.

    Attributes:
        name: of the experiment.
        cohort: how to make the cohort, empty where it is given.
        phases: in the order in which they run.
    """

    name: str
    cohort: dict[str, Any]
    phases: tuple[Phase, ...]


def read_experiment(path: str | Path) -> Experiment:
    """Reads an experiment and checks its keys and paths.

    Args:
        path: the YAML file, or `monai_tff:configs/experiments/demo.yaml` for a shipped one.

    Returns:
        The experiment, its paths absolute.

    Raises:
        ConfigError: naming the file and key.
    """
    file = shipped_path(str(path), Path.cwd())
    check_config_files([file])
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    _refuse_unknown(file, "experiment", content, KEYS)
    if not isinstance(content.get("phases"), dict) or not content["phases"]:
        raise ConfigError(f"{file}: there are no phases, expected at least one under the key 'phases'.")
    common = content.get("overrides") or {}
    phases = []
    for name, entry in content["phases"].items():
        _refuse_unknown(file, f"phase '{name}'", entry, PHASE_KEYS)
        files = [shipped_path(item, file.parent) for item in entry.get("config_file") or []]
        if not files:
            raise ConfigError(f"{file}: phase '{name}' has no config_file, expected a bundle's train.yaml and layers.")
        check_config_files(files)
        overrides = {**common, **(entry.get("overrides") or {})}
        phases.append(Phase(str(name), tuple(str(item) for item in files), overrides))
    return Experiment(str(content.get("name", file.stem)), content.get("cohort") or {}, tuple(phases))


def _refuse_unknown(file: Path, what: str, content: Any, known: set[str]) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file}: {what} is no set of `key: value` pairs, expected the keys {sorted(known)}.")
    unknown = sorted(set(content) - known)
    if unknown:
        raise ConfigError(f"{file}: {what} has the unknown key '{unknown[0]}', expected one of {sorted(known)}.")


def run_experiment(
    experiment: Experiment,
    run_dir: Path,
    overrides: Overrides,
    phases: Sequence[str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    check: bool = True,
) -> Path:
    """Runs the phases one after the other, each from the best weights of the one before, then the test evaluation.

    Several processes, which torchrun started, have joined a process group before, and share every phase.

    Args:
        experiment: what to run.
        run_dir: folder that holds one run folder per phase.
        overrides: per phase name ids and values over those of the experiment; under the name "" for every phase.
        phases: names of the phases to run, all if None; a phase left out must have run before if a later one needs it.
        resume: continue where an earlier run of the same experiment stopped; finished phases are not run again, nor
            is an evaluation of the weights that are there.
        say: told which phase begins.
        check: check configuration and scans of all phases first; False where `check_phase` has done so.

    Returns:
        The run folder of the last phase.

    Raises:
        ConfigError: for an unknown phase.
    """
    chosen = overridden_phases(experiment, overrides, phases)
    wanted = [phase.name for phase in chosen] if phases is None else phases
    for phase in chosen if check else ():
        if phase.name in wanted:
            by_first_process(partial(_refuse_faults, phase))
    previous: Path | None = None
    for number, phase in enumerate(chosen, start=1):
        folder = run_dir / phase.name
        if phase.name in wanted:
            say(f"phase {number} of {len(chosen)}: {phase.name} -> {folder}")
            run_phase(phase, folder, previous, resume)
        previous = folder
    folder = run_dir / chosen[-1].name
    if chosen[-1].name in wanted:
        _evaluate(folder, resume, say)
    return folder


def overridden_phases(
    experiment: Experiment, overrides: Overrides, phases: Sequence[str] | None = None
) -> tuple[Phase, ...]:
    """All phases of an experiment with the overrides of a run.

    Args:
        experiment: as read.
        overrides: see `run_experiment`.
        phases: that are to be run; only their names are checked.

    Raises:
        ConfigError: for an unknown phase.
    """
    names = [phase.name for phase in experiment.phases]
    for name in [*(phases or ()), *(name for name in overrides if name)]:
        if name not in names:
            raise ConfigError(f"phase '{name}': the experiment has no such phase, expected one of {', '.join(names)}.")
    return tuple(
        dataclasses.replace(
            phase, overrides={**phase.overrides, **overrides.get("", {}), **overrides.get(phase.name, {})}
        )
        for phase in experiment.phases
    )


def check_phase(phase: Phase) -> ConfigParser:
    """Checks the configuration of a phase and the headers of all scans: phase 3 must not fail after hours of phase 1.

    Returns:
        The merged configuration.

    Raises:
        ConfigError: for a key, an argument or a file that is wrong.
        ScanError: for a scan or mask that cannot be used.
        ContractError: for a scan that does not match the phase's input contract.
        DatalistError: for a datalist that cannot be used.
    """
    parser = quiet_workflow(list(phase.config_files), "train", phase.overrides).parser
    datalist, dataset_dir, contract, packing = (
        parser.get_parsed_content(name) for name in ("datalist", "dataset_dir", "contract", "packing")
    )
    check_cohort(datalist, dataset_dir, contract, **packing)
    return parser


def _refuse_faults(phase: Phase) -> None:
    """As `check_phase`, without a parser that could not be sent to other processes."""
    check_phase(phase)


def run_phase(phase: Phase, folder: Path, previous: Path | None, resume: bool) -> None:
    """Trains one phase, or continues it; with `resume` a finished one is left as it is."""
    by_first_process(partial(check_hand_over, phase, previous))
    values = phase_values(phase, folder, previous, resume)
    if resume and by_first_process(partial(_is_finished, phase, folder, values)):
        print(f"{folder} is finished already", flush=True)
        return
    run_workflow(list(phase.config_files), "train", values)
    by_first_process((folder / FINISHED).touch)  # the others wait: its last checkpoint is written by then


def phase_values(phase: Phase, folder: Path, previous: Path | None, resume: bool) -> dict[str, Any]:
    """The overrides of a phase with its run folder and the weights that it starts from.

    Args:
        phase: with all other overrides.
        folder: its run folder.
        previous: run folder of the phase before, None for the first one.
        resume: whether what the folder holds is continued.
    """
    values = {**phase.overrides, "run_dir": str(folder), "resume": resume}
    if previous is not None and "initial_weights" not in values:
        values["initial_weights"] = str(previous / "models" / "model.pt")
    return values


def check_hand_over(phase: Phase, previous: Path | None) -> None:
    """Checks that there are the weights that a phase starts from.

    Raises:
        WeightsError: where the phase before has not run.
    """
    if previous is None or "initial_weights" in phase.overrides:
        return
    weights = previous / "models" / "model.pt"
    if not weights.is_file():
        raise WeightsError(
            f"{weights}: there are no weights for phase '{phase.name}' to start from; run phase '{previous.name}' "
            "first, or set initial_weights to null to start from random ones."
        )


def _is_finished(phase: Phase, folder: Path, values: Mapping[str, Any]) -> bool:
    if not (folder / FINISHED).is_file():
        return False
    refuse_changes(folder, quiet_workflow(list(phase.config_files), "train", values).parser)
    return True


def _evaluate(folder: Path, resume: bool, say: Callable[[str], None]) -> None:
    if resume and by_first_process(partial(is_evaluated, folder)):
        say(f"{folder / EVALUATION} is finished already")
        return
    say(f"evaluation of {folder / 'models' / 'model.pt'} on the test set -> {folder / EVALUATION}")
    run_workflow([str(folder / "configs" / "evaluate.yaml")], "eval", {})


def is_evaluated(folder: Path) -> bool:
    """Whether a run folder holds the test numbers of the weights that it holds now."""
    weights, metrics = folder / "models" / "model.pt", folder / EVALUATION / "metrics.json"
    if not weights.is_file() or not metrics.is_file():
        return False
    return metrics.stat().st_mtime_ns >= weights.stat().st_mtime_ns
