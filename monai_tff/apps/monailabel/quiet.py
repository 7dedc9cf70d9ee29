"""Logs without subject data: only lines that the server words itself get through."""

from __future__ import annotations

import logging
import traceback

LOGGER = "monai_tff.serve"
"""Name of the one logger whose lines name no scan, path, parameter or result."""

logger = logging.getLogger(LOGGER)


class OwnLinesOnly(logging.Filter):
    """Lets the lines of `LOGGER` through; the first warning of another leaves a word that there was one."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; what it says may be replaced."""
        if record.name == LOGGER:
            return True
        if record.levelno < logging.WARNING or record.name in self._told:
            return False
        self._told.add(record.name)
        record.msg = "left out messages of %s: they may name scans"
        record.args = (record.name,)
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def keep_logs_quiet() -> None:
    """Filters every handler of this process, and makes Python's warnings pass through them."""
    logging.captureWarnings(True)
    known = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    for handler in {handler for found in known for handler in found.handlers}:
        if not any(isinstance(known_filter, OwnLinesOnly) for known_filter in handler.filters):
            handler.addFilter(OwnLinesOnly())
    logger.setLevel(logging.INFO)


def place_of(error: BaseException) -> str:
    """Where an error was raised, as kind, file and line: enough to look it up, and nothing of what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
