"""What follows the test numbers of a run: a control, baselines, maps and the report.

None of them changes the numbers, so that one that fails is said at the end and the others are made.
"""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")
Say = Callable[[str], None]

EVALUATION = "evaluation"
CONTROL = "controls/shuffled_frames"

OF_TORCHRUN = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclasses.dataclass(frozen=True)
class StepsDone:
    """What came of the steps.

    Attributes:
        failures: a sentence for each step that failed.
        report: the report's file, if it was written.
    """

    failures: list[str]
    report: Path | None


def run_steps(folder: Path, without: Sequence[str], say: Say) -> StepsDone:
    """Makes what follows the test numbers; each step leaves alone what it finished before.

    Of several processes that torchrun started, the first one alone calls this, after their group is closed.

    Args:
        folder: run folder of phase 3, or folder of folds, with its evaluation.
        without: names of the steps to leave out.
        say: takes each line for the user.

    Returns:
        The failures, and the report's file.
    """
    failures: list[str] = []
    report: Path | None = None
    with _alone():
        for name, step in (("control", _control), ("baselines", _baselines), ("explain", _explain)):
            if name not in without:
                say(f"{name} of {folder}")
                _tried(name, partial(step, folder, say), failures)
        if "report" not in without:
            say(f"report of {folder}")
            report = _tried("report", partial(_report, folder), failures)
    return StepsDone(failures, report)


def has_numbers(folder: Path) -> bool:
    """Whether a folder holds the test numbers of a prediction, and not of a reconstruction."""
    from monai_tff.bundle.written_result import METRICS, read_metrics

    evaluation = folder / EVALUATION
    return (evaluation / METRICS).is_file() and "target" in read_metrics(evaluation)


def closing_lines_of(folder: Path) -> list[str]:
    """The last lines of a run: its numbers, and of folds those of each and how far they differ.

    Args:
        folder: run folder of phase 3, or folder of folds, with its evaluation.
    """
    from monai_tff.bundle.folds_numbers import fold_lines
    from monai_tff.bundle.written_result import closing_lines, read_metrics

    return [*fold_lines(read_metrics(folder / EVALUATION)), *closing_lines(folder / EVALUATION)]


def _tried(name: str, step: Callable[[], Made], failures: list[str]) -> Made | None:
    from monai_tff.errors import user_error_in

    try:
        return step()
    except Exception as error:
        sentence = user_error_in(error)
        if sentence is None:
            traceback.print_exc()
        failures.append(f"{name}: {sentence or f'{type(error).__name__}: {error} (the traceback is above)'}")
        return None


def _control(folder: Path, say: Say) -> None:
    from monai_tff.bundle.controls import evaluate_shuffled
    from monai_tff.bundle.folds import pool_evaluations
    from monai_tff.bundle.study_folder import is_folds_folder, read_members

    if not is_folds_folder(folder):
        evaluate_shuffled(folder)
        return
    for member in read_members(folder):
        say(f"{member.name}:")
        evaluate_shuffled(member.folder)
    pool_evaluations(folder, CONTROL)


def _baselines(folder: Path, say: Say) -> None:
    from monai_tff.baselines import run_baselines

    run_baselines(folder, say=say)


def _explain(folder: Path, say: Say) -> None:
    from monai_tff.explain import explain_run

    explain_run(folder, say=say)


def _report(folder: Path) -> Path:
    from monai_tff.report import write_report

    return write_report(folder)


@contextmanager
def _alone() -> Iterator[None]:
    """Lets this process forget that torchrun started it together with others, which have ended."""
    import ignite.distributed as idist

    taken = {name: os.environ.pop(name) for name in OF_TORCHRUN if name in os.environ}
    idist.sync()  # it remembers the group otherwise
    try:
        yield
    finally:
        os.environ.update(taken)
