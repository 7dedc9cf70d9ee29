"""First entries of every bundle's `initialize`: the checks, and the folder that a training run writes."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from monai_tff.bundle.caller import calling_parser, config_files
from monai_tff.bundle.checks import check_config_files, check_known_keys, merged_config
from monai_tff.errors import user_error_in


def start() -> None:
    """Checks the merged configuration, and makes a user's error the last line of what is printed.

    Raises:
        ConfigError: for an unknown, misspelt or duplicate key.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _sentence_last
    files = config_files()
    check_config_files(files)
    check_known_keys(merged_config(calling_parser()), files[0] if files else None)
    # nilearn, matplotlib and others log at import; their debug lines would bury a run's own
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


def _sentence_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sentence = user_error_in(error)
    if sentence is not None:
        print(f"error: {sentence}", file=sys.stderr)
