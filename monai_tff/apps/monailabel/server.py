"""`python -m monai_tff serve`: MONAI Label's server with our app, our logs and our way to stop."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance, clear_cache

from monai_tff.apps.monailabel.guard import is_loopback
from monai_tff.apps.monailabel.quiet import keep_logs_quiet
from monai_tff.apps.monailabel.settings import read_token
from monai_tff.errors import ConfigError

STOP_SECONDS = 5
"""Seconds that requests get to end when the server stops."""


def run_server(studies: Path, host: str, port: int, conf: dict[str, Any], say: Callable[[str], None] = print) -> None:
    """Loads the bundles, answers until Ctrl-C or SIGTERM, and cleans up.

    Args:
        studies: folder of the scans.
        host: address to listen at.
        port: likewise, 0 for any that is free.
        conf: see `ServerSettings.from_conf`.
        say: called with the lines for the user.

    Raises:
        ConfigError: for wrong settings, another address than loopback without a token, or a port that is taken.
        BundleError: as `TFFApp`.
        ScanError: likewise.
    """
    token_file = conf.get("token_file")
    token = read_token(Path(token_file) if token_file else None)
    if not is_loopback(host) and token is None:
        raise ConfigError(
            f"--host {host}: others may reach this address, expected a token to let only some of them in; give "
            "--token-file, or listen at 127.0.0.1."
        )
    server_socket = _bound(host, port)
    with contextlib.closing(server_socket), _interrupted_by_sigterm():
        _quiet_logs()
        with _loaded(studies, conf) as app:
            from monailabel.app import app as served

            config = uvicorn.Config(served, log_config=None, access_log=False, proxy_headers=False, server_header=False)
            config.timeout_graceful_shutdown = STOP_SECONDS
            server = _TellingServer(config, lambda: _tell(say, server_socket, token is not None))
            _run(server, server_socket)
    say("stopped")
    if app.queue.busy:  # a prediction cannot be interrupted; everything is cleaned up, so the process ends without it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@contextlib.contextmanager
def _loaded(studies: Path, conf: dict[str, Any]) -> Iterator[Any]:
    """MONAI Label's app, in the same process; its own start would make folders beside our code."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints origins that it then does not let in
        import monailabel.app  # noqa: F401
    settings.MONAI_LABEL_APP_DIR = str(Path(__file__).parent)
    settings.MONAI_LABEL_STUDIES = str(studies)
    settings.MONAI_LABEL_APP_CONF = conf
    app = app_instance()
    try:
        yield app
    finally:
        app.close()
        clear_cache()


def _quiet_logs() -> None:
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, force=True)
    keep_logs_quiet()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server_socket = socket.socket(family)
    try:
        server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server_socket.bind((host, port))
        server_socket.listen()  # while the bundles load, no other process can take the port
    except (OSError, OverflowError) as error:
        server_socket.close()
        raise ConfigError(
            f"--host {host} --port {port}: cannot be listened at ({error}), expected an address of this machine and a "
            "free port; name another port, or 0 for any."
        ) from error
    return server_socket


def _tell(say: Callable[[str], None], server_socket: socket.socket, has_token: bool) -> None:
    host, port = server_socket.getsockname()[:2]
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host)  # these cannot be called
    called = every or host
    address = f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}"
    others = f" and at port {port} of every other address of this machine" if every else ""
    header = ' -H "Authorization: Bearer TOKEN"' if has_token else ""
    say(f"listening at {address}{others} (Ctrl-C stops)")
    say(f"  the models:  curl{header} {address}/info")
    say(f"  the images:  curl{header} {address}/datastore")
    say(f'  an answer:   curl{header} -X POST "{address}/infer/MODEL?image=IMAGE"')


class _TellingServer(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets=sockets)
        if self.started:
            self._tell()


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM mean what Ctrl-C means, so that what is on the disk is removed then, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(server: uvicorn.Server, server_socket: socket.socket) -> None:
    """Runs until a signal; uvicorn raises it once more when it has stopped, which here means no failure."""
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[server_socket])
        if not server.started:
            raise RuntimeError("the server did not start")
