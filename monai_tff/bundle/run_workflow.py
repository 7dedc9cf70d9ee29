"""Runs a bundle's workflow in this process, without the remarks of the libraries that are no news."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from monai_tff.bundle.processes import IN_GROUP, started_processes
from monai_tff.bundle.workflow import Workflow

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
