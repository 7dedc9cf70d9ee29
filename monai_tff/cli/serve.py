"""`python -m monai_tff serve`: bundles answer over HTTP, in MONAI Label's way and with safe defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from monai_tff.apps.monailabel.settings import ServerSettings


def serve(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles (folders or .zip files) or run folders.")],
    studies: Annotated[Path, typer.Option(help="Folder of 4D NIfTI scans, a BIDS folder for example.")],
    host: Annotated[str, typer.Option(help="Address to listen at; any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at, 0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that callers must show; default: the variable MONAI_TFF_TOKEN."),
    ] = None,
    max_upload_mb: Annotated[
        int, typer.Option(min=1, help="Most megabytes in one request.")
    ] = ServerSettings.max_upload_mb,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests that run or wait at once; more are told to wait.")
    ] = ServerSettings.queue,
    trust: Annotated[
        bool, typer.Option("--trust", help="Skip the check that a bundle does nothing but predict; for your own only.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda where there is one.")] = None,
) -> None:
    """Answer for scans over HTTP, with MONAI Label."""
    conf: dict[str, Any] = {
        "bundles": [str(bundle.absolute()) for bundle in bundles],
        "trust": trust,
        "device": device,
        "queue": queue,
        "max_upload_mb": max_upload_mb,
        "token_file": token_file,
    }
    _run_server()(studies, host, port, conf, typer.echo)


def _run_server() -> Any:
    from monai_tff.errors import ConfigError

    try:
        from monai_tff.apps.monailabel.server import run_server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serve: the module {error.name} is not installed here, expected the environment of MONAI Label; make it "
            "with make label-env and start .venv-label/bin/python -m monai_tff serve, see docs/how_to/serve.md."
        ) from error
    return run_server
