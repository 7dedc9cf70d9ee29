"""Who may ask, and how much: stands before every endpoint, as plain ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from monai_tff.apps.monailabel.quiet import logger, place_of
from monai_tff.apps.monailabel.refusals import STOPPING, RefusedError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_TIMEOUT = 60.0
"""Seconds that a caller may stay silent within a request."""

DRAIN_SECONDS = 10.0
"""Seconds for which the rest of a refused upload is read and dropped, so that the caller gets to read the answer."""

TOLD = "monai_tff"
"""Key of the scope under which an endpoint notes what the log may tell: the name of the model."""


class Guard:
    """Lets a request through if its caller may ask, counts its bytes, and words every failure.

    With a token, every request must show it (`Authorization: Bearer TOKEN`). Without one, only callers on this machine
    are answered, who call it by a loopback name: a web page that somebody opens here reaches a loopback server by a
    name of its own, or shows where it comes from.

    Args:
        app: what is guarded.
        token: what callers must show, or None.
        max_bytes: most bytes of one request.
    """

    def __init__(self, app: App, token: str | None, max_bytes: int) -> None:
        self.app = app
        self._token = None if token is None else token.encode()
        self._max_bytes = max_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request, or passes the messages of start and stop on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, _Exchange(receive, send, self._max_bytes))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: MutableMapping[str, Any], exchange: _Exchange) -> None:
        began, number = time.monotonic(), secrets.token_hex(4)
        scope[TOLD] = {}
        try:
            self._refuse(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except RefusedError as refused:
            await exchange.refuse(refused)
        except asyncio.CancelledError:  # the server stops
            with contextlib.suppress(ConnectionAbortedError):
                await exchange.refuse(RefusedError(503, STOPPING))
            raise
        except Exception as error:
            logger.error("request %s: %s", number, place_of(error))
            await exchange.refuse(RefusedError(500, f"The server failed; its log tells where, under request {number}."))
        finally:
            endpoint = getattr(scope.get("endpoint"), "__name__", "refused")
            model, seconds = scope[TOLD].get("model", "-"), time.monotonic() - began
            logger.info("request %s: %s model %s status %s, %.2f s", number, endpoint, model, exchange.status, seconds)

    def _refuse(self, scope: MutableMapping[str, Any]) -> None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        if self._token is not None:
            self._check_token(headers.get("authorization", []))
        else:
            _check_loopback(scope.get("client"), headers)
        length = headers.get("content-length", ["0"])[0]
        if not length.isdecimal() or int(length) > self._max_bytes:
            raise too_large(self._max_bytes)

    def _check_token(self, given: list[str]) -> None:
        scheme, _, shown = (given[0] if len(given) == 1 else "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(), self._token or b"")
        if scheme.lower() != "bearer" or not right:
            sentence = "The token is missing or wrong; send the header 'Authorization: Bearer TOKEN'."
            raise RefusedError(401, sentence, {"WWW-Authenticate": "Bearer"})


class _Exchange:
    """Request and answer as they pass: bytes are counted, and it is known whether an answer has begun."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive, self._send, self._max_bytes = receive, send, max_bytes
        self._count, self._complete, self._started = 0, False, False
        self.status: int | str = "left"  # the caller went before there was an answer

    async def receive(self) -> Message:
        if self._complete:  # what comes now is that the caller leaves, whenever that is
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_TIMEOUT)
        except TimeoutError:
            raise RefusedError(408, f"Nothing came for {BODY_TIMEOUT:g} s; send the request again.") from None
        self._count += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._count > self._max_bytes:
            raise too_large(self._max_bytes)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
        await self._send(message)

    async def refuse(self, refused: RefusedError) -> None:
        """Answers with a sentence; an answer that has begun breaks off instead."""
        if self._started:
            raise ConnectionAbortedError
        body = json.dumps({"detail": refused.sentence}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
        if not self._complete:
            headers["connection"] = "close"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        await self._drain()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._complete:
                    message = await self._receive()
                    self._complete = not message.get("more_body", False)
        except TimeoutError:
            return


def too_large(max_bytes: int) -> RefusedError:
    """The refusal of a request that is larger than the server takes."""
    return RefusedError(413, f"The request is larger than the {max_bytes:,} bytes that this server takes.")


def _check_loopback(client: Any, headers: dict[str, list[str]]) -> None:
    names = [_host_name(f"//{host}") for host in headers.get("host", [])] or [None]
    pages = [_host_name(origin) for origin in headers.get("origin", [])]
    passed_on = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    if client is None or not is_loopback(client[0]) or passed_on:
        raise RefusedError(403, "This server has no token, so it answers callers on its own machine only.")
    if not all(map(is_loopback, [*names, *pages])):
        raise RefusedError(403, "This server has no token, so it answers to the names 127.0.0.1 and localhost only.")


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def is_loopback(host: str | None) -> bool:
    """Whether a name or address is that of this machine for itself alone."""
    if host is None or host.lower() == "localhost":
        return host is not None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
