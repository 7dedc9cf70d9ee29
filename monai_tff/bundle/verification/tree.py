"""Names, kinds and sizes of the files of a bundle: the first thing that is looked at, without opening one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from monai_tff.bundle import layout
from monai_tff.bundle.verification.findings import Finding, finding, shown
from monai_tff.bundle.verification.texts import MAX_TEXT

MAX_ENTRIES = 10_000
"""Files and folders of a bundle; an export has 20."""

WEIGHTS = (layout.SAFETENSORS, layout.STATE_DICT, layout.TORCHSCRIPT, layout.PROGRAM)
KNOWN = (*layout.REQUIRED, *layout.OPTIONAL)

MAX_HASHES = 64 * MAX_TEXT
"""Bytes of `content_hashes.json`, 70 for each scan."""

CODE = (".py", ".pyc", ".pyo", ".pyw", ".pyd", ".so", ".dll", ".dylib")
"""Endings of what Python can import from a folder on its path."""

READ_AT_START = (".pth", ".egg-link")
"""Endings of what Python may read at its start from such a folder; further down `.pth` are weights."""


def is_exported(folder: Path) -> bool:
    """Whether a folder is an exported bundle, with a manifest; else it is a run folder."""
    return os.path.lexists(folder / layout.MANIFEST)


def entries(folder: Path, inside: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Everything in a folder, links not followed.

    Args:
        folder: to look through.
        inside: a folder of it, with `/`.

    Yields:
        Path in the folder with `/`, and what the system says of it.
    """
    with os.scandir(folder / inside) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            name = f"{inside}/{entry.name}" if inside else entry.name
            state = entry.stat(follow_symlinks=False)
            yield name, state
            if stat.S_ISDIR(state.st_mode):
                yield from entries(folder, name)


def tree_findings(folder: Path) -> Iterator[Finding]:
    """What is wrong with the files of an exported bundle.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each file.
    """
    present = set()
    folders = {str(parent) for name in KNOWN for parent in PurePosixPath(name).parents} - {"."}
    for number, (name, state) in enumerate(entries(folder)):
        if number == MAX_ENTRIES:
            yield finding("tree", shown(name), f"more than {MAX_ENTRIES:,} files, expected fewer")
            return
        foreign = name in layout.FOREIGN or any(
            name == top or name.startswith(f"{top}/") or top.startswith(f"{name}/") for top in layout.FOREIGN_FOLDERS
        )
        if stat.S_ISDIR(state.st_mode):
            if not (name in folders or foreign):
                yield finding("tree", shown(name), "a folder that no bundle has, expected none")
        elif not stat.S_ISREG(state.st_mode):
            yield finding("tree", shown(name), "a link or a device, expected files and folders alone")
        elif not (name in KNOWN or foreign):
            yield finding("tree", shown(name), "a file that no bundle has, expected none")
        elif name in KNOWN and name not in WEIGHTS and state.st_size > limit_of(name):
            yield finding("tree", name, f"{state.st_size:,} bytes, expected at most {limit_of(name):,}")
        present.add(name)
    for name in layout.REQUIRED:
        if name not in present and name not in WEIGHTS:
            yield finding("tree", name, "there is no such file, expected one")
    if (layout.TRAIN in present) != (layout.EVALUATE in present):
        yield finding("tree", layout.TRAIN, f"expected with {layout.EVALUATE}, or both missing")


def limit_of(name: str) -> int:
    """Bytes that a file of a bundle may have, where it is no weights."""
    return MAX_HASHES if name == layout.CONTENT_HASHES else MAX_TEXT


def run_folder_findings(folder: Path, read: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with the files of a run folder: code at its top, and links that leave it.

    MONAI puts the folder of a bundle on Python's path, so that a `torch.py` in it would be imported.

    Args:
        folder: of the run.
        read: files that prediction opens.

    Yields:
        One finding for each file.
    """
    for path in sorted(folder.iterdir()):
        # a folder needs no __init__.py: its modules can be imported all the same
        files = (path, *sorted(path.rglob("*"))) if path.name.isidentifier() else (path,)
        endings = {path: (*CODE, *READ_AT_START)}
        code = next((file for file in files if file.suffix.lower() in endings.get(file, CODE)), None)
        if code is not None:
            where = shown(code.relative_to(folder).as_posix())
            yield finding("tree", where, "Python would import it, expected no code in a run folder")
        link = next((file for file in files[1:] if file.is_symlink() and file.is_dir()), None)
        if link is not None:
            where = shown(link.relative_to(folder).as_posix())
            yield finding(
                "tree", where, "a link to a folder, where Python could import from, expected none so far down"
            )
    whole = folder.resolve()
    for name in read:
        path = folder / name
        if not path.is_file():
            yield finding("tree", name, "there is no such file, expected one")
        elif not path.resolve().is_relative_to(whole):
            yield finding("tree", name, "a link out of the folder, expected a file in it")
