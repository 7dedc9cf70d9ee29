"""`python -m monai_tff verify`: whether a bundle is safe to use, complete, and what it says it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

SHOWN = 20
"""Findings of a rule that are printed; --json prints all."""


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of an exported bundle, or its .zip.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Verify a bundle before it is used or passed on: safety, the model zoo's rules, weights and network."""
    import dataclasses

    from monai_tff.bundle.verification import RULES, Finding, checked_rules
    from monai_tff.errors import BundleError

    if not bundle.exists():
        raise BundleError(f"{bundle}: there is no such file or folder, expected a bundle or its .zip; check the path.")
    _refuse_other_folders(bundle)
    found: list[Finding] = []
    for rule, findings in checked_rules(bundle):
        found.extend(findings or ())
        if not as_json:
            state = "not checked" if findings is None else "ok" if not findings else f"{len(findings)} finding(s)"
            typer.echo(f"{rule:12} {state:14} {RULES[rule]}")
            for one in (findings or [])[:SHOWN]:
                typer.echo(f"  - {one.sentence}")
            if len(findings or ()) > SHOWN:
                typer.echo(f"  - and {len(findings or ()) - SHOWN:,} more; --json prints all")
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=4))
    elif found:
        typer.echo(f"{bundle}: {_verdict(found)}", err=True)
    if found:
        raise typer.Exit(1)


def _refuse_other_folders(folder: Path) -> None:
    """Says that a folder is no export, where each file of it would be a finding."""
    from monai_tff.bundle import layout
    from monai_tff.errors import BundleError

    if not folder.is_dir() or any((folder / name).exists() for name in (layout.MANIFEST, layout.MODEL_CARD)):
        return
    if (folder / layout.INFERENCE).is_file():
        raise BundleError(
            f"{folder}: is a run folder, expected an exported bundle; export it first (predict and serve check a run "
            "folder by themselves)."
        )
    inner = sorted(path.parent.name for path in folder.glob(f"*/{layout.MANIFEST}"))
    way_out = f"name one of the bundles in it ({', '.join(inner)})" if inner else "check the path"
    raise BundleError(f"{folder}: has no {layout.MANIFEST}, expected the folder of an exported bundle; {way_out}.")


def _verdict(found: list) -> str:
    unsafe = sum(one.is_unsafe for one in found)
    if unsafe:
        return f"{len(found)} finding(s), {unsafe} of safety: do not use this bundle."
    return f"{len(found)} finding(s), none of safety."
