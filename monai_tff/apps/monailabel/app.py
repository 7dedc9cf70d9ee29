"""The app that MONAI Label starts: bundles as models, a folder of scans as datastore, and our own rules of access."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask

from monai_tff import __version__
from monai_tff.apps.monailabel.quiet import keep_logs_quiet, logger
from monai_tff.apps.monailabel.refusals import STOPPING, RefusedError, refusal_of_scan
from monai_tff.apps.monailabel.routes import install
from monai_tff.apps.monailabel.scan_folder import ScanFolder
from monai_tff.apps.monailabel.scan_task import ScanTask
from monai_tff.apps.monailabel.settings import ServerSettings
from monai_tff.bundle.predictor import inference_config
from monai_tff.bundle.verification import opened_bundle, refuse_unsafe
from monai_tff.errors import ConfigError

UPLOAD = "upload"
"""What a scan is called that came with the request."""

REMOVALS = 10
"""Times that a folder is removed when the server stops: a prediction that still runs may put a file in meanwhile."""


class TFFApp(MONAILabelApp):
    """Serves bundles of monai_tff.

    Args:
        app_dir: not read.
        studies: folder of the scans.
        conf: see `ServerSettings.from_conf`.

    Raises:
        ConfigError: for wrong settings.
        BundleError: for a bundle that would do more than predict, see `monai_tff.bundle.verification`.
        ScanError: if there is no such folder of scans.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, Any]) -> None:
        self.server_settings = ServerSettings.from_conf(conf)
        self._opened = contextlib.ExitStack()
        self._folders: weakref.WeakSet[tempfile.TemporaryDirectory[str]] = weakref.WeakSet()
        self._folders_lock = threading.Lock()
        self.closed = False
        # What is not offered is not prepared either: it would make folders, threads and requests of its own.
        settings.MONAI_LABEL_TASKS_TRAIN = settings.MONAI_LABEL_TASKS_STRATEGY = False
        settings.MONAI_LABEL_TASKS_SCORING = settings.MONAI_LABEL_TASKS_BATCH_INFER = False
        settings.MONAI_LABEL_SESSIONS = settings.MONAI_LABEL_AUTO_UPDATE_SCORING = False
        description = "Predictions from 4D fMRI scans with TFF, the Transformer Framework for fMRI"
        super().__init__(app_dir, studies, {}, "monai_tff", description, __version__)

    def init_datastore(self) -> Datastore:
        """The folder of scans; an address of a DICOM server is no folder, and refused."""
        return ScanFolder(Path(self.studies))

    def init_infers(self) -> dict[str, InferTask]:
        """Checks and loads the bundles, each under the name of its folder."""
        tasks: dict[str, InferTask] = {}
        for path in self.server_settings.bundles:
            folder = self._opened.enter_context(opened_bundle(path))
            inference_config(folder)  # of a folder of several phases the check below would only say what it lacks
            if not self.server_settings.trust:
                refuse_unsafe(folder)
            task = ScanTask(folder, self.server_settings.device)
            if task.name in tasks:
                raise ConfigError(
                    f"{path}: a second bundle is called {task.name}, expected names of their own; rename its folder."
                )
            tasks[task.name] = task
        return tasks

    def temporary_folder(self) -> tempfile.TemporaryDirectory[str]:
        """A folder for the files of one answer; who asks for it removes it, `close` those that are left.

        Raises:
            RefusedError: with the status 503 after `close`.
        """
        with self._folders_lock:
            if self.closed:
                raise RefusedError(503, STOPPING)
            folder = tempfile.TemporaryDirectory(prefix="monai_tff_", ignore_cleanup_errors=True)
            self._folders.add(folder)
            return folder

    def close(self) -> None:
        """Removes what unpacked bundles and answers took on the disk, also those of a prediction that still runs."""
        with self._folders_lock:
            self.closed = True
        for folder in list(self._folders):
            for _ in range(REMOVALS):
                folder.cleanup()
                if not os.path.exists(folder.name):
                    break
        self._opened.close()

    @property
    def scans(self) -> ScanFolder:
        """The datastore."""
        return self._datastore

    def task(self, model: str) -> ScanTask:
        """The task of a model.

        Raises:
            RefusedError: with the status 404 for an unknown name.
        """
        task = self._infers.get(model)
        if task is None:
            raise RefusedError(404, "There is no such model; GET /info lists the models there are.")
        return task

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answers for a scan of the datastore, or for a file that came with the request.

        Args:
            request: `model`; `image`, an ID of the datastore, or `upload`, a path that the server itself made;
                `result_folder` for files; `save_label` and `label_tag` (the model's name by default).
            datastore: not used, there is one.

        Returns:
            `file` of a reconstruction or None, `params` the answer, and `label` and `tag` where one was saved.

        Raises:
            RefusedError: for an unknown model or a scan that cannot be used.
            ImageNotFoundException: for an unknown image.
        """
        task = self.task(request["model"])
        uploaded = request.get("upload")
        name = UPLOAD if uploaded else request["image"]
        path = Path(uploaded or self.scans.get_image_uri(name))
        folder = request.get("result_folder")
        try:
            file, answer = task({"image": str(path), "image_id": name, "result_folder": folder})
        except Exception as error:
            refused = refusal_of_scan(error, path, name, self.scans.folder)
            if refused is None:
                raise
            raise refused from error
        result: dict[str, Any] = {"file": file, "params": answer}
        if request.get("save_label") and not uploaded:
            tag = request.get("label_tag") or task.name
            result |= {"label": self._save(request, file, answer, tag), "tag": tag}
        return result

    def _save(self, request: dict[str, Any], file: str | None, answer: dict[str, Any], tag: str) -> str:
        if file is not None:
            return self.scans.save_label(request["image"], file, tag, {})
        folder = request.get("result_folder")
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=folder, encoding="utf-8") as written:
            json.dump(answer, written, indent=4)
            written.flush()
            return self.scans.save_label(request["image"], written.name, tag, {})

    def on_init_complete(self) -> None:
        """Puts our endpoints and our guard in the place of MONAI Label's, before the first request is answered."""
        keep_logs_quiet()
        self.queue = install(self)
        models = ", ".join(f"{name} {task.version} ({task.kind})" for name, task in self._infers.items())
        logger.info("models: %s", models)
        total = len(self.scans.list_images())
        logger.info(
            "scans: %s; left out, as no files, links out of the folder or second files: %s", total, self.scans.left_out
        )
