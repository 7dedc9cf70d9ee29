"""`/batch/infer`: answers for all scans of the datastore, saved as labels beside them."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import threading
import time
import uuid
from concurrent.futures import Future
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monailabel.interfaces.exception import MONAILabelException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from monai_tff.apps.monailabel.guard import TOLD
from monai_tff.apps.monailabel.parameters import IGNORED_IN_BATCH, MAX_PARAMETER_BYTES, SAVING, read_parameters
from monai_tff.apps.monailabel.quiet import logger, place_of
from monai_tff.apps.monailabel.reading import known_query
from monai_tff.apps.monailabel.refusals import RefusedError
from monai_tff.apps.monailabel.work_queue import WorkQueue

if TYPE_CHECKING:
    from monai_tff.apps.monailabel.app import TFFApp

REMEMBERED = 2
"""Batches whose results can still be asked for; those of thousands of scans take a hundred megabytes and more."""


class BatchEndpoints:
    """Starts, tells of and stops batches; one runs at a time, and takes one place in the queue.

    Args:
        app: the app.
        queue: where the predictions wait, each for itself: other requests get their turn in between.
    """

    def __init__(self, app: TFFApp, queue: WorkQueue) -> None:
        self.app = app
        self.queue = queue
        self._batches: collections.deque[Batch] = collections.deque(maxlen=REMEMBERED)
        self._starting = threading.Lock()

    async def start(self, request: Request) -> Response:
        """`POST /batch/infer/MODEL?images=all|labeled|unlabeled`: answers at once with the batch's `id`.

        With `run_sync=true` the answer comes at the end, with the results by image. The body may be a JSON object with
        `label_tag` (the model's name by default), `save_label` (true by default) and `max_batch_size`.
        """
        task = self.app.task(request.path_params["model"])
        request.scope[TOLD]["model"] = task.name
        query = known_query(request, {"images", "run_sync"})
        images, run_sync = query.get("images", "all"), query.get("run_sync", "false").lower()
        if images not in ("all", "labeled", "unlabeled") or run_sync not in ("true", "false"):
            raise RefusedError(422, "Expected images all, labeled or unlabeled, and run_sync true or false.")
        allowed = (*SAVING, "max_batch_size")
        values = read_parameters(await _short_body(request), allowed, IGNORED_IN_BATCH)
        asked = {"model": task.name, "save_label": True, "label_tag": task.name, "images": images, **values}
        batch = await asyncio.to_thread(self._begin, asked)
        if run_sync == "true":
            # on no thread that waits: the server could not end before it does
            await asyncio.shield(asyncio.wrap_future(batch.ended))
            return await asyncio.to_thread(JSONResponse, batch.results)
        return JSONResponse(batch.state())

    def _begin(self, asked: dict[str, Any]) -> Batch:
        if asked["save_label"]:
            self.app.scans.refuse_unwritable(asked["label_tag"])
        with self._starting:
            if self._batches and self._batches[-1].running:
                raise RefusedError(429, "A batch is running already; wait for it, or stop it with DELETE /batch/infer.")
            with contextlib.ExitStack() as stack:
                stack.enter_context(self.queue.slot())
                batch = Batch(self.app, self.queue, asked, stack.pop_all())
            self._batches.append(batch)
            batch.thread.start()
        batch.counted.wait()
        return batch

    def status(self, request: Request) -> Response:
        """`GET /batch/infer`: the last batch, with its results when it is done; `all=true` for the ones before, too."""
        query = known_query(request, {"all", "check_if_running"})
        batches = list(self._batches)
        if query.get("check_if_running", "").lower() == "true":
            batches = [batch for batch in batches if batch.running]
        if not batches:
            raise RefusedError(404, "There is no such batch.")
        states = [batch.state() for batch in batches]
        return JSONResponse(states if query.get("all", "").lower() == "true" else states[-1])

    def stop(self, request: Request) -> Response:
        """`DELETE /batch/infer`: the batch that runs ends after the scan that it is at."""
        known_query(request, ())
        if not self._batches or not self._batches[-1].running:
            raise RefusedError(404, "There is no such batch.")
        self._batches[-1].stopped = True
        return JSONResponse(self._batches[-1].state())


class Batch:
    """One batch.

    Args:
        app: the app.
        queue: where predictions wait.
        asked: model, images and parameters.
        place: in the queue, given back at the end.

    Attributes:
        results: what was answered, by image.
        stopped: set it to end the batch after the scan that it is at.
        counted: set when its images are known, or cannot be.
        ended: done when the batch has ended.
    """

    def __init__(self, app: TFFApp, queue: WorkQueue, asked: dict[str, Any], place: contextlib.ExitStack) -> None:
        self.results: dict[str, Any] = {}
        self.stopped = False
        self.counted = threading.Event()
        self.ended: Future[None] = Future()
        self.thread = threading.Thread(target=self._run, args=(app, queue, place), name="batch", daemon=True)
        self._asked = asked
        self._number = str(uuid.uuid4())
        self._began, self._end, self._total, self._status = _now(), "", 0, "ERROR"

    @property
    def running(self) -> bool:
        """Whether it has a place in the queue, and may go on."""
        return not self.ended.done()

    def state(self) -> dict[str, Any]:
        """The batch in MONAI Label's form, with its results when it has ended."""
        running = self.running  # asked once: it may end meanwhile
        told = {"id": self._number, "status": "RUNNING" if running else self._status, "request": self._asked}
        told |= {"start_ts": self._began, "details": [f"{len(self.results)} of {self._total} images"]}
        return told if running else {**told, "end_ts": self._end, "result": self.results}

    def _run(self, app: TFFApp, queue: WorkQueue, place: contextlib.ExitStack) -> None:
        with place:
            try:
                images = self._images(app)
                self._total = len(images)
                self.counted.set()
                for image in images:
                    if self.stopped or app.closed:
                        break
                    self._answer(app, queue, image)
                self._status = "DONE" if len(self.results) == len(images) else "STOPPED"
            except Exception as error:
                logger.error("batch %s: %s", self._number[:8], place_of(error))
        self.counted.set()
        self._end = _now()
        self.ended.set_result(None)  # at the very last: whoever waits for it may start the next one

    def _images(self, app: TFFApp) -> list[str]:
        scans, tag, wanted = app.scans, self._asked["label_tag"], self._asked["images"]
        chosen = {"all": scans.list_images, "labeled": lambda: scans.get_labeled_images(tag)}.get(wanted)
        images = sorted(chosen() if chosen else scans.get_unlabeled_images(tag))
        return images[: self._asked.get("max_batch_size") or None]

    def _answer(self, app: TFFApp, queue: WorkQueue, image: str) -> None:
        began = time.monotonic()
        try:
            with app.temporary_folder() as folder:
                asked = {**self._asked, "image": image, "result_folder": folder}
                result = queue.submit(functools.partial(app.infer, asked)).result()
            result.pop("file")
        except RefusedError as refused:
            result = {"status": refused.status, "detail": refused.sentence}
        except MONAILabelException as error:
            result = {"status": 500, "detail": error.msg}
        except Exception as error:
            logger.error("batch %s: %s", self._number[:8], place_of(error))
            result = {"status": 500, "detail": "The server failed; its log tells where."}
        self.results[image] = result
        words = (self._number[:8], len(self.results), self._total, time.monotonic() - began)
        logger.info("batch %s: %s of %s, %.2f s", *words)


async def _short_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_PARAMETER_BYTES:
            raise RefusedError(413, f"The parameters are longer than {MAX_PARAMETER_BYTES:,} bytes.")
    return body


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")
