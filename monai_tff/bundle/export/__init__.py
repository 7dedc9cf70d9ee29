"""Export: from a run folder, or weights of the published code, to a bundle that may be passed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monai_tff.bundle.export.details import Details, Exported, ExportSource
from monai_tff.bundle.export.run_source import read_run
from monai_tff.bundle.export.write import write_bundle

__all__ = ["Details", "ExportSource", "Exported", "export_run", "write_bundle"]


def export_run(
    run: Path,
    out: Path,
    details: Details,
    *,
    inference_only: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Exported:
    """Exports a finished run folder as a bundle, and as its zip file.

    Args:
        run: the run folder of one phase.
        out: folder that gets the bundle's folder and its zip file.
        details: what the run folder does not know of the bundle.
        inference_only: leave out the configurations of training and evaluation.
        overwrite: replace the bundle of this name, whatever its version, and the archive of this version.
        say: is told what is being done.

    Returns:
        Folder and archive of the bundle.

    Raises:
        BundleError: for a folder that is no finished run, and as in `write_bundle`.
    """
    source = read_run(Path(run), inference_only=inference_only, cohort_name=details.cohort_name)
    if source.warning is not None:
        say(f"warning: {source.warning}")
    return write_bundle(source, Path(out), details, overwrite=overwrite, say=say)
