"""An experiment over folds and seeds: every member trained and evaluated, then all of them together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from monai_tff.cli.run_options import RunRequest

if TYPE_CHECKING:
    from monai_tff.bundle.folds_members import FoldsPlan
    from monai_tff.bundle.study_folder import Member
    from monai_tff.cli.run_progress import MembersProgress

LOG = "log.txt"
PARENTS_STEPS = ("baselines", "explain", "report")
"""Of all members together: a child leaves them to its parent."""


@dataclasses.dataclass(frozen=True)
class FoldsRequest:
    """How often `run` is to repeat an experiment, and where.

    Attributes:
        folds: `all`, or names and numbers of splits; None for the split of one datalist.
        seeds: number of seeds, one if None.
        jobs: members at a time, each a process of its own; in this process one after the other if None.
        scheduler: of Dask.
    """

    folds: str | None
    seeds: int | None
    jobs: int | None
    scheduler: str | None

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to repeat."""
        return self.folds is not None or self.seeds is not None


def check_repetition(request: RunRequest, repetition: FoldsRequest) -> None:
    """Refuses options that do not fit together, before anything is made.

    Raises:
        ConfigError: naming the option.
    """
    from monai_tff.bundle.processes import started_processes
    from monai_tff.bundle.study_folder import is_folds_folder
    from monai_tff.data.schedulers import check_scheduler
    from monai_tff.errors import ConfigError

    for option, value in (("--jobs", repetition.jobs), ("--scheduler", repetition.scheduler)):
        if value is not None and not repetition.is_wanted:
            raise ConfigError(f"{option} {value}: there is one run, expected several; add --folds all or --seeds 3.")
        if value is not None and started_processes() > 1:
            raise ConfigError(
                f"{option} {value}: torchrun started {started_processes()} processes, expected one; leave out one of "
                "the two."
            )
    if repetition.scheduler is not None:
        check_scheduler(repetition.scheduler)
    listed = request.experiment.cohort.get("datalist") or {}
    is_split = bool(listed.get("folds") or listed.get("leave_one_site_out")) and "datalist" not in request.places
    if is_split and repetition.folds is None:
        raise ConfigError(
            f"experiment '{request.experiment.name}': its cohort is split into folds, expected to hear which; add "
            "--folds all, or --folds 1."
        )
    if is_folds_folder(request.folder) and not repetition.is_wanted:
        raise ConfigError(
            f"{request.folder}: holds folds or seeds, expected a folder for a single run; add --folds or --seeds and "
            "--resume to go on with them, or choose another --run-dir."
        )


def run_folds(request: RunRequest, repetition: FoldsRequest) -> Path:
    """Runs all members that are missing, and pools their evaluations.

    Of several processes that torchrun started all share each member.

    Args:
        request: what is to be run.
        repetition: how often and where.

    Returns:
        The folder of folds.

    Raises:
        typer.Exit: with code 1 after members that failed, whose sentences are printed; all others are finished then.
        UserError: for what can be found wrong before the first member trains.
    """
    from monai_tff.bundle.folds_members import check_members, is_done, open_members, write_members
    from monai_tff.bundle.processes import by_first_process
    from monai_tff.bundle.study_folder import read_members
    from monai_tff.cli.run_progress import MembersProgress

    def prepare() -> tuple[FoldsPlan, list[Member], list[Member]]:
        plan = _plan(request, repetition)
        members = open_members(plan)
        check_members(plan, members, _say)
        write_members(plan, members)
        return plan, members, [member for member in members if not is_done(plan, member)]

    plan, members, missing = by_first_process(prepare)
    for member in members:
        if member not in missing:
            _say(f"{member.name}: is finished already")
    progress = MembersProgress(len(members), len(members) - len(missing), _say)
    if missing and repetition.jobs is None and repetition.scheduler is None:
        failures = _in_this_process(plan, missing, progress)
    else:
        failures = _in_children(request, repetition, plan, missing, progress) if missing else []
    if failures:
        _give_up(failures)
    everyone = by_first_process(partial(read_members, plan.folder))
    unfinished = [member for member in everyone if not by_first_process(partial(is_done, plan, member))]
    for member in unfinished:
        _say(f"{member.name}: is not finished yet; start it with --resume")
    if not unfinished and plan.experiment.phases[-1].name in plan.wanted:
        by_first_process(partial(_pool, plan.folder))
    return plan.folder


def _say(line: str) -> None:
    print(line, flush=True)


def _plan(request: RunRequest, repetition: FoldsRequest) -> FoldsPlan:
    from monai_tff.bundle.experiment import overridden_phases
    from monai_tff.bundle.folds_members import FoldsPlan, refuse_member_overrides
    from monai_tff.bundle.folds_splits import chosen_splits, find_splits, single_split
    from monai_tff.bundle.run_workflow import quiet_workflow

    refuse_member_overrides(request.overrides)
    overrides = request.overrides_with("dataset_dir", "datalist")
    last = overridden_phases(request.experiment, overrides, request.phases)[-1]
    datalist = quiet_workflow(list(last.config_files), "train", last.overrides).parser.get_parsed_content("datalist")
    splits = [single_split(datalist)] if repetition.folds is None else find_splits(datalist)
    return FoldsPlan(
        experiment=request.experiment,
        folder=request.folder,
        splits=splits,
        chosen=splits if repetition.folds is None else chosen_splits(splits, repetition.folds),
        seeds=repetition.seeds or 1,
        overrides=request.overrides_with("dataset_dir"),
        phases=request.phases,
        resume=request.resume,
    )


def _in_this_process(plan: FoldsPlan, members: Sequence[Member], progress: MembersProgress) -> list[str]:
    """Runs members one after the other; one that the user can put right does not stop the others."""
    from monai_tff.bundle.experiment import run_experiment
    from monai_tff.bundle.processes import started_processes
    from monai_tff.errors import user_error_in

    failures = []
    for member in members:
        progress.start(member.name, f"started in {member.place}")
        try:
            # resumed always: what is not there is begun, and that the folder was empty is checked
            run_experiment(
                plan.experiment,
                member.place,
                plan.overrides_of(member),
                plan.phases,
                resume=True,
                say=_say,
                check=False,
            )
        except Exception as error:
            sentence = user_error_in(error)
            # several processes that wait for each other are not to be trusted after an error of one
            if sentence is None or started_processes() > 1:
                raise
            failures.append(f"{member.name}: {sentence}")
        progress.end(member.name, "failed" if failures and failures[-1].startswith(f"{member.name}: ") else "done")
    return failures


def _in_children(
    request: RunRequest,
    repetition: FoldsRequest,
    plan: FoldsPlan,
    members: Sequence[Member],
    progress: MembersProgress,
) -> list[str]:
    """Runs members as processes of their own; one that fails does not stop the others."""
    from monai_tff.bundle.folds_members import is_done
    from monai_tff.cli.run_jobs import Job, last_error, run_jobs

    by_name = {member.name: member for member in members}
    failures: list[str] = []
    verb = "started" if repetition.scheduler is None else f"handed to the scheduler {repetition.scheduler}"

    def on_start(job: Job) -> None:
        progress.start(job.name, f"{verb}, log {job.log}")

    def on_end(job: Job, code: int) -> None:
        failed = not is_done(plan, by_name[job.name])
        progress.end(job.name, "failed" if failed else "done")
        if failed:
            failures.append(f"{job.name}: {last_error(job.log)} (exit code {code}, log {job.log})")
        elif code:
            _say(f"{job.name}: trained and evaluated, but then: {last_error(job.log)} (log {job.log})")

    jobs = [Job(member.name, _arguments(request, plan, member), member.place / LOG) for member in members]
    at_once = repetition.jobs or 1
    if repetition.scheduler is None:
        run_jobs(jobs, at_once, on_start, on_end)
    else:
        from monai_tff.cli.run_cluster import run_on_cluster

        run_on_cluster(jobs, repetition.scheduler, at_once, on_start, on_end)
    return failures


def _arguments(request: RunRequest, plan: FoldsPlan, member: Member) -> tuple[str, ...]:
    """Of Python, to run one member alone."""
    options = ["--run-dir", str(member.place), "--datalist", str(member.datalist), "--resume"]
    if "dataset_dir" in request.places:
        options += ["--dataset-dir", request.places["dataset_dir"]]
    options += [part for name in plan.phases or () for part in ("--phase", name)]
    options += [part for text in (*request.sets, f"seed={member.seed}") for part in ("--set", text)]
    options += [part for step in {*request.without, *PARENTS_STEPS} for part in ("--without", step)]
    return ("-m", "monai_tff.cli.run_member", "run", request.source, *options)


def _give_up(failures: Sequence[str]) -> NoReturn:
    for sentence in failures:
        typer.echo(f"error: {sentence}", err=True)
    typer.echo(
        f"error: {len(failures)} members failed, expected none; put right what is said above, then start the same "
        "command again with --resume: it does what is missing.",
        err=True,
    )
    raise typer.Exit(1)


def _pool(folder: Path) -> None:
    from monai_tff.bundle.folds import pool_evaluations
    from monai_tff.bundle.folds_numbers import write_numbers
    from monai_tff.bundle.study_folder import read_members
    from monai_tff.bundle.written_result import read_metrics

    first = read_metrics(read_members(folder)[0].folder / "evaluation")
    if "target" in first:
        write_numbers(folder)
        pool_evaluations(folder, "evaluation")
