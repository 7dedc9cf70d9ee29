"""Paths that lead out of the studies, in every place of a request: nothing outside is read or written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.apps.monailabel.conftest import CANARY, make_studies, snapshot

SECRET = b"canary-7f3a"


def hostile(outside: Path) -> list[str]:
    """Thirty ways to name the canaries from the studies, or from anywhere."""
    target, absolute = "canary.json", str(outside / "canary.json")
    up = ["../", "..\\", "..//", ".././", "./../", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f"]
    up += ["..%c0%af", "..%ef%bc%8f", "\u2025/", "....//", "..;/", "sub-0001/../../", "labels/../../", "../studies/../"]
    names = [prefix + target for prefix in up]
    names += [absolute, "/" + absolute, f"file://{absolute}", absolute.replace("/", "%2f"), f"{absolute}\x00.nii.gz"]
    names += ["../canary", "../canary_bold", str(outside / "canary_bold"), str(outside / "canary_bold.nii.gz")]
    names += ["./sub-9003_bold", "../../../../../../../../etc/passwd", "~/canary.json", f"${{HOME}}/{target}"]
    return names


@pytest.fixture(scope="module")
def world(
    start: Callable[..., Any], bundles: dict[str, Path], cohort: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    studies = make_studies(cohort, tmp_path_factory.mktemp("hostile"))
    server = start(bundles["sex"], bundles["reconstruction"], "--studies", studies)
    yield server, studies.parent
    server.stop()


def requests_with(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The name in every place of every endpoint, as it is and percent-encoded."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for written in (name, quote(name, safe="")):
        for path in ("", "/infer/", "/batch/infer/", "/datastore/", "/model/", "/static/", "/logs/", "/info/"):
            found += [(method, f"{path}{written}" or "/", {}) for method in ("GET", "POST", "PUT", "DELETE")]
    for key in ("image", "id", "label", "model_filename", "session_id"):
        asked = {key: name}
        found += [("GET", path, {"params": asked}) for path in ("/datastore/image", "/datastore/image/info")]
        found += [("POST", "/infer/sex", {"params": asked}), ("HEAD", "/datastore/image", {"params": asked})]
        found.append(("POST", "/infer/sex", {"params": {"image": "IMAGE"}, "data": {"params": json.dumps(asked)}}))
        found.append(("POST", "/batch/infer/sex", {"json": asked}))
    for label, tag in ((name, "original"), ("IMAGE", name), (name, name)):
        for path in ("/datastore/label", "/datastore/label/info"):
            found.append(("GET", path, {"params": {"label": label, "tag": tag}}))
    saving = json.dumps({"save_label": True, "label_tag": name})
    found.append(("POST", "/infer/sex", {"params": {"image": "IMAGE"}, "data": {"params": saving}}))
    found.append(("POST", "/batch/infer/sex", {"params": {"run_sync": "true"}, "json": {"label_tag": name}}))
    found.append(("POST", "/batch/infer/sex", {"params": {"images": name}}))
    found += [(method, "/datastore/image", {"files": {"file": (name, b"x")}}) for method in ("PUT", "POST")]
    found.append(("POST", "/infer/sex", {"files": {"file": (name, b"x")}}))
    return found


@pytest.mark.parametrize("number", range(31))
def test_nothing_outside_is_read_or_written(world: tuple[Any, Path], number: int) -> None:
    server, outside = world
    names = hostile(outside)
    assert len(names) == 31
    before = snapshot(outside)
    image = "sub-0001/func/sub-0001_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold"
    scan = (outside / "canary_bold.nii.gz").read_bytes()
    for method, path, arguments in requests_with(names[number]):
        given = json.loads(json.dumps({**arguments, "files": None}).replace("IMAGE", image))
        given["files"] = arguments.get("files")
        answer = server.ask(method, path if path.startswith("/") else "/" + path, **given)
        assert answer.status_code in (400, 401, 404, 405, 413, 415, 422), (method, path, given, answer.text)
        assert SECRET not in answer.content
        assert b"root:" not in answer.content
        assert scan not in answer.content
        assert str(outside).encode() not in answer.content
    assert snapshot(outside) == before
    assert before["canary.json"][2] == CANARY


def test_a_link_that_leaves_the_studies_is_no_scan(world: tuple[Any, Path]) -> None:
    server, _ = world
    assert "sub-9003_bold" not in server.ask("GET", "/datastore").json()["images"]
    assert server.infer("sex", "sub-9003_bold").status_code == 404
    assert server.ask("GET", "/datastore/image", params={"image": "sub-9003_bold"}).status_code == 404
    assert server.infer("sex", "sub-9004_bold").status_code == 200  # this one leads to another scan of the studies
    assert "second files: 1" in server.output()


def test_the_upload_of_a_hostile_name_is_a_scan_as_any(world: tuple[Any, Path]) -> None:
    server, outside = world
    before = snapshot(outside)
    scan = (outside / "canary_bold.nii.gz").read_bytes()
    for name in hostile(outside):
        answer = server.ask("POST", "/infer/sex", files={"file": (name.replace("\x00", ""), scan)})
        assert [answer.status_code, answer.json().get("image")] == [200, "upload"]
    assert snapshot(outside) == before
    assert list(server.temporary.glob("*")) == []
