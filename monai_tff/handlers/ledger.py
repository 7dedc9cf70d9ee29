"""The ledger of test sets: how often each one was used, which no single result can tell.

One file of the user's, one line of JSON per evaluation of a test section, added and never changed:

    {"test_set": SHA-256, "time": UTC, "kind": "model", "model": hash of the weights, "target": "sex"}

It names no path and no subject. Where it is: `$MONAI_TFF_LEDGER`, else `$XDG_STATE_HOME/monai_tff/ledger.jsonl`, else
`~/.local/state/monai_tff/ledger.jsonl`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows, where a line is added in one write without a lock
    fcntl = None  # type: ignore[assignment]

KINDS = ("model", "baseline", "control")
LONGEST_WAIT = 10.0
"""Seconds for another process that adds a line."""


@dataclasses.dataclass(frozen=True)
class Use:
    """One evaluation of a test set.

    Attributes:
        test_set: see `monai_tff.data.test_set_hash`.
        kind: what was evaluated: a `model`, a `baseline`, or a `control` (a model on spoilt scans, say).
        model: hash of the weights, or the name of the baseline.
        target: name of the target.
    """

    test_set: str
    kind: str
    model: str
    target: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is '{self.kind}', expected one of {', '.join(KINDS)}.")


@dataclasses.dataclass(frozen=True)
class Uses:
    """How often a test set was used so far; None where nobody can know.

    Attributes:
        test_set: its hash.
        evaluations: of models.
        models: different weights among these.
        others: evaluations of baselines and controls.
        warnings: sentences on lines that do not count, or a use that could not be written down; without paths.
    """

    test_set: str
    evaluations: int | None = None
    models: int | None = None
    others: int | None = None
    warnings: tuple[str, ...] = ()

    def sentence(self) -> str:
        """The closing line of an evaluation."""
        name = f"test set {self.test_set[:8]}"
        if self.evaluations is None or self.models is None:
            return f"{name}: nobody knows how often it was used"
        line = f"{name} used {_times(self.evaluations)}, by {self.models} model{'s'[: self.models != 1]}"
        return f"{line}; by baselines and controls {_times(self.others)}" if self.others else line


def ledger_file() -> Path:
    """Where the ledger of this user is."""
    given = os.environ.get("MONAI_TFF_LEDGER")
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(home) / "monai_tff" / "ledger.jsonl"


def record_use(use: Use, ledger: str | os.PathLike[str] | None = None) -> Uses:
    """Adds an evaluation to the ledger and counts all of them, this one too; safe with other processes.

    A ledger that cannot be written is no error but a warning: the numbers of an evaluation are worth more.

    Args:
        use: the evaluation.
        ledger: the file, made with its folder if it is missing; None for `ledger_file`.

    Returns:
        The uses of the same test set.
    """
    path = Path(ledger) if ledger is not None else ledger_file()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"test_set": use.test_set, "time": now, **_facts(use)}) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path, "a+b") as file:
            file.seek(0)
            content = file.read()
            # what a kill tore off must not swallow this line
            file.write((b"\n" if content and not content.endswith(b"\n") else b"") + line.encode())
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return _counted(use.test_set, file.read())
    except OSError as error:
        return Uses(use.test_set, warnings=(f"the ledger could not be written ({error.strerror or error})",))


def count_uses(test_set: str, ledger: str | os.PathLike[str] | None = None) -> Uses:
    """Counts the uses of a test set.

    Args:
        test_set: its hash.
        ledger: the file; None for `ledger_file`.

    Returns:
        Zeros where there is no ledger yet.
    """
    path = Path(ledger) if ledger is not None else ledger_file()
    try:
        return _counted(test_set, path.read_bytes())
    except FileNotFoundError:
        return Uses(test_set, 0, 0, 0)
    except OSError as error:
        return Uses(test_set, warnings=(f"the ledger could not be read ({error.strerror or error})",))


def _facts(use: Use) -> dict[str, str]:
    return {"kind": use.kind, "model": use.model, "target": use.target}


def _counted(test_set: str, content: bytes) -> Uses:
    entries = [_entry(line) for line in content.splitlines()]
    uses = [entry for entry in entries if entry is not None and entry["test_set"] == test_set]
    models = [entry["model"] for entry in uses if entry["kind"] == "model"]
    strangers = entries.count(None)
    warnings = (f"{strangers} line{'s'[: strangers != 1]} of the ledger cannot be read and do not count",)
    return Uses(test_set, len(models), len(set(models)), len(uses) - len(models), warnings if strangers else ())


def _entry(line: bytes) -> dict[str, str] | None:
    """What a line says; None for one that is torn or foreign."""
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    names = ("test_set", "kind", "model")
    whole = isinstance(content, dict) and all(isinstance(content.get(name), str) for name in names)
    return content if whole and content["kind"] in KINDS else None


@contextmanager
def _locked(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """Opens the ledger for this process alone, unbuffered by others: the lock goes with the file's closing."""
    with open(path, mode) as file:
        end = time.monotonic() + LONGEST_WAIT
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        yield file


def _times(count: int) -> str:
    return f"{count} time{'s'[: count != 1]}"
