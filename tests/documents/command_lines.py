"""The command lines of the documents: those of blocks and those within a text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BUNDLES = sorted((ROOT / "bundles").glob("tff_*"))
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
FROM_ROOT = [README, *PAGES, ROOT / "configs" / "README.md"]
"""Documents whose commands are run where the repository is; those of a bundle in its folder."""

DOCUMENTS = [*FROM_ROOT, *(bundle / "docs" / "README.md" for bundle in BUNDLES)]
PROGRAMS = ("python ", "torchrun ", "monai_tff ", "pip ", "make ", "srun ", "sbatch ", "curl ")
"""What a command line within a text begins with."""

TORCHRUN = re.compile(r"^(srun( --\S+)* )?torchrun( +--\S+)* +-m ")


@dataclass(frozen=True)
class CommandLine:
    """One command of a document.

    Attributes:
        document: where it stands.
        text: the command, on one line.
        in_block: it stands in a block, not within a text.
    """

    document: Path
    text: str
    in_block: bool = True

    @property
    def words(self) -> list[str]:
        """As the shell splits them; torchrun is left out, since what it starts are the same words."""
        return shlex.split(TORCHRUN.sub("python -m ", self.text), comments=True)

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {self.text}"


def snippets(document: Path, language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def command_lines(document: Path) -> list[CommandLine]:
    """The command lines of a document in their order, those within the text last."""
    text = document.read_text(encoding="utf-8")
    lines = "\n".join(snippets(document, "bash")).replace("\\\n", " ").splitlines()
    found = [CommandLine(document, " ".join(line.split())) for line in lines if line and not line.startswith("#")]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    inline = (" ".join(span.split()) for span in spans)
    return found + [CommandLine(document, span, False) for span in inline if span.startswith(PROGRAMS)]


def names_more_than_the_command(line: CommandLine, beginning: str) -> bool:
    """Whether a line has arguments: a text may name a command without any."""
    return line.in_block or len(line.words) > len(beginning.split()) + 1


def commands(beginning: str) -> list[tuple[Path, list[str], str]]:
    """Each command line of all documents that begins so: document, words after the beginning, name for a test."""
    start = beginning.split()
    return [
        (document, line.words[len(start) :], str(line))
        for document in DOCUMENTS
        for line in command_lines(document)
        if line.words[: len(start)] == start and names_more_than_the_command(line, beginning)
    ]
