"""Endpoints that only read: what the server offers, its scans, and the answers saved for them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from monailabel.utils.others.generic import get_mime_type
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from monai_tff.apps.monailabel.refusals import RefusedError
from monai_tff.bundle.layout import sha256_of

if TYPE_CHECKING:
    from monai_tff.apps.monailabel.app import TFFApp


def known_query(request: Request, names: Collection[str]) -> dict[str, str]:
    """The query of a request, each name once and none but the known ones.

    Raises:
        RefusedError: with the status 422 for others.
    """
    query = dict(request.query_params)
    if len(query) != len(request.query_params.multi_items()) or not set(query) <= set(names):
        raise RefusedError(422, f"The query has a name twice or an unknown one; known are {', '.join(sorted(names))}.")
    return query


def needed(query: dict[str, str], name: str) -> str:
    """A value of the query that must be there."""
    if not query.get(name):
        raise RefusedError(422, f"The query has no {name}; name one.")
    return query[name]


class ReadEndpoints:
    """Endpoints that change nothing; plain functions, which run beside the thread that all requests share.

    Args:
        app: the app.
    """

    def __init__(self, app: TFFApp) -> None:
        self.app = app

    def info(self, request: Request) -> Response:
        """`GET /info`: models with kind, labels and input contract, and the state of the datastore."""
        known_query(request, ())
        return JSONResponse(self.app.info())

    def datastore(self, request: Request) -> Response:
        """`GET /datastore`: counts and IDs; `output=all` lists labels too, `output=train` pairs of both."""
        output = known_query(request, {"output"}).get("output", "stats")
        scans = self.app.scans
        if output not in ("stats", "all", "train"):
            raise RefusedError(422, "The output is unknown, expected stats, all or train.")
        if output == "all":
            return JSONResponse(scans.json())
        if output == "train":
            return JSONResponse(scans.datalist())
        return JSONResponse({**scans.status(), "images": scans.list_images()})

    def image(self, request: Request) -> Response:
        """`GET` or `HEAD /datastore/image?image=ID`: the file of a scan; `check_sum` compares its SHA-256."""
        query = known_query(request, {"image", "check_sum"})
        path = self.app.scans.get_image_uri(needed(query, "image"))
        wanted = query.get("check_sum", "").removeprefix("SHA256:")
        if wanted and wanted != sha256_of(path):
            raise RefusedError(404, "The image has another SHA-256.")
        return _file(path)

    def image_info(self, request: Request) -> Response:
        """`GET /datastore/image/info?image=ID`: size, time and extension."""
        return JSONResponse(self.app.scans.get_image_info(needed(known_query(request, {"image"}), "image")))

    def label(self, request: Request) -> Response:
        """`GET` or `HEAD /datastore/label?label=ID&tag=TAG`: the file of an answer that was saved."""
        query = known_query(request, {"label", "image", "tag"})
        label = query.get("label") or needed(query, "image")
        return _file(self.app.scans.get_label_uri(label, needed(query, "tag")))

    def label_info(self, request: Request) -> Response:
        """`GET /datastore/label/info?label=ID&tag=TAG`: the answer that was saved, in MONAI Label's form."""
        query = known_query(request, {"label", "tag"})
        return JSONResponse(self.app.scans.get_label_info(needed(query, "label"), needed(query, "tag")))


def _file(path: str) -> FileResponse:
    return FileResponse(path, media_type=get_mime_type(path), filename=Path(path).name)
