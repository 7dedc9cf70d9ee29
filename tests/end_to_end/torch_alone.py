"""Runs programs of an exported bundle with torch and nothing else: python torch_alone.py WINDOWS OUTPUTS PROGRAM...

A program is TorchScript (`.ts`) or one of torch.export (`.pt2`); OUTPUTS gets its numbers by its extension. What is
neither Python's own, nor torch, nor a package that torch itself requires cannot be imported.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, requires
from typing import Any

TORCH = ("torch", "numpy")


def required(names: Sequence[str]) -> set[str]:
    """Distributions that are required by some, and by those in turn, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += re.findall(
            r"^[\w-]+", "\n".join(t for t in requires(name) or [] if "extra ==" not in t), re.MULTILINE
        )
    return found


class TorchAlone:
    """Finds modules as Python does, but none of a package that torch does not need: it is as if not installed."""

    def __init__(self) -> None:
        allowed = required(TORCH)
        owners = {
            name: {owner.lower().replace("_", "-") for owner in of} for name, of in packages_distributions().items()
        }
        self.hidden = {name for name, of in owners.items() if not of & allowed}
        self.finders = list(sys.meta_path)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.hidden:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)


def main(windows: str, outputs: str, *programs: str) -> None:
    finder = TorchAlone()
    sys.meta_path[:] = [finder]
    import torch

    found = {}
    with torch.no_grad():
        for program in programs:
            extension = program.rpartition(".")[2]
            module = torch.jit.load(program) if extension == "ts" else torch.export.load(program).module()
            found[extension] = module(torch.load(windows))
    torch.save(found, outputs)
    loaded = sorted(finder.hidden & {name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"hidden": sorted(finder.hidden), "loaded": loaded}))


if __name__ == "__main__":
    main(*sys.argv[1:])
