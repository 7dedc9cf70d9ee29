"""The rules in their order: what is cheap and needs no trust comes first, and what runs code of ours comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from monai_tff.bundle import layout
from monai_tff.bundle.verification.configs import config_findings, logging_findings, metadata_findings
from monai_tff.bundle.verification.findings import Finding, refused
from monai_tff.bundle.verification.formats import format_findings
from monai_tff.bundle.verification.manifest import manifest_findings
from monai_tff.bundle.verification.structure import structure_findings
from monai_tff.bundle.verification.tree import WEIGHTS, is_exported, run_folder_findings, tree_findings
from monai_tff.errors import BundleError
from monai_tff.resources import bundles_folder

CONFIGS = (layout.INFERENCE, layout.TRAIN, layout.EVALUATE)
ALWAYS_READ = (layout.INFERENCE, layout.METADATA, layout.LOGGING)
"""What prediction reads of any folder, besides the weights."""


def verify_bundle(folder: Path) -> list[Finding]:
    """Checks a bundle as a whole: safety, the rules of the model zoo, and whether it does what it says.

    Args:
        folder: of an exported bundle.

    Returns:
        Everything that was found, in the order of `RULES`; nothing is instantiated or unpickled while a rule of safety
        is broken.
    """
    folder = Path(folder)
    if not is_exported(folder):
        return [Finding("tree", layout.MANIFEST, f"{layout.MANIFEST}: there is no such file, expected an export")]
    return list(_safety_findings(folder))


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
    for found in _safety_findings(folder):
        raise BundleError(
            f"{folder}: {found.sentence} (rule {found.rule}); do not use it, or pass --trust if it is your own."
        )


def _safety_findings(folder: Path) -> Iterator[Finding]:
    if is_exported(folder):
        yield from _stages(folder, _exported_stages(folder))
    else:
        yield from _stages(folder, _run_stages(folder))


def _stages(folder: Path, stages: Iterable[list[Finding]]) -> Iterator[Finding]:
    """Findings of each stage; a stage relies on those before it, so that the first broken one is the last."""
    for findings in stages:
        yield from findings
        if findings:
            return


def _exported_stages(folder: Path) -> Iterator[list[Finding]]:
    yield refused("tree", ".", tree_findings, folder)
    present = tuple(name for name in WEIGHTS if (folder / name).is_file())
    configs = tuple(name for name in CONFIGS if (folder / name).is_file())
    yield [
        *refused("manifest", layout.MANIFEST, manifest_findings, folder),
        *format_findings(folder, present),
        *_text_findings(folder, configs),
    ]
    yield refused("structure", layout.INFERENCE, structure_findings, folder)


def _run_stages(folder: Path) -> Iterator[list[Finding]]:
    present = tuple(name for name in (layout.SAFETENSORS, layout.STATE_DICT) if (folder / name).exists())
    yield refused("tree", ".", run_folder_findings, folder, (*ALWAYS_READ, *present))
    yield [*format_findings(folder, present), *_text_findings(folder, (layout.INFERENCE,))]
    yield refused("structure", layout.INFERENCE, structure_findings, folder)


def _text_findings(folder: Path, configs: tuple[str, ...]) -> Iterator[Finding]:
    for name in configs:
        yield from refused("configs", name, config_findings, folder, name)
    yield from refused("metadata", layout.METADATA, metadata_findings, folder)
    shipped = next(iter(sorted(bundles_folder().glob(f"*/{layout.LOGGING}"))))
    yield from refused("logging", layout.LOGGING, logging_findings, folder, shipped)
