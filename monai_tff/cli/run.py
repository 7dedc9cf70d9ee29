"""`python -m monai_tff run`: all phases of an experiment and the test evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    experiment: Annotated[
        str, typer.Argument(help="Experiment file (YAML), or monai_tff:configs/experiments/<name>.yaml.")
    ],
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder for the runs; default runs/<name of the experiment>.")
    ] = None,
    dataset_dir: Annotated[Path | None, typer.Option(help="Folder of the cohort.")] = None,
    datalist: Annotated[
        Path | None, typer.Option(help="Datalist; default datalist.json in the folder of the cohort.")
    ] = None,
    phase: Annotated[list[str] | None, typer.Option(help="Run only this phase (may be repeated).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue where an earlier run stopped.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override, as [PHASE:]KEY=VALUE, for example finetune:max_epochs=5 (may be repeated)."
        ),
    ] = None,
) -> None:
    """Run an experiment: three phases, then the final numbers on the test set."""
    from monai_tff.bundle.experiment import read_experiment, run_experiment
    from monai_tff.bundle.lost_process import lost_process_as_user_error
    from monai_tff.bundle.processes import by_first_process, close_process_group, open_process_group, silence_others
    from monai_tff.cli.cohort import make_cohort

    silence_others()
    plan = read_experiment(experiment)
    folder = (run_dir or Path("runs") / plan.name).resolve()
    overrides = parse_overrides(set_ or [])
    open_process_group()
    paths: dict[str, Any] = {}
    if plan.cohort and dataset_dir is None:
        paths = by_first_process(lambda: make_cohort(plan.cohort, folder / "cohort"))
    if dataset_dir is not None:
        paths["dataset_dir"] = str(dataset_dir.resolve())
    if datalist is not None:
        paths["datalist"] = str(datalist.resolve())
    overrides[""] = {**paths, **overrides.get("", {})}
    with lost_process_as_user_error():
        run_experiment(
            plan, folder, overrides, phases=phase or None, resume=resume, say=lambda line: print(line, flush=True)
        )
    close_process_group()


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
