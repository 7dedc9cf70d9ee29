"""What the server answers to: a list of all it offers, in the place of MONAI Label's own endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from monai_tff.apps.monailabel.batch import BatchEndpoints
from monai_tff.apps.monailabel.guard import Guard
from monai_tff.apps.monailabel.infer import InferEndpoint
from monai_tff.apps.monailabel.reading import ReadEndpoints
from monai_tff.apps.monailabel.refusals import RefusedError
from monai_tff.apps.monailabel.work_queue import QueueFullError, WorkQueue

if TYPE_CHECKING:
    from monai_tff.apps.monailabel.app import TFFApp

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def install(app: TFFApp) -> WorkQueue:
    """Gives MONAI Label's server our endpoints and our guard; none of its own endpoints is left.

    Its endpoints take any path of the server for an image, answer without a token, log what is asked, and predict on
    the thread that all other requests wait for. Its rule that web pages of any origin may ask goes as well.

    Args:
        app: loaded.

    Returns:
        The queue that predictions wait in.
    """
    from monailabel.app import app as server

    queue = WorkQueue(app.server_settings.queue)
    server.router.routes[:] = routes(app, queue)
    server.router.redirect_slashes = False
    limits = {"token": app.server_settings.token, "max_bytes": app.server_settings.max_upload_bytes}
    server.user_middleware[:] = [Middleware(Guard, **limits)]
    server.exception_handlers.update({kind: _told for kind in (RefusedError, QueueFullError, MONAILabelException)})
    server.exception_handlers[HTTPException] = _told
    server.middleware_stack = None  # is built anew, from the lines above, when the first request comes
    return queue


def routes(app: TFFApp, queue: WorkQueue) -> list[Route]:
    """All endpoints; the last one refuses what no other answers to."""
    read, infer, batch = ReadEndpoints(app), InferEndpoint(app, queue), BatchEndpoints(app, queue)
    offered: list[tuple[str, Any, list[str]]] = [
        ("/info", read.info, ["GET"]),
        ("/datastore", read.datastore, ["GET"]),
        ("/datastore/image", read.image, ["GET"]),
        ("/datastore/image/info", read.image_info, ["GET"]),
        ("/datastore/label", read.label, ["GET"]),
        ("/datastore/label/info", read.label_info, ["GET"]),
        ("/infer/{model}", infer.infer, ["POST"]),
        ("/batch/infer", batch.status, ["GET"]),
        ("/batch/infer", batch.stop, ["DELETE"]),
        ("/batch/infer/{model}", batch.start, ["POST"]),
    ]
    # MONAI Label's clients write some of them with a slash at the end
    listed = [Route(path + end, to, methods=methods) for path, to, methods in offered for end in ("", "/")]

    async def closed(request: Request) -> JSONResponse:
        matching = [route for route in listed if route.matches(request.scope)[0] is not Match.NONE]
        allowed = sorted({method for route in matching for method in route.methods or ()})
        if allowed:
            sentence = f"This endpoint is asked with another method: {' or '.join(allowed)}."
            raise RefusedError(405, sentence, {"Allow": ", ".join(allowed)})
        raise RefusedError(
            404, "There is no such endpoint here; this server offers /info, /datastore, /infer and /batch/infer."
        )

    return [*listed, Route("/{path:path}", closed, methods=METHODS)]


async def _told(request: Request, error: Exception) -> JSONResponse:
    """The answer for a request that was refused."""
    if isinstance(error, QueueFullError):
        sentence = f"The server is busy; try again in {error.retry_after} s."
        return _answer(503, sentence, {"Retry-After": str(error.retry_after)})
    if isinstance(error, RefusedError):
        return _answer(error.status, error.sentence, error.headers)
    if isinstance(error, HTTPException):
        return _answer(error.status_code, str(error.detail))
    if isinstance(error, (ImageNotFoundException, LabelNotFoundException)):
        return _answer(404, error.msg)
    return _answer(500, getattr(error, "msg", "The server failed."))


def _answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
