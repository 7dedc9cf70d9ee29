"""An experiment: the phases of one study in their order, each with its config files and overrides.

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
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from monai_tff.bundle.checks import check_config_files
from monai_tff.bundle.processes import IN_GROUP, by_first_process, started_processes
from monai_tff.bundle.run_folder import refuse_changes
from monai_tff.bundle.workflow import Workflow
from monai_tff.data.cohort_check import check_cohort
from monai_tff.errors import ConfigError, WeightsError
from monai_tff.resources import shipped_path

KEYS = {"name", "cohort", "overrides", "phases"}
PHASE_KEYS = {"config_file", "overrides"}

REMARKING = (
    "monai.bundle.workflows",
    "ignite.engine.engine.SupervisedTrainer",
    "ignite.engine.engine.SupervisedEvaluator",
)
REMARKS = (
    "Not all config files are in",
    "Logging file is set to False",
    "Engine run is terminating due to exception",
    "Current run is terminating due to exception",
)


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
    overrides: Mapping[str, Mapping[str, Any]],
    phases: Sequence[str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Runs the phases one after the other, each from the best weights of the one before, then the test evaluation.

    Several processes, which torchrun started, have joined a process group before, and share every phase.

    Args:
        experiment: what to run.
        run_dir: folder that holds one run folder per phase.
        overrides: per phase name ids and values over those of the experiment; under the name "" for every phase.
        phases: names of the phases to run, all if None; a phase left out must have run before if a later one needs it.
        resume: continue where an earlier run of the same experiment stopped; finished phases are not run again.
        say: told which phase begins.

    Returns:
        The run folder of the last phase.

    Raises:
        ConfigError: for an unknown phase.
    """
    names = [phase.name for phase in experiment.phases]
    for name in [*(phases or ()), *(name for name in overrides if name)]:
        if name not in names:
            raise ConfigError(f"phase '{name}': the experiment has no such phase, expected one of {', '.join(names)}.")
    chosen = [_overridden(phase, overrides) for phase in experiment.phases]
    wanted = names if phases is None else phases
    for phase in chosen:
        if phase.name in wanted:
            by_first_process(partial(check_phase, phase))
    previous: Path | None = None
    for number, phase in enumerate(chosen, start=1):
        folder = run_dir / phase.name
        if phase.name in wanted:
            say(f"phase {number} of {len(names)}: {phase.name} -> {folder}")
            run_phase(phase, folder, previous, resume)
        previous = folder
    folder = run_dir / experiment.phases[-1].name
    if names[-1] in wanted:
        say(f"evaluation of {folder / 'models' / 'model.pt'} on the test set -> {folder / 'evaluation'}")
        run_workflow([str(folder / "configs" / "evaluate.yaml")], "eval", {})
    return folder


def _overridden(phase: Phase, overrides: Mapping[str, Mapping[str, Any]]) -> Phase:
    values = {**phase.overrides, **overrides.get("", {}), **overrides.get(phase.name, {})}
    return dataclasses.replace(phase, overrides=values)


def check_phase(phase: Phase) -> None:
    """Checks the configuration of a phase and the headers of all scans: phase 3 must not fail after hours of phase 1.

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


def run_phase(phase: Phase, folder: Path, previous: Path | None, resume: bool) -> None:
    """Trains one phase, or continues it; with `resume` a finished one is left as it is."""
    values = {**phase.overrides, "run_dir": str(folder), "resume": resume}
    if previous is not None and "initial_weights" not in values:
        values["initial_weights"] = str(previous / "models" / "model.pt")
        by_first_process(partial(_check_weights, Path(values["initial_weights"]), phase.name, previous.name))
    if resume and by_first_process(partial(_is_finished, phase, folder, values)):
        print(f"{folder} is finished already", flush=True)
        return
    run_workflow(list(phase.config_files), "train", values)
    by_first_process((folder / "finished").touch)  # the others wait: its last checkpoint is written by then


def _check_weights(weights: Path, phase: str, previous: str) -> None:
    if not weights.is_file():
        raise WeightsError(
            f"{weights}: there are no weights for phase '{phase}' to start from; run phase '{previous}' first, or set "
            "initial_weights to null to start from random ones."
        )


def _is_finished(phase: Phase, folder: Path, values: Mapping[str, Any]) -> bool:
    if not (folder / "finished").is_file():
        return False
    refuse_changes(folder, quiet_workflow(list(phase.config_files), "train", values).parser)
    return True


def run_workflow(config_files: list[str], workflow_type: str, overrides: Mapping[str, Any]) -> None:
    """Runs a bundle's workflow in this process, as `python -m monai.bundle run` does in its own.

    Args:
        config_files: merged in their order.
        workflow_type: `train`, `eval` or `infer`.
        overrides: ids and values over those of the files.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    together = IN_GROUP if started_processes() > 1 else {}
    try:
        with _without_remarks():
            workflow = quiet_workflow(config_files, workflow_type, {**overrides, **together})
            workflow.initialize()
            workflow.run()
            workflow.finalize()
    finally:
        torch.use_deterministic_algorithms(deterministic)


def quiet_workflow(config_files: list[str], workflow_type: str, overrides: Mapping[str, Any]) -> Workflow:
    """A bundle's workflow, its configuration merged and checked, nothing of it instantiated; see `run_workflow`."""
    with _without_remarks():
        return Workflow(config_file=config_files, workflow_type=workflow_type, logging_file=False, **overrides)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Hides what the libraries say that is no news: layers may lie in other folders, the logging is left as it is.

    The engines log an exception that they raise as well; the command line prints its sentence.
    """

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(REMARKS)

    loggers = [logging.getLogger(name) for name in REMARKING]
    for logger in loggers:
        logger.addFilter(is_news)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_news)
