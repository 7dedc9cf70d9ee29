"""The guard alone, with callers that no client of ours can be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from monai_tff.apps.monailabel import guard
from monai_tff.apps.monailabel.guard import Guard


def ask(app: Any, *messages: dict[str, Any], headers: Any = (), client: Any = ("127.0.0.1", 1), **settings: Any) -> Any:
    """Status, headers and JSON of the answer to one request; what comes after the messages never comes."""
    sent: list[dict[str, Any]] = []
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(3600)
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "client": client, "headers": [(b"host", b"localhost"), *headers]}
    guarded = Guard(app, **{"token": None, "max_bytes": 10, **settings})
    asyncio.run(guarded(scope, receive, send))
    assert sent[-1].get("more_body", False) is False
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(body)


def body(content: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


async def reader(scope: Any, receive: Any, send: Any) -> None:
    """Says how many bytes it read."""
    count, more = 0, True
    while more:
        message = await receive()
        count, more = count + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(count).encode()})


@pytest.mark.parametrize(("sizes", "status"), [([10], 200), ([4, 6], 200), ([11], 413), ([6, 5], 413), ([0], 200)])
def test_bytes_are_counted(sizes: list[int], status: int) -> None:
    messages = [body(bytes(size), number < len(sizes) - 1) for number, size in enumerate(sizes)]
    found, _, answer = ask(reader, *messages)
    assert found == status
    assert answer == sum(sizes) if status == 200 else "larger than the 10 bytes" in answer["detail"]


@pytest.mark.parametrize(("length", "status"), [("10", 200), ("11", 413), ("-1", 413), ("x", 413)])
def test_the_length_that_is_told_is_believed(length: str, status: int) -> None:
    assert ask(reader, body(b""), headers=[(b"content-length", length.encode())])[0] == status


def test_a_silent_caller_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIMEOUT", 0.01)
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.01)
    status, headers, answer = ask(reader, body(b"abc", more=True))
    assert [status, headers[b"connection"]] == [408, b"close"]
    assert answer["detail"].startswith("Nothing came for")


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (("127.0.0.1", 1), 200),
        (("127.9.9.9", 1), 200),
        (("::1", 1, 0, 0), 200),
        (("::ffff:127.0.0.1", 1, 0, 0), 200),
        (("10.0.0.5", 1), 403),
        (("::ffff:10.0.0.5", 1, 0, 0), 403),
        (("2001:db8::1", 1, 0, 0), 403),
        (("testclient", 1), 403),
        (None, 403),
    ],
    ids=str,
)
def test_callers_of_other_machines(client: Any, status: int) -> None:
    assert ask(reader, body(b""), client=client)[0] == status
    assert ask(reader, body(b""), client=client, token="t" * 16)[0] == 401
    shown = [(b"authorization", b"Bearer " + b"t" * 16)]
    assert ask(reader, body(b""), client=client, token="t" * 16, headers=shown)[0] == 200


def test_a_failure_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("/data/sub-secret_bold.nii.gz is odd")

    with caplog.at_level("INFO"):
        status, _, answer = ask(failing, body(b""))
    assert [status, answer["detail"].startswith("The server failed")] == [500, True]
    assert "secret" not in json.dumps(answer) + caplog.text
    assert "ValueError at " in caplog.text
    assert "test_guard.py:" in caplog.text


def test_an_answer_that_has_begun_breaks_off() -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError

    with pytest.raises(ConnectionAbortedError):
        ask(breaking, body(b""))


def test_a_request_that_the_server_gives_up_is_told_so() -> None:
    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise asyncio.CancelledError

    sent: list[Any] = []

    async def receive() -> Any:
        return body(b"")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [(b"host", b"localhost")]}
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Guard(cancelled, None, 10)(scope, receive, send))
    assert [sent[0]["status"], json.loads(sent[1]["body"])] == [503, {"detail": "The server is stopping."}]


def test_websockets_are_closed_and_the_start_passes() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def send(message: Any) -> None:
        seen.append(message["type"])

    for kind in ("websocket", "lifespan"):
        asyncio.run(Guard(app, None, 10)({"type": kind}, None, send))
    assert seen == ["websocket.close", "lifespan"]
