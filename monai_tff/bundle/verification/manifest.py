"""The manifest: whether every file of a bundle is the one that was exported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from monai_tff.bundle import layout
from monai_tff.bundle.verification.findings import Finding, finding, shown
from monai_tff.bundle.verification.texts import read_json
from monai_tff.bundle.verification.tree import KNOWN, WEIGHTS

SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest_findings(folder: Path) -> Iterator[Finding]:
    """What is not as the manifest says.

    Args:
        folder: of a bundle whose tree is sound.

    Yields:
        One finding for each file that is not listed, is missing or has another hash.

    Raises:
        BundleError: for a manifest that is none.
    """
    content = read_json(folder / layout.MANIFEST)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or content.get("hash_type") != layout.HASH_TYPE:
        yield finding("manifest", layout.MANIFEST, f"no hash_type {layout.HASH_TYPE} and files, expected both")
        return
    for name in KNOWN:
        if name != layout.MANIFEST and name not in files and (folder / name).is_file():
            yield finding("manifest", name, f"is not in {layout.MANIFEST}, expected its hash there")
    for name, wanted in files.items():
        if name not in KNOWN or name == layout.MANIFEST:
            yield finding("manifest", layout.MANIFEST, f"lists {shown(name)}, which no bundle has")
        elif not isinstance(wanted, str) or not SHA256.fullmatch(wanted):
            yield finding("manifest", layout.MANIFEST, f"the hash of {name} is {shown(wanted)}, expected a SHA-256")
        elif not (folder / name).is_file():
            if name not in WEIGHTS:
                yield finding("manifest", name, f"is missing, but listed in {layout.MANIFEST}")
        elif (found := layout.sha256_of(folder / name)) != wanted:
            yield finding("manifest", name, f"has the hash {found[:12]}..., expected {wanted[:12]}...")
