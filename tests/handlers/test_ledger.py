"""The ledger of test sets: lines are added, never lost, and counted by test set."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monai_tff.handlers import ledger as module
from monai_tff.handlers.ledger import Use, Uses, count_uses, ledger_file, record_use

FIRST, SECOND = "3f2a9c01" + "0" * 56, "b" * 64


def use(test_set: str = FIRST, kind: str = "model", model: str = "m1") -> Use:
    return Use(test_set, kind, model, "sex")


def test_evaluations_and_different_models_are_counted_by_test_set(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    assert count_uses(FIRST, path) == Uses(FIRST, 0, 0, 0)
    assert record_use(use(), path) == Uses(FIRST, 1, 1, 0)
    assert record_use(use(), path) == Uses(FIRST, 2, 1, 0)
    assert record_use(use(test_set=SECOND, model="m9"), path) == Uses(SECOND, 1, 1, 0)
    assert record_use(use(model="m2"), path) == Uses(FIRST, 3, 2, 0)
    assert record_use(use(kind="baseline", model="covariates"), path) == Uses(FIRST, 3, 2, 1)
    assert record_use(use(kind="control"), path) == count_uses(FIRST, path) == Uses(FIRST, 3, 2, 2)
    assert count_uses(SECOND, path) == Uses(SECOND, 1, 1, 0)


def test_a_line_holds_facts_alone(tmp_path: Path) -> None:
    record_use(use(kind="control"), tmp_path / "ledger.jsonl")
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert abs(datetime.fromisoformat(entry.pop("time")) - datetime.now(UTC)) < timedelta(minutes=5)
    assert entry == {"test_set": FIRST, "kind": "control", "model": "m1", "target": "sex"}


@pytest.mark.parametrize(
    ("uses", "line"),
    [
        (Uses(FIRST, 1, 1, 0), "test set 3f2a9c01 used 1 time, by 1 model"),
        (Uses(FIRST, 4, 2, 0), "test set 3f2a9c01 used 4 times, by 2 models"),
        (Uses(FIRST, 4, 2, 1), "test set 3f2a9c01 used 4 times, by 2 models; by baselines and controls 1 time"),
        (Uses(FIRST), "test set 3f2a9c01: nobody knows how often it was used"),
    ],
)
def test_the_closing_line(uses: Uses, line: str) -> None:
    assert uses.sentence() == line


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MONAI_TFF_LEDGER": "/a/b.jsonl", "XDG_STATE_HOME": "/s", "HOME": "/h"}, "/a/b.jsonl"),
        ({"MONAI_TFF_LEDGER": "", "XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/monai_tff/ledger.jsonl"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/monai_tff/ledger.jsonl"),
    ],
)
def test_where_it_is(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONAI_TFF_LEDGER", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ledger_file() == Path(expected)


@pytest.mark.parametrize(
    "stranger",
    [
        b'{"test_set": "3f2a9c01',  # torn off by a kill
        b"\xff\xfe\n",
        b'["a list"]\n\n' + b"[" * 100_000 + b"\n",
        json.dumps({"test_set": FIRST, "kind": "guess", "model": "m1"}).encode() + b"\n",
        json.dumps({"test_set": FIRST, "kind": "model", "model": 3}).encode() + b"\n",
    ],
)
def test_a_torn_or_foreign_line_does_not_count_and_swallows_none(stranger: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    record_use(use(), path)
    with open(path, "ab") as file:
        file.write(stranger)
    for count in (2, 3):
        found = record_use(use(), path)
        assert (found.evaluations, found.models) == (count, 1)
        assert re.fullmatch(r"\d lines? of the ledger cannot be read and do not count", found.warnings[0])
    assert stranger in path.read_bytes()
    assert json.loads(path.read_bytes().splitlines()[-1])["model"] == "m1"


def test_a_ledger_that_cannot_be_written_is_a_warning_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("notes")
    for path, reason in ((tmp_path / "file" / "ledger.jsonl", "File exists"), (tmp_path, "Is a directory")):
        found = record_use(use(), path)
        assert (found.evaluations, found.models, found.others) == (None, None, None)
        assert found.warnings == (f"the ledger could not be written ({reason})",)
    assert "could not be read" in count_uses(FIRST, tmp_path).warnings[0]


def test_a_ledger_that_another_process_keeps_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.2)
    path = tmp_path / "ledger.jsonl"
    script = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'ab')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert record_use(use(), path).evaluations is None
        process.communicate("")
    assert record_use(use(), path).evaluations == 1


def test_several_processes_lose_no_line(tmp_path: Path) -> None:
    """Each count is given once: the line is added and counted under one lock."""
    path, each = tmp_path / "ledger.jsonl", 40
    script = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('ledger', sys.argv[1])\n"
        "ledger = sys.modules['ledger'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(ledger)\n"
        f"use = ledger.Use({FIRST!r}, 'model', sys.argv[3], 'sex')\n"
        f"print(*(ledger.record_use(use, sys.argv[2]).evaluations for _ in range({each})))"
    )
    arguments = [sys.executable, "-c", script, module.__file__, str(path)]
    processes = [subprocess.Popen([*arguments, f"m{n}"], stdout=subprocess.PIPE, text=True) for n in range(4)]
    counts = [int(word) for process in processes for word in process.communicate()[0].split()]
    assert sorted(counts) == [*range(1, 4 * each + 1)]
    assert count_uses(FIRST, path) == Uses(FIRST, 4 * each, 4, 0)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'guess', expected one of model, baseline, control"):
        use(kind="guess")
