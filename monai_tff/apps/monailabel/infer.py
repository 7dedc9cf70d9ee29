"""`POST /infer/MODEL`: one scan in, one answer out, while the server goes on answering others."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests_toolbelt import MultipartEncoder
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from monai_tff.apps.monailabel.guard import TOLD
from monai_tff.apps.monailabel.parameters import MAX_PARAMETER_BYTES, SAVING, read_parameters
from monai_tff.apps.monailabel.reading import known_query
from monai_tff.apps.monailabel.refusals import RefusedError
from monai_tff.apps.monailabel.uploads import save_upload
from monai_tff.apps.monailabel.work_queue import WorkQueue
from monai_tff.handlers.reconstruction import reconstruction_name

if TYPE_CHECKING:
    from monai_tff.apps.monailabel.app import TFFApp

OUTPUTS = ("json", "image", "all")
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
CHUNK = 1024**2


class InferEndpoint:
    """Answers for one scan.

    Args:
        app: the app.
        queue: where the prediction waits.
    """

    def __init__(self, app: TFFApp, queue: WorkQueue) -> None:
        self.app = app
        self.queue = queue

    async def infer(self, request: Request) -> Response:
        """`POST /infer/MODEL?image=ID`, or with a scan as `file` in a form.

        The query may name the `output`: `json`, `image` (the NIfTI of a reconstruction) or `all` (both, as a
        multipart answer; what a reconstruction gives by default). A field `params` of the form may hold a JSON object
        with `save_label` and `label_tag`.
        """
        task = self.app.task(request.path_params["model"])
        request.scope[TOLD]["model"] = task.name
        query = known_query(request, {"image", "output"})
        output = query.get("output", "all" if task.reconstructs else "json")
        if output not in (OUTPUTS if task.reconstructs else ("json", "all")):
            raise RefusedError(
                422, "The model does not give this output; a prediction is json, a reconstruction image."
            )
        image = query.get("image", "")
        if image:
            await asyncio.to_thread(self.app.scans.get_image_uri, image)  # unknown ones need no place in the queue
        with self.queue.slot():
            folder = self.app.temporary_folder()
            try:
                asked = {"model": task.name, "image": image, "result_folder": folder.name}
                asked |= await self._from_form(request, image, Path(folder.name))
                if asked.get("save_label"):
                    await asyncio.to_thread(self.app.scans.refuse_unwritable, asked.get("label_tag", task.name))
                result = await answer_of(self.queue, request, functools.partial(self.app.infer, asked))
                response = _response(result, output, image)
            except BaseException:
                folder.cleanup()
                raise
        if isinstance(response, JSONResponse):  # needs no file
            folder.cleanup()
            return response
        return _Cleaning(response, folder)

    async def _from_form(self, request: Request, image: str, folder: Path) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and kind not in FORMS:
            raise RefusedError(415, f"The body is of another kind, expected {FORMS[0]}.")
        async with request.form(max_files=1, max_fields=4, max_part_size=MAX_PARAMETER_BYTES) as form:
            text, file = _parts(form)
            if (file is None) == (image == ""):
                raise RefusedError(422, "Expected either an image of the datastore or a file, and one of them.")
            asked = read_parameters(text, SAVING)
            if file is None:
                return asked
            if asked.get("save_label"):
                raise RefusedError(422, "A file that came with the request has no label in the datastore to save.")
            most = self.app.server_settings.max_upload_bytes
            return {"upload": await asyncio.to_thread(save_upload, file.file, folder, most)}


def _parts(form: FormData) -> tuple[str, UploadFile | None]:
    parts = dict(form.multi_items())
    text, file = parts.get("params", ""), parts.get("file")
    if not set(parts) <= {"params", "file"} or len(parts) != len(form.multi_items()):
        raise RefusedError(422, "The form has a part twice or an unknown one; known are params and file.")
    if not isinstance(text, str) or isinstance(file, str):
        raise RefusedError(422, "The form must have params as text and file as a file.")
    return text, file


async def answer_of(queue: WorkQueue, request: Request, job: Callable[[], Any]) -> Any:
    """Runs a job in the queue; one that has not begun is dropped when the caller leaves.

    Args:
        queue: in which a slot is held.
        request: whose body is read.
        job: what is run.

    Returns:
        What the job returns.

    Raises:
        RefusedError: with the status 499 if the caller left.
    """
    work = queue.submit(job)
    left = asyncio.ensure_future(_left(request))
    try:
        future = asyncio.wrap_future(work)
        await asyncio.wait({future, left}, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            left.result()  # the guard may have refused what comes after the form
            raise RefusedError(499, "The caller left.")
        return future.result()
    finally:
        left.cancel()
        await _ended(work)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ended(work: Future[Any]) -> None:
    """Waits for a job that cannot be cancelled any more: until then it needs its slot, and reads its files."""
    if not work.cancel():
        with contextlib.suppress(Exception):
            await asyncio.shield(asyncio.wrap_future(work))


def _response(result: dict[str, Any], output: str, image: str) -> Response:
    file, answer = result["file"], dict(result["params"])
    answer |= {name: result[name] for name in ("tag",) if name in result}
    if output == "json" or file is None:
        return JSONResponse(answer)
    name = Path(reconstruction_name(image + ".nii.gz" if image else "reconstruction.nii.gz")).name
    if output == "image":
        return FileResponse(file, media_type="application/gzip", filename=name)
    parts = {"params": (None, json.dumps(answer), "application/json")}
    return _multipart(parts, name, file)


def _multipart(parts: dict[str, Any], name: str, file: str) -> Response:
    source = open(file, "rb")  # noqa: SIM115  # closed when the answer has gone out
    encoder = MultipartEncoder({**parts, "image": (name, source, "application/gzip")})
    headers = {"Content-Length": str(encoder.len)}

    async def chunks() -> AsyncIterator[bytes]:
        with source:
            while chunk := await asyncio.to_thread(encoder.read, CHUNK):
                yield chunk

    return StreamingResponse(chunks(), headers=headers, media_type=encoder.content_type)


class _Cleaning(Response):
    """Sends another response and then removes the folder that it was made from, also when sending fails."""

    def __init__(self, response: Response, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.response, self.folder = response, folder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.response(scope, receive, send)
        finally:
            self.folder.cleanup()
