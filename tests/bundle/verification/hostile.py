"""What hostile bundles are made of: a canary that shows whether their code ran, the list of cases, ways to edit.

A case turns a copy of a good bundle into a hostile one. Its manifest is written anew afterwards, so that only the
rule in question can find it; the cases that are about hashes leave the manifest as it was.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ALIVE = "alive"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Canary:
    """A file that every payload touches: as long as it is as it was, no payload ran.

    Args:
        folder: where it lives, made here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.file = folder / ALIVE
        self.file.write_text(ALIVE)

    @property
    def path(self) -> str:
        return str(self.file)

    @property
    def removal(self) -> str:
        """A Python expression that removes it."""
        return f"__import__('os').remove({self.path!r})"

    @property
    def removal_by_torch(self) -> str:
        """The same without the word `import`, which MONAI does not take beside a reference."""
        return f"torch.os.remove({self.path!r})"

    @property
    def module(self) -> str:
        """Source of a module that removes it on import."""
        return f"import pathlib\n\npathlib.Path({self.path!r}).unlink(missing_ok=True)\n"

    @property
    def touched(self) -> bool:
        """Whether anything happened to it or beside it."""
        alone = self.folder.is_dir() and [item.name for item in self.folder.iterdir()] == [ALIVE]
        return not alone or self.file.read_bytes() != ALIVE.encode()


Make = Callable[[Path, Canary], object]
Use = Callable[[Path], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A hostile bundle.

    Attributes:
        name: of the test.
        rules: of the finding that must name it, any of them.
        make: changes a good bundle in place.
        bites: a use of the bundle without verification in which its code runs; None where there is no code in it, or
            it would harm the tests.
        unsafe: whether it could harm, so that `refuse_unsafe` refuses it too; else it is only wrong.
        hashes: whether the manifest is written anew afterwards.
        trains: whether it needs a bundle that holds `train.yaml` and `evaluate.yaml` as well.
    """

    name: str
    rules: tuple[str, ...]
    make: Make
    bites: Use | None = None
    unsafe: bool = True
    hashes: bool = True
    trains: bool = False


CASES: list[Case] = []


def hostile(*rules: str, **options: Any) -> Callable[[Make], Make]:
    """Adds a function to the cases, under its own name; options as in `Case`."""

    def add(make: Make) -> Make:
        CASES.append(Case(make.__name__, rules, make, **options))
        return make

    return add


@contextmanager
def config(bundle: Path, name: str = "inference.yaml") -> Iterator[dict[str, Any]]:
    """A config file of the bundle as a dictionary, written back at the end."""
    path = bundle / "configs" / name
    content = yaml.load(path.read_text(), LOADER)
    yield content
    path.write_text(yaml.dump(content, Dumper=DUMPER, sort_keys=False, width=120))


@contextmanager
def metadata(bundle: Path) -> Iterator[dict[str, Any]]:
    """The metadata of the bundle as a dictionary, written back at the end; model.ts holds it a second time."""
    path = bundle / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    yield content
    text = json.dumps(content, indent=4) + "\n"
    path.write_text(text)
    program = bundle / "models" / "model.ts"
    if program.is_file():
        change_members(program, lambda name, old: text.encode() if name.startswith("extra/") else old)


def append(path: Path, text: str) -> None:
    """Adds text at the end of a file of the bundle."""
    path.write_text(path.read_text() + text)


def put(content: Any, place: str, value: Any) -> None:
    """Sets one value of a config.

    Args:
        content: dictionary, changed in place.
        place: keys and list positions, separated by `#`; `+` at the end appends to a list.
        value: what comes there.
    """
    *parents, last = place.split("#")
    for key in parents:
        content = content[int(key)] if isinstance(content, list) else content.setdefault(key, {})
    if last == "+":
        content.append(value)
    else:
        content[int(last) if isinstance(content, list) else last] = value


def value_cases(
    values: dict[str, tuple[str, Callable[[Canary], Any]]],
    *rules: str,
    file: str = "inference.yaml",
    **options: Any,
) -> None:
    """Adds a case for each value that is put somewhere in a config file: name -> place and value."""
    for name, (place, value) in values.items():

        def make(bundle: Path, canary: Canary, place: str = place, value: Callable[[Canary], Any] = value) -> None:
            with config(bundle, file) as content:
                put(content, place, value(canary))

        CASES.append(Case(name, rules, make, trains=file != "inference.yaml", **options))


def text_cases(texts: dict[str, Callable[[str, Canary], str | bytes]], file: str, *rules: str, **options: Any) -> None:
    """Adds a case for each change of a text file of the bundle: name -> the new text from the old one."""
    for name, change in texts.items():

        def make(bundle: Path, canary: Canary, change: Callable[[str, Canary], str | bytes] = change) -> None:
            content = change((bundle / file).read_text(), canary)
            (bundle / file).write_bytes(content if isinstance(content, bytes) else content.encode())

        CASES.append(Case(name, rules, make, **options))


def change_members(path: Path, change: Callable[[str, bytes], bytes | None], **extra: bytes) -> None:
    """Writes a zip archive anew, member by member.

    Args:
        path: of the archive.
        change: told a member's name below the archive's top folder and its content; gives the new content, or None to
            drop it.
        **extra: members to add, `/` written as `__`.
    """
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    top = members[0][0].partition("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            changed = change(name.partition("/")[2], content)
            if changed is not None:
                archive.writestr(name, changed)
        for name, content in extra.items():
            archive.writestr(f"{top}/{name.replace('__', '/')}", content)
