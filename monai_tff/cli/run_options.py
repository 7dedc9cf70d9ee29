"""Options of `run`, and what they ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from monai_tff.bundle.experiment import Experiment


class Step(StrEnum):
    """What follows the test numbers, in this order."""

    CONTROL = "control"
    BASELINES = "baselines"
    EXPLAIN = "explain"
    REPORT = "report"


ExperimentFile = Annotated[
    str, typer.Argument(help="Experiment file (YAML), or monai_tff:configs/experiments/<name>.yaml.")
]
RunDir = Annotated[Path | None, typer.Option(help="Folder for the runs; default runs/<name of the experiment>.")]
DatasetDir = Annotated[Path | None, typer.Option(help="Folder of the cohort.")]
Datalist = Annotated[
    Path | None,
    typer.Option(
        help="Datalist; default datalist.json in the folder of the cohort. With --folds, the name that "
        "those of the folds begin with."
    ),
]
Phases = Annotated[list[str] | None, typer.Option("--phase", help="Run only this phase (may be repeated).")]
Folds = Annotated[
    str | None,
    typer.Option(help="Repeat everything for each fold: all, or numbers and names such as 1,3 or site-Prisma."),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Repeat everything for this many seeds, from the first one on.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Folds and seeds as processes of their own, this many at a time: GPUs are dealt out one after the other "
        "by CUDA_VISIBLE_DEVICES, CPU cores are shared evenly unless OMP_NUM_THREADS is set. Default: in this process.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Folds and seeds on many machines: local, slurm, or the address of a Dask scheduler, with --jobs workers. "
        "What runs on the workers of an address goes on after Ctrl-C."
    ),
]
Without = Annotated[list[Step] | None, typer.Option(help="Leave out what follows the test numbers (may be repeated).")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue where an earlier run stopped.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override, as [PHASE:]KEY=VALUE, for example finetune:max_epochs=5 (may be repeated)."),
]


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What a call of `run` asks for.

    Attributes:
        source: the experiment's file as it was given.
        experiment: what the file says.
        folder: for the runs, absolute.
        sets: texts of `--set`.
        overrides: what they say, by phase.
        places: `dataset_dir` and `datalist`, where they are given or made.
        phases: names of the phases to run, all if None.
        resume: go on with an earlier run.
        without: names of the steps to leave out.
    """

    source: str
    experiment: Experiment
    folder: Path
    sets: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, str]
    phases: tuple[str, ...] | None
    resume: bool
    without: tuple[str, ...]

    def overrides_with(self, *places: str) -> dict[str, dict[str, Any]]:
        """The overrides by phase, with some of the places for every phase; what `--set` says goes first."""
        given = {name: self.places[name] for name in places if name in self.places}
        found = {name: dict(values) for name, values in self.overrides.items()}
        return {**found, "": {**given, **found.get("", {})}}


def read_request(given: Mapping[str, Any]) -> RunRequest:
    """Reads the experiment and the options; nothing is made yet.

    Args:
        given: arguments of `run` by name.

    Raises:
        ConfigError: for an experiment or an override that is wrong.
    """
    from monai_tff.bundle.experiment import read_experiment

    experiment = read_experiment(given["experiment"])
    places = {name: str(given[name].resolve()) for name in ("dataset_dir", "datalist") if given[name] is not None}
    return RunRequest(
        source=given["experiment"],
        experiment=experiment,
        folder=(given["run_dir"] or Path("runs") / experiment.name).resolve(),
        sets=tuple(given["set_"] or ()),
        overrides=parse_overrides(given["set_"] or []),
        places=places,
        phases=tuple(given["phase"]) if given["phase"] else None,
        resume=given["resume"],
        without=tuple(str(step) for step in given["without"] or ()),
    )


def parse_overrides(texts: list[str]) -> dict[str, dict[str, Any]]:
    """Reads `[PHASE:]KEY=VALUE` texts.

    Args:
        texts: the values are Python or YAML, so `3`, `1e-4`, `null` and `[1, 2]` are what they look like.

    Returns:
        Ids and values by phase; under "" for all phases.

    Raises:
        ConfigError: for a text of another form.
    """
    from monai_tff.errors import ConfigError

    overrides: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        phase, _, name = key.rpartition(":")
        if not equals or not name:
            raise ConfigError(f"--set {text}: expected [PHASE:]KEY=VALUE, for example finetune:max_epochs=5.")
        overrides.setdefault(phase, {})[name] = _value(text, value)
    return overrides


def _value(text: str, value: str) -> Any:
    import ast

    import yaml

    from monai_tff.errors import ConfigError

    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        pass  # no Python, which would know 1e-4; YAML knows null, true and bare words
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {text}: the value cannot be read, expected YAML such as 5, null or [1, 2]."
        ) from error
