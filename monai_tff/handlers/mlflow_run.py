"""MLflow gets the numbers of a run: MONAI's handler, bound to the run folder."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ignite.engine import Engine
from monai.handlers import MLFlowHandler
from monai.handlers.mlflow_handler import MlflowException
from monai.utils import is_scalar

from monai_tff.handlers.files import replaced_file

NOTE = "mlflow_run.json"
"""File of a run folder with the ID of its run in MLflow, by which a continued run finds it again."""

DELETED = "deleted"

_SEED_FOLDER = re.compile(r"seed-\d+")
_LOGGER = logging.getLogger(__name__)


class MLflowRun(MLFlowHandler):
    """MONAI's MLFlowHandler for one run folder, whose trainer and evaluator write to one run of MLflow.

    The trainer's numbers are there by iteration, the evaluator's by epoch, each below the name of its split:
    `training/loss`, `validation/auroc`. Experiment and run have the names of the run folder, see `names_of`. The run's
    ID is kept in the run folder, so that a continued training continues there; the steps that it repeats are there
    twice, with the same numbers. Where MLflow does not answer any more, the training goes on: `metrics.csv` has all
    numbers. MLflow's own usage statistics are off, unless the variable MLFLOW_DISABLE_TELEMETRY is set to false.

    Args:
        tracking_uri: server or database; where the variable MLFLOW_TRACKING_URI is set, it goes before.
        run_dir: the run folder.
        split: put before the names of the numbers.
        every: iterations between two looks at what `output_transform` gives; 0 for none.
        output_transform: from the engine's output to scalars by name.
        completes: the run in MLflow is finished when this engine is; the trainer's is.
    """

    def __init__(
        self,
        tracking_uri: str,
        run_dir: str | Path,
        split: str,
        *,
        every: int = 0,
        output_transform: Callable[[Any], Any] = lambda output: None,
        completes: bool = False,
    ) -> None:
        no_usage_statistics()
        self.run_dir = Path(run_dir).resolve()
        self.split = split
        self._lost = False
        self.experiment: Any
        experiment_name, run_name = names_of(self.run_dir)
        super().__init__(
            tracking_uri,
            iteration_log=(lambda _, iteration: iteration % every == 0) if every else False,
            output_transform=output_transform,
            experiment_name=experiment_name,
            run_name=run_name,
            optimizer_param_names=(),  # the learning rate is one of the scalars
            close_on_complete=completes,
        )

    def start(self, engine: Engine) -> None:
        """Opens the run of the run folder, or a new one.

        Args:
            engine: trainer or evaluator.
        """
        self._try(partial(self._start, engine))

    def _start(self, engine: Engine) -> None:
        self._set_experiment()
        if self.cur_run is None:
            self.cur_run = self._earlier_run() or self._new_run()
        super().start(engine)

    def _earlier_run(self) -> Any:
        note = self.run_dir / NOTE
        if not note.is_file():
            return None
        try:
            found = self.client.get_run(json.loads(note.read_text(encoding="utf-8"))["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None  # it was deleted there, or the training goes on with another server
        return None if found.info.lifecycle_stage == DELETED else found

    def _new_run(self) -> Any:
        created = self.client.create_run(self.experiment.experiment_id, run_name=self.run_name)
        with replaced_file(self.run_dir / NOTE) as file:
            file.write(json.dumps({"run_id": created.info.run_id}).encode())
        return created

    def close(self) -> None:
        """Marks the run as finished."""
        self._try(super().close)

    def _log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        values = {f"{self.split}/{name}": float(value) for name, value in metrics.items() if is_scalar(value)}
        self._try(partial(super()._log_metrics, values, step))

    def _try(self, action: Callable[[], None]) -> None:
        if self._lost:
            return
        try:
            action()
        except (MlflowException, ValueError) as error:  # ValueError: somebody deleted the experiment there
            self._lost = True
            _LOGGER.warning(
                f"MLflow: does not take the {self.split} numbers of {self.run_dir} ({reason_of(error)}); from here on "
                "they are in metrics.csv alone, and the training goes on."
            )


def no_usage_statistics() -> None:
    """Keeps MLflow from telling its makers how it is used, unless the user has chosen already."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def names_of(run_dir: Path) -> tuple[str, str]:
    """Names of experiment and run in MLflow.

    Args:
        run_dir: the run folder, absolute.

    Returns:
        The study's folder and the path of the run folder in it.

    Example:
        >>> names_of(Path("/runs/my_study/finetune"))
        ('my_study', 'finetune')
        >>> names_of(Path("/runs/my_folds/fold-1/seed-0/finetune"))
        ('my_folds', 'fold-1/seed-0/finetune')
    """
    is_member = _SEED_FOLDER.fullmatch(run_dir.parent.name) and len(run_dir.parents) > 2
    study = run_dir.parents[2] if is_member else run_dir.parent
    return study.name or run_dir.name, run_dir.relative_to(study).as_posix()


def reason_of(error: Exception) -> str:
    """The first line of an error without the password of an address.

    Example:
        >>> reason_of(ValueError("no answer from http://ada:secret@host/api"))
        'no answer from http://host/api'
    """
    lines = str(error).splitlines() or [type(error).__name__]
    return without_password(lines[0].rstrip("."))


def without_password(text: str) -> str:
    """A text without the name and password that an address in it may hold."""
    return re.sub(r"//[^/@\s]*@", "//", text)
