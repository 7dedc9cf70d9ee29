"""The rules in their order: what is cheap and needs no trust comes first, and what runs code of ours comes last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from monai_tff.bundle import layout
from monai_tff.bundle.verification.configs import config_findings, logging_findings, metadata_findings
from monai_tff.bundle.verification.documents import (
    card_findings,
    large_files_findings,
    schema_findings,
    style_findings,
    version_findings,
)
from monai_tff.bundle.verification.findings import SAFETY_RULES, Finding, refused
from monai_tff.bundle.verification.formats import format_findings
from monai_tff.bundle.verification.manifest import manifest_findings
from monai_tff.bundle.verification.opening import opened_bundle
from monai_tff.bundle.verification.running import network_findings, property_findings, weights_findings
from monai_tff.bundle.verification.structure import structure_findings
from monai_tff.bundle.verification.tree import WEIGHTS, is_exported, run_folder_findings, tree_findings
from monai_tff.errors import BundleError

Check = Callable[[Path], Iterable[Finding]]
Result = tuple[str, list[Finding] | None]

CONFIGS = (layout.INFERENCE, layout.TRAIN, layout.EVALUATE)
READ_OF_A_RUN = (layout.INFERENCE, layout.METADATA, layout.LOGGING)
"""What prediction reads of a run folder, besides the weights."""

ARCHIVE = "archive"


def verify_bundle(folder: Path) -> list[Finding]:
    """Checks a bundle as a whole: safety, the rules of the model zoo, and whether it does what it says.

    Args:
        folder: of an exported bundle.

    Returns:
        Everything that was found, in the order of `RULES`; nothing is instantiated or unpickled while a rule of safety
        is broken.
    """
    return [found for _, findings in checked_rules(Path(folder)) for found in findings or ()]


def checked_rules(path: Path) -> Iterator[Result]:
    """Checks a bundle rule by rule.

    Args:
        path: folder of an exported bundle, or its .zip.

    Yields:
        Each rule when it is checked, with its findings; None for a rule that cannot be checked, because one that it
        relies on is broken.
    """
    if path.is_dir():
        yield from _results(path, EXPORTED)
        return
    try:
        with opened_bundle(path) as folder:
            yield ARCHIVE, []
            yield from _results(folder, EXPORTED)
    except BundleError as error:
        yield ARCHIVE, [Finding(ARCHIVE, path.name, str(error))]
        yield from ((rule, None) for rule in EXPORTED)


def refuse_unsafe(folder: Path) -> None:
    """Refuses a bundle or run folder that would do more than predict with tensors.

    Nothing of it is run, and nothing is unpickled. A folder with a manifest is held to it; one without is taken for a
    run folder, of which what prediction reads is checked.

    Args:
        folder: holds `configs/inference.yaml`.

    Raises:
        BundleError: with the first finding, and the rule that it breaks.
    """
    folder = Path(folder)
    checks = EXPORTED if is_exported(folder) else RUN_FOLDER
    safety = {rule: check for rule, check in checks.items() if rule in SAFETY_RULES}
    for rule, findings in _results(folder, safety):
        if findings:
            raise BundleError(
                f"{folder}: {findings[0].sentence} (rule '{rule}' of verify); do not use it, or pass --trust if it is "
                "your own."
            )


def _results(folder: Path, checks: Mapping[str, Check]) -> Iterator[Result]:
    sound: set[str] = set()
    for rule, check in checks.items():
        findings = None
        if sound.issuperset(needed for needed in NEEDS[rule] if needed in checks):
            findings = refused(rule, MAIN_FILE.get(rule, "."), check, folder)
            if not findings:
                sound.add(rule)
        yield rule, findings


def _formats(*names: str) -> Check:
    return lambda folder: format_findings(folder, tuple(name for name in names if (folder / name).is_file()))


def _configs(*names: str) -> Check:
    def check(folder: Path) -> Iterator[Finding]:
        for name in names:
            if (folder / name).is_file():
                yield from refused("configs", name, config_findings, folder, name)

    return check


def _run_tree(folder: Path) -> Iterator[Finding]:
    weights = (name for name in (layout.SAFETENSORS, layout.STATE_DICT) if (folder / name).exists())
    yield from run_folder_findings(folder, (*READ_OF_A_RUN, *weights))


EXPORTED: dict[str, Check] = {
    "tree": tree_findings,
    "manifest": manifest_findings,
    "formats": _formats(*WEIGHTS),
    "configs": _configs(*CONFIGS),
    "metadata": metadata_findings,
    "logging": logging_findings,
    "structure": structure_findings,
    "schema": schema_findings,
    "properties": property_findings,
    "network": network_findings,
    "weights": weights_findings,
    "card": card_findings,
    "large_files": large_files_findings,
    "version": version_findings,
    "style": style_findings,
}
"""What is checked of an exported bundle, by rule."""

RUN_FOLDER: dict[str, Check] = {
    "tree": _run_tree,
    "formats": _formats(layout.SAFETENSORS, layout.STATE_DICT),
    "configs": _configs(layout.INFERENCE),
    "metadata": metadata_findings,
    "logging": logging_findings,
    "structure": structure_findings,
}
"""What is checked of a run folder before it predicts."""

_SAFE = tuple(rule for rule in SAFETY_RULES if rule != ARCHIVE)

MAIN_FILE = {
    **{rule: layout.METADATA for rule in ("metadata", "schema", "version")},
    **{rule: layout.INFERENCE for rule in ("structure", "properties")},
    **{rule: layout.SAFETENSORS for rule in ("network", "weights")},
    **{"manifest": layout.MANIFEST, "logging": layout.LOGGING},
    **{"card": layout.MODEL_CARD, "large_files": layout.LARGE_FILES},
}
"""What a rule reads first: where a finding is that does not say so itself."""

NEEDS: dict[str, tuple[str, ...]] = {
    "tree": (),
    **{rule: ("tree",) for rule in ("manifest", "formats", "configs", "metadata", "logging", "card")},
    "structure": ("tree", "formats", "configs", "metadata"),
    **{rule: ("tree", "metadata") for rule in ("schema", "version", "style")},
    "large_files": ("tree", "manifest"),
    "properties": ("tree", "configs", "metadata"),
    "network": (*_SAFE, "schema"),
    "weights": (*_SAFE, "network"),
}
"""Rules that must hold before another can be checked."""
