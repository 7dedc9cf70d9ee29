"""`python -m monai_tff verify`: whether a bundle is safe to use, complete, and what it says it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


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
    found: list[Finding] = []
    for rule, findings in checked_rules(bundle):
        found.extend(findings or ())
        if not as_json:
            state = "not checked" if findings is None else "ok" if not findings else f"{len(findings)} finding(s)"
            typer.echo(f"{rule:12} {state:14} {RULES[rule]}")
            for one in findings or ():
                typer.echo(f"  - {one.sentence}")
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=4))
    elif found:
        typer.echo(f"{bundle}: {_verdict(found)}", err=True)
    if found:
        raise typer.Exit(1)


def _verdict(found: list) -> str:
    unsafe = sum(one.is_unsafe for one in found)
    if unsafe:
        return f"{len(found)} finding(s), {unsafe} of safety: do not use this bundle."
    return f"{len(found)} finding(s), none of safety."
