"""Every command line and every piece of Python of the documents runs, or is named with the test that runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import material
import rules
from command_lines import DOCUMENTS, ROOT, CommandLine, command_lines, snippets

LINES = [line for document in DOCUMENTS for line in command_lines(document) if not rules.is_a_mention(line)]
HERE = [line for line in LINES if rules.elsewhere(line) is None]
RUN_HERE = [
    document
    for document in DOCUMENTS
    if any(line.document == document for line in HERE) or snippets(document, "python")
]
"""Documents some of whose lines, or whose Python, are run here."""

TOGETHER = [[ROOT / name for name in names] for names in rules.TOGETHER]
ORDERS = TOGETHER + [[document] for document in RUN_HERE if not any(document in order for order in TOGETHER)]
"""Documents by the folder in which their commands are run, one after the other."""


def run_stock(words: list[str]) -> int:
    """`python -m monai.bundle`, in this process."""
    import fire
    from monai.bundle import run

    fire.Fire({"run": run}, command=words)
    return 0


def run_line(line: CommandLine, command: Callable[..., Any], outside: Callable[[str], str]) -> tuple[int, str]:
    """Runs a line as the rules say: its exit code, and what it printed."""
    words = [outside(word) for word in rules.adapted_words(line)]
    if words[:3] == ["python", "-m", "monai_tff"] or words[0] == "monai_tff":
        result = command(*words[1 + 2 * (words[0] == "python") :])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    if words[:3] == ["python", "-m", "monai.bundle"]:
        return run_stock(words[3:]), ""
    if words[0] in rules.OF_THE_SHELL:
        done = subprocess.run(["bash", "-c", outside(line.text)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
    pytest.fail(f"{line}: tests/documents/rules.py does not say how this is run")


@pytest.mark.parametrize("documents", ORDERS, ids=lambda documents: str(documents[0].relative_to(ROOT)))
def test_commands_run(
    documents: list[Path],
    command: Callable[..., Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the order of the document, in a folder that holds what the document speaks of."""
    bench = material.Bench(tmp_path, documents[0], request.getfixturevalue)
    monkeypatch.chdir(material.prepare(bench))
    for document in documents:
        for line in (line for line in HERE if line.document == document):
            code, output = run_line(line, command, bench.outside)
            assert code == rules.exit_code(line), f"{line}\n{output}"
        for snippet in snippets(document, "python"):
            exec(compile(rules.adapted_python(snippet), str(document), "exec"), {})


@pytest.mark.parametrize("rule", [*rules.ADAPTED, *rules.ELSEWHERE], ids=lambda rule: rule.pattern)
def test_every_rule_is_of_use(rule: Any) -> None:
    assert any(re.search(rule.pattern, str(line)) for line in LINES)


def test_lines_that_other_tests_run_name_them() -> None:
    assert rules.missing_files() == []


def test_every_document_is_known() -> None:
    assert {documents[0].relative_to(ROOT).as_posix() for documents in ORDERS} == set(material.MATERIAL)
    assert all(document in RUN_HERE for order in TOGETHER for document in order)
