"""Which workflow is running: found from the call stack, because a config expression cannot see its own parser.

MONAI gives a `$` expression neither the merged configuration nor the folder of its file. Both are needed under the
plain command `python -m monai.bundle run`: to refuse misspelt keys, to write the merged configuration into the run
folder, and to run from any working folder.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, TypeVar

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_tff.errors import ConfigError

Found = TypeVar("Found")


def _nearest_self(kind: type[Found]) -> Found | None:
    """The `self` of the nearest calling method that is of a kind."""
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, kind):
            return candidate
        frame = frame.f_back
    return None


def calling_parser() -> ConfigParser:
    """The parser that is evaluating the expression which calls this.

    Raises:
        ConfigError: if no configuration is being evaluated.
    """
    parser = _nearest_self(ConfigParser)
    if parser is None:
        raise ConfigError(
            "monai_tff.bundle: called outside a configuration, expected an entry of initialize; "
            "use `python -m monai.bundle run`."
        )
    return parser


def bundle_root() -> str:
    """Folder of the bundle whose configuration is being evaluated.

    Returns:
        The parent of the `configs` folder that holds the first config file, absolute; the working folder where no
        workflow is running (a bare `ConfigParser`).
    """
    workflow = _nearest_self(ConfigWorkflow)
    if workflow is None:
        return str(Path.cwd())
    folder = Path(workflow.config_root_path).resolve()
    return str(folder.parent if folder.name == "configs" else folder)


def config_files() -> list[str]:
    """The config files that the running workflow was made from, in the order of their merge."""
    workflow = _nearest_self(ConfigWorkflow)
    if workflow is not None and "config_files" in vars(workflow):
        return [str(file) for file in vars(workflow)["config_files"]]
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "create_workflow" and frame.f_globals.get("__name__") == "monai.bundle.scripts":
            files: Any = frame.f_locals.get("config_file") or []
            return [files] if isinstance(files, str) else [str(file) for file in files]
        frame = frame.f_back
    return []
