"""How a server starts and stops: our command, and MONAI Label's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from monai_tff.apps.monailabel import scan_task
from monai_tff.apps.monailabel import server as server_module
from monai_tff.apps.monailabel.app import TFFApp
from monai_tff.apps.monailabel.settings import ServerSettings, read_token
from monai_tff.errors import ConfigError
from tests.apps.monailabel.conftest import Server, snapshot
from tests.conftest import run_python

MAIN = Path(__file__).parents[3] / "monai_tff" / "apps" / "monailabel" / "main.py"


def test_start_and_stop(start: Callable[..., Any], bundles: dict[str, Path], studies: Path) -> None:
    before = snapshot(studies)
    package = snapshot(MAIN.parent)
    server = start(bundles["sex"], "--studies", studies)
    assert f'{server.url}/infer/MODEL?image=IMAGE"' in server.output()
    assert server.ask("GET", "/info").status_code == 200
    assert server.stop(signal.SIGINT) == 0  # Ctrl-C
    assert server.output().rstrip().endswith("stopped")
    assert "Traceback" not in server.output()
    with pytest.raises(requests.exceptions.ConnectionError):
        server.ask("GET", "/info")
    assert list(server.temporary.glob("*")) == []
    assert snapshot(studies) == before
    assert {name: facts[1:] for name, facts in snapshot(MAIN.parent).items() if name.endswith(".py")} == {
        name: facts[1:] for name, facts in package.items() if name.endswith(".py")
    }


def test_stopped_at_work_and_started_again_at_the_same_port(
    start: Callable[..., Any], bundles: dict[str, Path], studies: Path, tmp_path: Path
) -> None:
    """A batch that somebody waits for does not keep the server from stopping, nor leave anything behind."""
    scan = next((studies / "sub-0001" / "func").glob("*_bold.nii.gz"))
    for number in range(3000):  # more than are done before it stops
        os.link(scan, tmp_path / f"sub-{number:04d}_task-rest_bold.nii.gz")
    first = start(bundles["sex"], bundles["reconstruction"], "--studies", tmp_path)
    port = first.url.rsplit(":", 1)[1]
    statuses: list[int] = []

    def wait_for_batch() -> None:
        answer = first.ask("POST", "/batch/infer/reconstruction?run_sync=true", json={"save_label": False})
        statuses.append(answer.status_code)

    waiting = threading.Thread(target=wait_for_batch)
    waiting.start()
    first.wait_for(r"batch [0-9a-f]{8}: (\d+) of 3000")
    assert first.stop() == 0
    waiting.join()
    assert statuses == [503]
    assert first.output().rstrip().endswith("stopped")
    assert "Traceback" not in first.output()
    assert list(first.temporary.glob("*")) == []
    words = [sys.executable, "-m", "monai_tff", "serve", str(bundles["sex"]), "--studies", str(studies), "--port", port]
    second = Server(words, first.log.parent)
    second.url = second.wait_for(r"listening at (http://\S+)")
    assert second.url == first.url
    assert second.ask("GET", "/info").status_code == 200
    assert second.stop() == 0


def test_stopped_while_it_loads(exports: Callable[[str], Any], studies: Path, tmp_path: Path) -> None:
    """A bundle that is unpacked by then does not stay on the disk."""
    words = [sys.executable, "-m", "monai_tff", "serve", str(exports("site").archive), "--studies", str(studies)]
    server = Server([*words, "--port", "0"], tmp_path)
    while not list(server.temporary.glob("monai_tff_*")):
        assert server.process.poll() is None, server.output()
        time.sleep(0.01)
    assert server.stop() == 130
    assert list(server.temporary.glob("monai_tff_*")) == []
    assert server.output().strip() == "interrupted"


def serve(*arguments: object, folder: Path) -> tuple[int, str]:
    result = run_python("-m", "monai_tff", "serve", *map(str, arguments), folder=folder)
    return result.returncode, result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("host", "token", "sentence"),
    [
        ("0.0.0.0", None, "--host 0.0.0.0: others may reach this address"),
        ("example.org", None, "--host example.org: others may reach"),
        ("0.0.0.0", "short", "MONAI_TFF_TOKEN: the token has 5 characters, expected 16"),
        ("127.0.0.1", None, "--host 127.0.0.1 --port {port}: cannot be listened at"),
        ("127.0.0.1", "a-token-of-26-characters-1", "--host 127.0.0.1 --port {port}: cannot be listened at"),
    ],
)
def test_it_does_not_start_where_it_must_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, token: str | None, sentence: str
) -> None:
    """The port is that of a server whose bundles load: it is taken already."""
    monkeypatch.delenv("MONAI_TFF_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("MONAI_TFF_TOKEN", token)
    with server_module._bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="^" + re.escape(sentence.format(port=port))):
            server_module.run_server(tmp_path, host, port, {"bundle": "a"})


def test_a_folder_of_scans_that_is_not_there(bundles: dict[str, Path], tmp_path: Path) -> None:
    code, line = serve(bundles["sex"], "--studies", tmp_path / "nothing", folder=tmp_path)
    assert [code, "there is no such folder, expected one with 4D NIfTI scans" in line] == [1, True]


def test_a_run_of_several_phases(bundles: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bundles["sex"], tmp_path / "run" / "finetune")
    with pytest.raises(ConfigError, match=r"name one of its phases \(finetune\)"):
        TFFApp("", str(tmp_path), {"bundle": str(tmp_path / "run")})


@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_metadata_that_cannot_be_read(bundles: dict[str, Path], tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "metadata.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"metadata\.json: cannot be read .*, expected the metadata of a bundle"):
        scan_task._metadata(path)


def test_a_bundle_that_would_run_code_is_refused(bundles: dict[str, Path], studies: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles["sex"], tmp_path / "hostile"))
    config = bundle / "configs" / "inference.yaml"
    canary = tmp_path / "canary"
    config.write_text(config.read_text() + f"\nextra: $open('{canary}', 'w')\n")
    code, line = serve(bundle, "--studies", studies, folder=tmp_path)
    assert [code, line.startswith("error: ")] == [1, True]
    assert "inference.yaml" in line
    assert not canary.exists()


def test_monai_labels_own_command(bundles: dict[str, Path], studies: Path, images: list[str], tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    shutil.copy(MAIN, app)  # MONAI Label makes folders beside it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = str(Path(sys.executable).with_name("monailabel"))
    words = [script, "start_server", "--app", str(app), "--studies", str(studies), "--port", str(port)]
    words += ["--conf", "bundles", f"{bundles['age']},{bundles['reconstruction']}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = Server(words, tmp_path, {"PATH": path})
    try:
        server.wait_for(r"(Uvicorn running|scans: \d+)")
        server.url = f"http://127.0.0.1:{port}"
        time.sleep(0.5)
        assert set(server.ask("GET", "/info/").json()["models"]) == {"age", "reconstruction"}
        assert server.infer("age", images[0]).json()["image"] == images[0]
        assert server.ask("POST", "/reload").status_code == 404
        assert server.ask("GET", "/info/", headers={"Host": "evil.example"}).status_code == 403
        assert server.infer("age", "/etc/passwd").status_code == 404
    finally:
        server.stop()
    logs = server.output() + "".join(path.read_text() for path in (app / "logs").iterdir())
    assert "infer model age status 200" in logs
    assert "sub-" not in logs


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({}, "--conf bundle: there is none"),
        ({"bundle": "a", "bundel": "b"}, "--conf bundel: there is no such key"),
        ({"bundle": "a", "trust": "maybe"}, "--conf trust: found 'maybe'"),
        ({"bundle": "a", "queue": "0"}, "--conf queue: found '0'"),
        (
            {"bundle": "a", "token_file": "/nowhere"},
            r"/nowhere: cannot be read \(No such file or directory\), expected a file with the token in it; check",
        ),
    ],
)
def test_settings_that_are_refused(conf: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match="^" + sentence):
        ServerSettings.from_conf(conf)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o610])
def test_a_token_file_that_others_have_a_right_to(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"token: its mode is {mode:o}, .* run chmod 600 {file}, ") as caught:
        read_token(file)
    assert "0123456789abcdef" not in str(caught.value)
    file.chmod(0o600)
    assert read_token(file) == "0123456789abcdef"


def test_a_token_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(bytes(range(128, 160)))
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"token: cannot be read \(it is no text\)"):
        read_token(file)


def test_settings_that_are_text(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)
    conf = {"bundles": "a, b", "bundle": "c", "trust": "True", "queue": "3", "token_file": str(tmp_path / "token")}
    found = ServerSettings.from_conf(conf)
    assert [str(path) for path in found.bundles] == ["a", "b", "c"]
    assert [found.trust, found.queue, found.token, found.max_upload_mb] == [True, 3, "0123456789abcdef", 2048]
    assert "0123456789abcdef" not in repr(found)
