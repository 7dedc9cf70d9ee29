"""Batches that are still at work: one at a time, others in between, and stopped after the scan that they are at."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from monai_tff.apps.monailabel import routes
from monai_tff.apps.monailabel.app import TFFApp
from monai_tff.apps.monailabel.guard import Guard
from monai_tff.apps.monailabel.refusals import UNWRITABLE, RefusedError
from monai_tff.apps.monailabel.work_queue import QueueFullError, WorkQueue

TOKEN = "0123456789abcdef"


class HeldApp(TFFApp):
    """An app whose answers wait until they are let go, and may fail."""

    failing: Exception | None = None

    def __init__(self, studies: Path, bundle: Path) -> None:
        super().__init__("", str(studies), {"bundle": str(bundle)})
        self.begun, self.go_on = threading.Event(), threading.Event()

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        self.begun.set()
        assert self.go_on.wait(20)
        if self.failing is not None:
            raise self.failing
        return super().infer(request, datastore)


@pytest.fixture
def held(studies: Path, bundles: dict[str, Path]) -> HeldApp:
    return HeldApp(studies, bundles["sex"])


@pytest.fixture
def client(held: HeldApp) -> Iterator[TestClient]:
    with asking(held) as found:
        yield found


@contextlib.contextmanager
def asking(held: HeldApp) -> Iterator[TestClient]:
    """Asks the app's endpoints, without a process."""
    told = {kind: routes._told for kind in (RefusedError, QueueFullError, MONAILabelException)}
    guard = Middleware(Guard, token=TOKEN, max_bytes=10**6)
    app = Starlette(routes=routes.routes(held, WorkQueue(2)), middleware=[guard], exception_handlers=told)
    with TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}) as found:
        yield found
        held.go_on.set()


def ended(client: TestClient) -> dict[str, Any]:
    """The last batch, when it has ended."""
    for _ in range(400):
        state = client.get("/batch/infer").json()
        if state["status"] != "RUNNING":
            return state
        time.sleep(0.02)
    raise AssertionError(state)


def test_there_is_none_at_first(client: TestClient) -> None:
    for answer in (client.get("/batch/infer"), client.delete("/batch/infer")):
        assert [answer.status_code, answer.json()["detail"]] == [404, "There is no such batch."]


def test_one_at_a_time_and_stopped_when_asked(client: TestClient, held: HeldApp) -> None:
    begun = client.post("/batch/infer/sex", json={"label_tag": "held", "save_label": False})
    assert [begun.status_code, begun.json()["status"]] == [200, "RUNNING"]
    assert held.begun.wait(20)
    second = client.post("/batch/infer/sex")
    assert [second.status_code, "running already" in second.json()["detail"]] == [429, True]
    running = client.get("/batch/infer", params={"check_if_running": "true"}).json()
    assert [running["id"], running["details"], "result" in running] == [begun.json()["id"], ["0 of 7 images"], False]
    assert client.delete("/batch/infer").json()["id"] == begun.json()["id"]
    held.go_on.set()
    state = ended(client)
    assert [state["status"], len(state["result"])] == ["STOPPED", 1]
    assert client.get("/batch/infer", params={"check_if_running": "true"}).status_code == 404


@pytest.mark.parametrize(
    ("failing", "detail"),
    [
        (MONAILabelException(MONAILabelError.APP_ERROR, "The label could not be written."), "The label could not"),
        (ValueError("/data/sub-secret"), "The server failed; its log tells where."),
    ],
    ids=["datastore", "other"],
)
def test_a_failure_ends_no_batch_and_is_told_without_its_words(
    client: TestClient, held: HeldApp, failing: Exception, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    held.failing = failing
    held.go_on.set()
    results = client.post("/batch/infer/sex", params={"run_sync": "true"}, json={"max_batch_size": 2}).json()
    assert [result["status"] for result in results.values()] == [500, 500]
    assert all(result["detail"].startswith(detail) for result in results.values())
    assert "secret" not in caplog.text + str(results)


def test_a_batch_that_cannot_begin_says_so(client: TestClient, held: HeldApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held.scans, "list_images", lambda: 1 // 0)
    client.post("/batch/infer/sex")
    assert [ended(client)["status"], ended(client)["result"]] == ["ERROR", {}]


def test_it_begins_with_the_number_of_its_images(client: TestClient, held: HeldApp) -> None:
    begun = client.post("/batch/infer/sex", json={"save_label": False}).json()
    total = len(held.scans.list_images())
    assert [begun["status"], begun["details"]] == ["RUNNING", [f"0 of {total} images"]]


@pytest.mark.parametrize("form", ["labels", "labels/full", "link"])
def test_nothing_is_predicted_that_could_not_be_saved(
    bundles: dict[str, Path], studies: Path, tmp_path: Path, form: str
) -> None:
    """Where labels would go stands a file, or a link that leads out: root may write in a read-only folder."""
    scans = tmp_path / "scans"
    shutil.copytree(studies / "sub-0001", scans / "sub-0001")
    if form == "link":
        (tmp_path / "elsewhere").mkdir()
        (scans / "labels").symlink_to(tmp_path / "elsewhere")
    else:
        (scans / form).parent.mkdir(exist_ok=True)
        (scans / form).touch()
    held = HeldApp(scans, bundles["sex"])
    held.go_on.set()
    (image,) = held.scans.list_images()
    before = sorted(tmp_path.rglob("*"))
    with asking(held) as client:
        answers = [
            client.post("/batch/infer/sex", json={"label_tag": "full"}),
            client.post(
                "/infer/sex", params={"image": image}, data={"params": '{"save_label": true, "label_tag": "full"}'}
            ),
        ]
        for answer in answers:
            assert [answer.status_code, answer.json()] == [409, {"detail": UNWRITABLE}]
        assert not held.begun.is_set()
        assert sorted(tmp_path.rglob("*")) == before
        results = client.post("/batch/infer/sex", params={"run_sync": "true"}, json={"save_label": False}).json()
        assert results[image]["params"]["image"] == image


def test_what_is_put_in_a_folder_while_it_is_removed(held: HeldApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction that still runs when the server stops may begin its file at any moment."""
    folder = held.temporary_folder()
    late = Path(folder.name) / "reconstruction.nii.gz"
    rmdir, calls = os.rmdir, []

    def rmdir_after_a_write(path: Any, **arguments: Any) -> None:
        if not calls:
            late.touch()
        calls.append(path)
        rmdir(path, **arguments)

    monkeypatch.setattr(os, "rmdir", rmdir_after_a_write)
    held.close()
    assert len(calls) >= 2
    assert not late.parent.exists()


def test_scans_with_and_without_labels(client: TestClient, held: HeldApp, images: list[str]) -> None:
    held.go_on.set()
    tag = {"label_tag": "part"}
    first = client.post("/batch/infer/sex", params={"run_sync": "true"}, json={**tag, "max_batch_size": 2}).json()
    labelled = client.post("/batch/infer/sex", params={"run_sync": "true", "images": "labeled"}, json=tag).json()
    others = client.post("/batch/infer/sex", params={"run_sync": "true", "images": "unlabeled"}, json=tag).json()
    assert [set(first), set(others)] == [set(labelled), {*held.scans.list_images()} - set(labelled)]


def test_a_single_answer_comes_in_between(client: TestClient, held: HeldApp, images: list[str]) -> None:
    client.post("/batch/infer/sex", json={"save_label": False})
    assert held.begun.wait(20)
    threading.Timer(0.2, held.go_on.set).start()
    assert client.post("/infer/sex", params={"image": images[0]}).json()["image"] == images[0]
    assert ended(client)["status"] == "DONE"
