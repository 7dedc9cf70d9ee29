"""`python -m monai_tff run`: all phases of an experiment, the test evaluation, and the evidence for its numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from monai_tff.cli import run_options as options


def run(
    experiment: options.ExperimentFile,
    run_dir: options.RunDir = None,
    dataset_dir: options.DatasetDir = None,
    datalist: options.Datalist = None,
    phase: options.Phases = None,
    folds: options.Folds = None,
    seeds: options.Seeds = None,
    jobs: options.Jobs = None,
    scheduler: options.Scheduler = None,
    without: options.Without = None,
    resume: options.Resume = False,
    set_: options.Sets = None,
) -> None:
    """Run an experiment: three phases, the final numbers on the test set, and a report of them; once or in folds."""
    from monai_tff.bundle.lost_process import lost_process_as_user_error
    from monai_tff.bundle.processes import close_process_group, is_first_process, open_process_group, silence_others
    from monai_tff.cli.run_folds import FoldsRequest, check_repetition, run_folds

    silence_others()
    request = options.read_request(dict(locals()))
    repetition = FoldsRequest(folds, seeds, jobs, scheduler)
    check_repetition(request, repetition)
    open_process_group()
    with lost_process_as_user_error():
        request = _with_cohort(request)
        folder = run_folds(request, repetition) if repetition.is_wanted else _run_once(request)
    close_process_group()
    if is_first_process():
        _finish(request, folder)


def _with_cohort(request: options.RunRequest) -> options.RunRequest:
    """The request with the places of the cohort that the experiment makes, if it makes one."""
    from monai_tff.bundle.processes import by_first_process
    from monai_tff.cli.cohort import make_cohort

    cohort = request.experiment.cohort
    if not cohort or "dataset_dir" in request.places:
        return request
    made = by_first_process(lambda: make_cohort(cohort, request.folder / "cohort"))
    return dataclasses.replace(request, places={**made, **request.places})


def _run_once(request: options.RunRequest) -> Path:
    from monai_tff.bundle.experiment import run_experiment

    return run_experiment(
        request.experiment,
        request.folder,
        request.overrides_with("dataset_dir", "datalist"),
        phases=request.phases,
        resume=request.resume,
        say=lambda line: print(line, flush=True),
    )


def _finish(request: options.RunRequest, folder: Path) -> None:
    """Gathers the evidence for the numbers, and says the numbers again where much was said since."""
    from monai_tff.cli.evidence_steps import closing_lines_of, has_numbers, run_steps

    last = request.experiment.phases[-1].name
    if (request.phases is not None and last not in request.phases) or not has_numbers(folder):
        return
    done = run_steps(folder, request.without, say=lambda line: print(line, flush=True))
    for line in closing_lines_of(folder):
        print(line)
    if done.report is not None:
        print(f"report: {done.report}", flush=True)
    for sentence in done.failures:
        typer.echo(f"error: {sentence}", err=True)
    if done.failures:
        raise typer.Exit(1)
