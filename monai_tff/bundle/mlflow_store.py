"""Whether the MLflow that a configuration names takes the numbers of a run, before there is a run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from monai.handlers import MLFlowHandler
from monai.handlers.mlflow_handler import MlflowException

from monai_tff.bundle.processes import by_first_process
from monai_tff.errors import ConfigError
from monai_tff.handlers.mlflow_run import no_usage_statistics, reason_of, without_password

SQLITE = "sqlite:///"
TRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def check_mlflow(uri: str | None) -> None:
    """Refuses an address of MLflow that cannot be used, before a run folder is made; the first process asks.

    Args:
        uri: `mlflow_uri` of the configuration, None where MLflow is not wanted.

    Raises:
        ConfigError: where MLflow is not installed, for a folder (MLflow keeps its runs in databases), or where the
            server or the database does not answer.
    """
    if uri:
        by_first_process(partial(_check, str(uri)))


def _check(uri: str) -> None:
    if "://" not in uri or uri.startswith("file:"):
        raise ConfigError(
            f"mlflow_uri: is {without_password(uri)}, expected the address of a server or a database; write http://... "
            f"or {SQLITE}<path>.db, or set it to null."
        )
    folder = Path(uri.removeprefix(SQLITE)).parent
    if uri.startswith(SQLITE) and not folder.is_dir():
        raise ConfigError(
            f"mlflow_uri: the folder {folder} of the database is not there, expected one; make it, or correct the path."
        )
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError(
            "mlflow_uri: is set, but the module mlflow is not installed here, expected it; install it with "
            "pip install 'monai_tff[mlflow]', or set mlflow_uri to null."
        )
    no_usage_statistics()
    try:
        with _few_tries():
            MLFlowHandler(uri).client.search_experiments(max_results=1)
    except (MlflowException, ImportError) as error:
        raise ConfigError(
            f"mlflow_uri: {without_password(uri)} does not answer as MLflow ({reason_of(error)}), expected a server or "
            "a database that does; check the address, or set mlflow_uri to null."
        ) from None  # its traceback would show a password in the address


@contextmanager
def _few_tries() -> Iterator[None]:
    """Asks for seconds, not for the four minutes that MLflow takes by default, unless the user has chosen."""
    chosen = os.environ.get(TRIES)
    os.environ.setdefault(TRIES, "2")
    try:
        yield
    finally:
        if chosen is None:
            del os.environ[TRIES]
