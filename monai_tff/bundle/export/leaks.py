"""Searches a finished bundle for what must not leave the lab.

The rule, by string:

- Paths and names of scans are found anywhere, also among the bytes of tensors.
- An ID is found as a word: no letter or digit stands on either side of it. So a digest is no hit.
- An ID of digits alone is found as a word where it has five digits or begins with 0, but not as a part of a number
  such as 0.01; a shorter one is what any count or size may be.
- Programs are full of sizes, and of words that torch writes: there a word is looked for where it has both letters and
  digits.
- Any ID is found after `sub-`, `ses-`, `subject` and the like, in programs too.
- The name of the user, the machine, the cohort, a site or a folder is found as a word, unless the target or class names
  have it, or the person who exports has used it in a description of the bundle.
- A word that the shipped bundles or the sentences of the export have themselves is not looked for alone.
- A string with spaces is found where a line breaks inside it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from monai_tff.bundle.export.private import Private
from monai_tff.bundle.export.searched import PROGRAM, RAW, Text, texts_of
from monai_tff.errors import BundleError
from monai_tff.resources import bundles_folder

GRAM = 6
"""Characters of a string's beginning that are looked up before the string itself is searched."""

LONG_NUMBER = 5
DISTINCTIVE = 8
"""Characters from which a word is searched among the bytes of tensors, where shorter ones come about by chance."""

LABELLED = r"(?i:\b(?:sub|ses|subject|session|group|family)s?['\"]?[-_ :=]{1,3}['\"]?)"


def refuse_leaks(folder: Path, private: Private, said: str) -> None:
    """Refuses a bundle that tells something private.

    Args:
        folder: of the bundle.
        private: what must not be in it.
        said: target, class names and what the person who exports says of the bundle: names in it are meant.

    Raises:
        BundleError: naming file and string.
    """
    searches = _Searches(private, said)
    for text in texts_of(folder):
        found = searches.first_in(text)
        if found is not None:
            raise BundleError(
                f"{text.where}: holds '{found}', which is a subject, a file or a name of your own, expected a bundle "
                "that tells nothing of them; take it out of the run's configurations or of what you say of the bundle "
                "(--inference-only leaves out the configurations of training and evaluation)."
            )


class _Searches:
    """The strings and how each is searched, ready for many texts."""

    def __init__(self, private: Private, said: str) -> None:
        known, meant = _vocabulary(), set(_words(said))
        names = {name for name in private.names if not meant.issuperset(_words(name))}
        self.places = {_flat(place) for place in private.places if len(place) > 1}
        wanted = (_flat(word) for word in private.ids | names)
        words = {word for word in wanted if not known.issuperset(_words(word)) and len(word) > 1}
        self.labelled = {_flat(word) for word in private.ids}
        self.words = {word for word in words if not _is_short_number(word)}

    def first_in(self, text: Text) -> str | None:
        """The first string that a text holds, in the order of the alphabet."""
        return min(self._all_in(text), default=None)

    def _all_in(self, text: Text) -> Iterator[str]:
        flat = _flat(text.text)
        grams = {flat[i : i + GRAM] for i in range(len(flat))}
        starts = {length: {gram[:length] for gram in grams} for length in range(1, GRAM + 1)}

        def near(words: Iterable[str]) -> Iterator[tuple[str, str]]:
            """Those whose beginning is in the text, hardly any, each with the text to search; lines break at spaces."""
            for word in words:
                if word[:GRAM] in starts[min(len(word), GRAM)]:
                    yield word, flat if " " in word else text.text

        yield from (place for place, content in near(self.places) if re.search(_as_place(place), content))
        for word, content in near(self.words):
            if _is_searched(word, text.kind) and re.search(_as_word(word), content):
                yield word
        if text.kind != RAW:
            yield from (word for word, content in near(self.labelled) if re.search(LABELLED + _as_word(word), content))


def _flat(text: str) -> str:
    """A text as one line."""
    return " ".join(text.split())


def _is_short_number(word: str) -> bool:
    return word.isdigit() and len(word) < LONG_NUMBER and not word.startswith("0")


def _is_searched(word: str, kind: str) -> bool:
    if kind == RAW:
        return len(word) >= DISTINCTIVE
    if kind == PROGRAM:
        return not word.isdigit() and any(sign.isdigit() for sign in word)
    return True


def _as_place(place: str) -> str:
    # '/data' stands neither in '/datalist.json' nor in an address such as https://server/data
    return rf"(?<![\w.]){re.escape(place)}(?![A-Za-z0-9])" if place.startswith("/") else re.escape(place)


def _as_word(word: str) -> str:
    pattern = rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"
    # digits of 0.01 and of 1,001 are a part of a number
    return rf"(?<!\d[.,]){pattern}(?![.,]\d)" if word.isdigit() else pattern


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


@cache
def _vocabulary() -> frozenset[str]:
    """Words that any bundle may hold: those of the shipped ones, and of the sentences that the export writes."""
    words: set[str] = set()
    for path in bundles_folder().rglob("*"):
        if path.suffix in (".yaml", ".json", ".conf", ".md", ".txt") or path.name == "LICENSE":
            # parts of numbers, such as those of 0.0001, are no words
            words.update(word for word in _words(path.read_text(encoding="utf-8")) if not word.isdigit())
    for path in Path(__file__).parent.glob("*.py"):
        words.update(word for word in _words(path.read_text(encoding="utf-8")) if word.isalpha())
    return frozenset(words)
