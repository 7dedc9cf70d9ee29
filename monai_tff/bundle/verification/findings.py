"""What a verification finds, and the rules that it goes through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from monai_tff.errors import UserError

SAFETY_RULES = {
    "archive": "the .zip unpacks into one folder of its own, and nowhere else",
    "tree": "files, sizes: nothing missing, unknown, linked or too large",
    "manifest": "every file is the one that the manifest names",
    "formats": "weights hold tensors, and programs hold the operations of our networks",
    "configs": "configs call nothing but what the shipped bundles call",
    "metadata": "metadata.json is plain data",
    "logging": "logging.conf is the shipped one",
    "structure": "inference checks the input contract and loads the weights of the bundle",
}
"""Rules that hold before anything of a bundle is run: nothing is instantiated or unpickled while one is broken."""

OTHER_RULES = {
    "schema": "metadata.json follows the schema of MONAI",
    "properties": "the configs have what MONAI asks of a bundle",
    "network": "the network gives what metadata.json says, with these weights",
    "weights": "all forms of the weights are the same network",
    "card": "the model card has the sections of the model zoo",
    "large_files": "large files are listed, with their hash",
    "version": "made with the monai_tff that is installed",
    "style": "columns, indent, no personal path",
}
"""Rules whose breach makes a bundle worse, not dangerous."""

RULES = {**SAFETY_RULES, **OTHER_RULES}
"""What each rule says, in the order in which they are checked."""

_SHOWN = 80


@dataclasses.dataclass(frozen=True)
class Finding:
    """A rule that a bundle breaks.

    Attributes:
        rule: its name, a key of `RULES`.
        where: the file in the bundle, and the key in it where there is one.
        sentence: what was found and what was expected.
    """

    rule: str
    where: str
    sentence: str

    @property
    def is_unsafe(self) -> bool:
        """Whether nothing of the bundle may be run."""
        return self.rule in SAFETY_RULES


def finding(rule: str, where: str, found: str) -> Finding:
    """A finding whose sentence begins with the place."""
    return Finding(rule, where, printable(f"{where}: {found}"))


def printable(text: str) -> str:
    """A text without what would move a terminal's cursor or break a line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: object) -> str:
    """A value of a stranger as it may stand in a message: escaped, and cut where it is long."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refused(rule: str, where: str, check: Callable[..., Iterable[Finding] | None], *arguments: Any) -> list[Finding]:
    """Runs a check; a user error that it raises, and a file that cannot be read, is one more finding.

    Args:
        rule: that the check is for.
        where: file in the bundle.
        check: gives findings, or nothing.
        *arguments: of the check.
    """
    found: list[Finding] = []
    try:
        found.extend(check(*arguments) or ())
    except UserError as error:
        found.append(finding(rule, where, " ".join(str(error).split()).rstrip(".")))
    except (OSError, RecursionError) as error:
        found.append(finding(rule, where, f"cannot be read ({shown(str(error))}), expected a sound file"))
    return found
