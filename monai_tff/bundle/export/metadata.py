"""`metadata.json` of an exported bundle: the template's, with what this run and its contract say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_tff import __version__
from monai_tff.bundle import layout
from monai_tff.bundle.export.configs import template_folder
from monai_tff.bundle.export.details import VERSION, Details, ExportSource
from monai_tff.bundle.run_folder import filled_metadata
from monai_tff.contract import Target
from monai_tff.handlers.files import replaced_file

OWN_PACKAGE = "monai_tff"
FRAMEWORK = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}
"""Keys of the metadata that hold the version of a package of their own."""

KINDS = {"binary": "Classification", "multiclass": "Classification", "regression": "Regression"}


def write_metadata(folder: Path, source: ExportSource, details: Details) -> dict[str, Any]:
    """Writes `configs/metadata.json`.

    Args:
        folder: of the bundle.
        source: what is exported.
        details: what the person who exports says.

    Returns:
        The metadata.
    """
    metadata = filled_metadata(template_folder(source.template) / layout.METADATA, source.contract)
    metadata |= {"name": details.name, "version": details.version, "changelog": _changelog(details)}
    metadata |= {key: _version(source, package, metadata[key]) for key, package in FRAMEWORK.items()}
    packages = metadata["required_packages_version"]
    # the configurations are those of the package that exports, whichever version has trained
    metadata["required_packages_version"] = {
        package: __version__ if package == OWN_PACKAGE else _version(source, package, tested)
        for package, tested in packages.items()
    }
    metadata |= {"task": task_of(source.contract.target), "description": described(source, details)}
    metadata |= {"authors": details.authors, "copyright": details.copyright}
    metadata["data_source"] = details.cohort_name or "not stated; see docs/README.md"
    with replaced_file(folder / layout.METADATA) as file:
        file.write((json.dumps(metadata, indent=4) + "\n").encode())
    return metadata


def _changelog(details: Details) -> dict[str, str]:
    """Every version's sentence, the oldest version first."""
    entries = {**details.earlier, details.version: details.changelog}
    return {version: entries[version] for version in sorted(entries, key=lambda text: [*map(int, text.split("."))])}


def earlier_versions(folder: Path) -> tuple[str, dict[str, str]]:
    """The version and the changelog of a bundle that may be replaced.

    Args:
        folder: of the bundle, or where there is none.

    Returns:
        The version, `unknown` if the metadata do not say it, and version -> its sentence.
    """
    try:
        metadata = json.loads((folder / layout.METADATA).read_text(encoding="utf-8"))
        entries = {key: str(text) for key, text in metadata["changelog"].items() if VERSION.fullmatch(key)}
        return str(metadata["version"]), entries
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unknown", {}  # a damaged bundle may be replaced too


def _version(source: ExportSource, package: str, tested: str) -> str:
    return source.versions.get(package, tested).partition("+")[0]


def task_of(target: Target | None) -> str:
    """The task of a bundle in a few words."""
    if target is None:
        return "Self-supervised reconstruction of fMRI"
    return f"{KINDS[target.kind]} of {target.name} from fMRI"


def described(source: ExportSource, details: Details) -> str:
    """The sentence that describes a bundle: the user's, or one made from the contract."""
    if details.description is not None:
        return details.description
    target = source.contract.target
    if target is None:
        return "TFF, the Transformer Framework for fMRI: reconstructs the frames of a 4D BOLD scan."
    classes = f" ({', '.join(target.class_names)})" if target.class_names else ""
    return f"TFF, the Transformer Framework for fMRI: predicts a subject's {target.name}{classes} from a 4D BOLD scan."
