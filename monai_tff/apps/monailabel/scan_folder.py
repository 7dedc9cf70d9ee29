"""A folder of 4D NIfTI scans as MONAI Label's datastore: read only but for labels, and confined to the folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from monai_tff.apps.monailabel.refusals import UNWRITABLE, RefusedError
from monai_tff.data.bids_names import split_extension
from monai_tff.data.find_scans import find_scans
from monai_tff.errors import ScanError
from monai_tff.handlers.files import replaced_file

LABELS = "labels"
"""Subfolder that answers are saved in, as `labels/TAG/ID.json` or `.nii.gz`; it holds no scans."""

LABEL_EXTENSIONS = (".json", ".nii.gz")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LISTING_SECONDS = 5.0
"""Age at which the folder is searched again."""


class ScanFolder(Datastore):
    """The scans of a folder and its subfolders, a BIDS tree for example.

    What counts as a scan is what `monai_tff predict` takes (`monai_tff.data.find_scans`). The ID of a scan is its path
    in the folder without the extension. Only IDs of the listing are known, and a file must lie inside the folder when
    it is used: a link that leaves the folder is left out, and so is a second file of the same ID, or what is no file.

    Args:
        folder: of the scans.

    Raises:
        ScanError: if there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ScanError(f"{folder}: there is no such folder, expected one with 4D NIfTI scans; check the path.")
        self.folder = folder.resolve()
        self.left_out = 0
        self._scans: dict[str, Path] = {}
        self._listed = float("-inf")
        self._lock = threading.Lock()

    def name(self) -> str:
        """What the datastore is called; not the folder's name, which is nobody's business."""
        return "scans"

    def description(self) -> str:
        """What the datastore is."""
        return "4D NIfTI scans"

    def scans(self) -> dict[str, Path]:
        """The scans by ID, as they were at most `LISTING_SECONDS` ago."""
        with self._lock:
            if time.monotonic() - self._listed > LISTING_SECONDS:
                self._list()
                self._listed = time.monotonic()
            return self._scans

    def _list(self) -> None:
        try:
            found = [Path(record["image"]) for record in find_scans(self.folder)]
        except ScanError:  # none yet
            found = []
        scans: dict[str, Path] = {}
        left_out = 0
        for path in found:
            relative = path.relative_to(self.folder)
            if relative.parts[0] == LABELS:
                continue
            name = (relative.parent / split_extension(path)[0]).as_posix()
            if name in scans or not path.is_file() or not self._is_inside(path):
                left_out += 1
            else:
                scans[name] = path
        self._scans, self.left_out = scans, left_out

    def _is_inside(self, path: Path) -> bool:
        """Whether a path leads to a file or folder in the folder, links followed."""
        try:
            return path.resolve(strict=True).is_relative_to(self.folder)
        except (OSError, RuntimeError):
            return False

    def list_images(self) -> list[str]:
        """The IDs of all scans."""
        return list(self.scans())

    def get_image_uri(self, image_id: str) -> str:
        """The path of a scan.

        Args:
            image_id: from `list_images`.

        Raises:
            ImageNotFoundException: for any other ID.
        """
        path = self.scans().get(image_id)
        if path is None or not path.is_file() or not self._is_inside(path):
            raise ImageNotFoundException("There is no such image; GET /datastore lists the images there are.")
        return str(path)

    def get_image(self, image_id: str, params: Any = None) -> bytes:
        """The bytes of a scan's file."""
        return Path(self.get_image_uri(image_id)).read_bytes()

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Size of a scan's file, when it changed, and its extension."""
        path = Path(self.get_image_uri(image_id))
        facts = path.stat()
        return {"bytes": facts.st_size, "ts": int(facts.st_mtime), "ext": split_extension(path)[1]}

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """The tags under which there is a label of a scan, each with the label's ID: that of the scan."""
        self.get_image_uri(image_id)
        return {tag: image_id for tag in self._tags() if self._label(image_id, tag) is not None}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The ID of a scan's label, empty where there is none under the tag."""
        return image_id if self._label(image_id, tag) is not None else ""

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """The path of a label.

        Raises:
            LabelNotFoundException: if there is none.
        """
        path = self._label(label_id, label_tag)
        if path is None:
            raise LabelNotFoundException(
                "There is no such label; GET /datastore?output=all lists the labels there are."
            )
        return str(path)

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> bytes:
        """The bytes of a label's file."""
        return Path(self.get_label_uri(label_id, label_tag)).read_bytes()

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What a JSON label says; of a NIfTI label its size."""
        path = Path(self.get_label_uri(label_id, label_tag))
        if path.suffix == ".json":
            return {"params": json.loads(path.read_text(encoding="utf-8"))}
        return {"bytes": path.stat().st_size}

    def _labels(self) -> dict[str, dict[str, str]]:
        """The extensions of all labels by tag and scan, in one search: a look for each takes seconds in a cohort."""
        names = self.scans()
        found: dict[str, dict[str, str]] = {tag: {} for tag in self._tags()}
        for tag, labels in found.items():
            top = self.folder / LABELS / tag
            for folder, _, files in os.walk(top):
                for extension, path in ((_label_extension(file), Path(folder, file)) for file in files):
                    name = path.relative_to(top).as_posix().removesuffix(extension)
                    if extension and name in names and (not path.is_symlink() or self._is_inside(path)):
                        labels[name] = min(extension, labels.get(name, extension), key=LABEL_EXTENSIONS.index)
        return found

    def _tags(self) -> list[str]:
        folder = self.folder / LABELS
        if not self._is_inside(folder):
            return []
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and self._is_tag(path))

    def _is_tag(self, path: Path) -> bool:
        return TAG.fullmatch(path.name) is not None and self._is_inside(path)

    def _label(self, image_id: str, tag: str) -> Path | None:
        if image_id not in self.scans() or not TAG.fullmatch(tag):
            return None
        for extension in LABEL_EXTENSIONS:
            path = self.folder / LABELS / tag / (image_id + extension)
            if path.is_file() and self._is_inside(path):
                return path
        return None

    def get_labeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """The scans that have a label, under the tag or under any."""
        found = self._labels()
        chosen = [found.get(label_tag, {})] if label_tag else list(found.values())
        return [name for name in self.scans() if any(name in labels for labels in chosen)]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """The scans that have none."""
        labelled = set(self.get_labeled_images(label_tag, labels))
        return [name for name in self.scans() if name not in labelled]

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Saves a label under `labels/`, in place of an earlier one of the same scan and tag.

        Args:
            image_id: of the scan.
            label_filename: a `.json` or `.nii.gz` file, which is copied.
            label_tag: letters, digits, `_`, `.` and `-`.
            label_info: not used, a label tells of itself.

        Returns:
            The label's ID.

        Raises:
            MONAILabelException: for another tag, or where labels cannot be written.
        """
        self.get_image_uri(image_id)
        extension = _label_extension(label_filename)
        if not extension or not TAG.fullmatch(label_tag):
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, "The tag or kind of the label is not allowed.")
        path = self.folder / LABELS / label_tag / (image_id + extension)
        try:
            self._make_inside(path.parent)
            with open(label_filename, "rb") as source, replaced_file(path) as target:
                shutil.copyfileobj(source, target)
            for other in set(LABEL_EXTENSIONS) - {extension}:
                path.with_name(Path(image_id).name + other).unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise MONAILabelException(MONAILabelError.APP_ERROR, "The label could not be written.") from error
        return image_id

    def refuse_unwritable(self, tag: str) -> None:
        """Tries whether labels can be saved under a tag, and leaves nothing there.

        Raises:
            RefusedError: with the status 409 if they cannot.
        """
        place = self.folder / LABELS / tag
        while not os.path.lexists(place):
            place = place.parent
        try:
            if not self._is_inside(place):
                raise OSError(f"{place} leads out of the folder")
            with tempfile.TemporaryFile(dir=place):
                return
        except OSError as error:
            raise RefusedError(409, UNWRITABLE) from error

    def _make_inside(self, folder: Path) -> None:
        """Makes a folder, step by step, so that no link on the way leads out."""
        current = self.folder
        for part in folder.relative_to(self.folder).parts:
            current = current / part
            current.mkdir(exist_ok=True)
            if not self._is_inside(current):
                raise OSError(f"{current} leads out of the folder")

    def datalist(self) -> list[dict[str, Any]]:
        """Scans and their labels by ID; no paths, these are the server's own."""
        found = self._labels()
        return [
            {"image": name, "labels": {tag: name for tag, labels in found.items() if name in labels}}
            for name in self.scans()
        ]

    def status(self) -> dict[str, Any]:
        """How many scans there are, how many have a label, and how many labels each tag has."""
        found = self._labels()
        completed = {name for labels in found.values() for name in labels}
        tags = {tag: len(labels) for tag, labels in found.items()}
        return {"total": len(self.scans()), "completed": len(completed), "label_tags": tags}

    def json(self) -> dict[str, Any]:
        """All scans and labels, in the form of MONAI Label's own datastore."""
        objects, found = {}, self._labels()
        for name, path in self.scans().items():
            labels = {tag: {"ext": known[name], "info": {}} for tag, known in found.items() if name in known}
            objects[name] = {"image": {"ext": split_extension(path)[1], "info": {}}, "labels": labels}
        return {"name": self.name(), "description": self.description(), "objects": objects}

    def refresh(self) -> None:
        """Searches the folder again at the next call."""
        self._listed = float("-inf")

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses what would change the scans, or hand all of them out."""
        raise MONAILabelException(MONAILabelError.INVALID_INPUT, "The datastore is read only.")

    set_name = set_description = add_image = remove_image = remove_label = _refuse
    update_image_info = update_label_info = get_dataset_archive = _refuse


def _label_extension(name: str) -> str:
    """The extension of a label's file, empty for a file of another kind."""
    return next((known for known in LABEL_EXTENSIONS if name.endswith(known)), "")
