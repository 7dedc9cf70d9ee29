"""Who is answered, how much is taken, what is offered, and what the log tells."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

TOKEN = "a-token-of-26-characters-1"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}

OFFERED = [
    *(("GET", path) for path in ("/info", "/info/", "/datastore", "/datastore/", "/datastore/image")),
    *(("GET", path) for path in ("/datastore/image/info", "/datastore/label", "/datastore/label/info", "/batch/infer")),
    *(("HEAD", path) for path in ("/datastore/image", "/datastore/label")),
    *(("POST", path) for path in ("/infer/sex", "/batch/infer/sex")),
    ("DELETE", "/batch/infer"),
]
CLOSED = [
    *(("POST", path) for path in ("/reload", "/train/sex", "/train/", "/activelearning/random", "/scoring/dice")),
    *(
        ("GET", path)
        for path in ("/", "/docs", "/openapi.json", "/logs/", "/logs/gpu", "/static/favicon.ico", "/auth/")
    ),
    *(("GET", path) for path in ("/model/sex", "/model/info/sex", "/ohif/", "/proxy/dicom/x", "/session/1", "/train/")),
    *(("GET", path) for path in ("/datastore/dataset", "/activelearning/", "/scoring/", "/favicon.ico", "/redoc")),
    *(("PUT", path) for path in ("/datastore/updatelabelinfo", "/session/", "/model/sex")),
    *(("DELETE", path) for path in ("/model/sex", "/train/")),
    *(("POST", path) for path in ("/infer/wsi/sex", "/infer/wsi_v2/sex")),
]
OTHER_METHODS = {
    **{(method, "/datastore/"): "GET, HEAD" for method in ("PUT", "DELETE", "POST")},
    **{(method, "/datastore/image"): "GET, HEAD" for method in ("PUT", "DELETE")},
    **{(method, "/datastore/label"): "GET, HEAD" for method in ("PUT", "DELETE")},
    **{("PUT", path): "GET, HEAD" for path in ("/datastore/image/info", "/datastore/label/info")},
    **{(method, "/info/"): "GET, HEAD" for method in ("POST", "OPTIONS")},
    **{(method, "/infer/sex"): "POST" for method in ("GET", "OPTIONS")},
    ("GET", "/batch/infer/sex"): "POST",
    ("POST", "/batch/infer"): "DELETE, GET, HEAD",
}


@pytest.fixture(scope="module")
def guarded(start: Callable[..., Any], bundles: dict[str, Path], studies: Path, tmp_path_factory: Any) -> Iterator[Any]:
    """A server with a token, that listens at every address of the machine and has one place in its queue."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    server = start(bundles["sex"], "--studies", studies, "--token-file", file, "--host", "0.0.0.0", "--queue", 1)
    assert re.search(r"listening at http://127\.0\.0\.1:(\d+) and at port \1 of every other", server.output())
    yield server
    server.stop()


def name_of(case: Any) -> str:
    return " ".join(case)


@pytest.mark.parametrize("case", [*OFFERED, *CLOSED, *OTHER_METHODS], ids=name_of)
def test_every_endpoint_wants_the_token(guarded: Any, case: tuple[str, str]) -> None:
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}2"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = guarded.ask(*case, headers=headers)
        assert [answer.status_code, answer.headers["www-authenticate"]] == [401, "Bearer"]
        assert TOKEN not in answer.text


@pytest.mark.parametrize("case", CLOSED, ids=name_of)
def test_what_is_not_offered(server: Any, guarded: Any, case: tuple[str, str]) -> None:
    for answer in (server.ask(*case), guarded.ask(*case, headers=HEADERS)):
        assert answer.status_code == 404
        assert "no such endpoint" in answer.json()["detail"]


@pytest.mark.parametrize("case", OTHER_METHODS, ids=name_of)
def test_another_method_than_an_endpoint_has(server: Any, guarded: Any, case: tuple[str, str]) -> None:
    allowed = OTHER_METHODS[case]
    for answer in (server.ask(*case), guarded.ask(*case, headers=HEADERS)):
        assert [answer.status_code, answer.headers["allow"]] == [405, allowed]
        sentence = f"This endpoint is asked with another method: {allowed.replace(', ', ' or ')}."
        assert answer.json() == {"detail": sentence}


def test_no_route_is_forgotten(server: Any) -> None:
    """The lists above hold every route that the server has, and none of MONAI Label's is left."""
    from monai_tff.apps.monailabel import routes

    listed = {(route.path, method) for route in routes.routes(None, None)[:-1] for method in route.methods}
    known = {(path, method) for method, path in OFFERED}
    known |= {(path.replace("sex", "{model}"), method) for path, method in known}
    missing = {(path.rstrip("/"), method) for path, method in listed} - {(p.rstrip("/"), m) for p, m in known}
    assert {path for path, method in missing if method != "HEAD"} == set()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens(guarded: Any, images: list[str], scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "anything.example"}
    assert guarded.ask("GET", "/info", headers=headers).status_code == 200
    assert guarded.infer("sex", images[0], headers=headers).status_code == 200


def test_a_token_twice_is_none(guarded: Any) -> None:
    connection = http.client.HTTPConnection(urlsplit(guarded.url).netloc)
    connection.putrequest("GET", "/info")
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.endheaders()
    assert connection.getresponse().status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:80"},
        {"Host": "127.0.0.1.nip.example"},
        {"Host": "[bad"},
        {"Host": ""},
        {"Host": "10.0.0.5"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": "10.0.0.5"},
        {"Forwarded": "for=10.0.0.5"},
    ],
    ids=str,
)
def test_without_a_token_only_this_machine_is_answered(server: Any, headers: dict[str, str]) -> None:
    answer = server.ask("GET", "/info", headers=headers)
    assert answer.status_code in (400, 403)
    assert "models" not in answer.text


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "127.8.9.1"])
def test_loopback_has_several_names(server: Any, host: str) -> None:
    assert server.ask("GET", "/info", headers={"Host": host, "Origin": "http://localhost:3000"}).status_code == 200


def test_no_other_page_may_read_an_answer(server: Any) -> None:
    answer = server.ask("GET", "/info", headers={"Origin": "http://localhost:3000"})
    assert [name for name in answer.headers if name.lower().startswith("access-control")] == []


def test_a_large_upload_with_its_length(server: Any) -> None:
    answer = server.ask("POST", "/infer/sex", files={"file": bytes(3 * 1024**2)})
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("The request is larger than the 1,048,576 bytes")


def test_a_large_upload_in_chunks(server: Any) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.nii"\r\n\r\n'
        for _ in range(48):
            yield bytes(65536)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = server.ask("POST", "/infer/sex", data=chunks(), headers=headers)
    assert answer.status_code == 413
    assert list(server.temporary.glob("monai_tff_*")) == []


def begun_upload(server: Any) -> socket.socket:
    """An upload that has begun and does not end: it holds a place in the queue."""
    host, port = urlsplit(server.url).netloc.split(":")
    connection = socket.create_connection((host, int(port)))
    head = f"POST /infer/sex HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n"
    connection.sendall((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n").encode())
    return connection


def test_a_full_queue(guarded: Any, images: list[str]) -> None:
    with begun_upload(guarded):
        time.sleep(0.3)
        answer = guarded.infer("sex", images[0], headers=HEADERS)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "try again in" in answer.json()["detail"]
        assert guarded.ask("POST", "/batch/infer/sex", headers=HEADERS).status_code == 503
        began = time.monotonic()
        assert guarded.ask("GET", "/info", headers=HEADERS).status_code == 200
        assert time.monotonic() - began < 1
    time.sleep(0.3)  # the caller left, and its place is free
    assert guarded.infer("sex", images[0], headers=HEADERS).status_code == 200


def test_more_requests_than_places_are_refused_and_not_lost(guarded: Any, images: list[str]) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(guarded.infer("sex", images[0], headers=HEADERS).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 8
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_the_log_tells_of_requests_and_of_no_scan(guarded: Any, images: list[str], studies: Path) -> None:
    guarded.infer("sex", images[0], headers=HEADERS)
    guarded.infer("sex", "sub-9001/func/sub-9001_task-rest_bold", headers=HEADERS)
    guarded.infer("sex", "sub-secret", headers=HEADERS)
    guarded.ask("GET", "/sub-secret?image=sub-secret", headers=HEADERS)
    guarded.ask("POST", "/infer/sub-secret?image=sub-secret", headers=HEADERS)
    guarded.ask("POST", "/batch/infer/sex?run_sync=true", headers=HEADERS, json={"label_tag": "tag-secret"})
    log = guarded.output()
    assert re.search(r"request [0-9a-f]{8}: infer model sex status 200, \d+\.\d\d s", log)
    assert re.search(r"batch [0-9a-f]{8}: 7 of 7, ", log)
    for private in ("sub-", "_bold", "secret", str(studies), "score", "Traceback", TOKEN):
        assert private not in log
