"""Converts weights in the published format to a bundle: what nobody can know of them is said to be unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from monai_tff.bundle.export.details import Details, Exported, ExportSource
from monai_tff.bundle.export.private import private_strings
from monai_tff.bundle.export.published import PublishedWeights, read_published
from monai_tff.bundle.export.published_card import card_sections
from monai_tff.bundle.export.published_config import PublishedConfig, published_config
from monai_tff.bundle.export.write import write_bundle
from monai_tff.contract import Target
from monai_tff.errors import WeightsError


def convert_published(
    weights: Path,
    out: Path,
    details: Details,
    *,
    layers: Sequence[str | Path],
    phase: str | None = None,
    target: Target | None = None,
    window_length: int | None = None,
    inference_only: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Exported:
    """Converts a checkpoint of the published code to a bundle and its zip file.

    Args:
        weights: the `.pth` file, see `read_published`.
        out: folder that gets the bundle's folder and its zip file.
        details: what the person who converts says of the bundle.
        layers: dataset layers: how the scans were prepared that the weights were trained on.
        phase: that the weights must be of; None for the one that their tensors show.
        target: what they predict, None for a reconstruction; of two classes the second is the one that was trained
            as 1.
        window_length: frames in a window; None for the published length.
        inference_only: leave out the configurations of training and evaluation.
        overwrite: replace the bundle of this name, whatever its version, and the archive of this version.
        say: is told what is being done.

    Returns:
        Folder and archive of the bundle.

    Raises:
        WeightsError: for a file that cannot be read, would run code, or holds something else than a whole phase.
        ConfigError: for layers or a target that do not settle what the file leaves open.
        BundleError: as in `write_bundle`.
    """
    found = read_published(weights)
    if phase is not None and phase != found.phase:
        raise WeightsError(
            f"{weights}: holds weights of phase '{found.phase}', expected '{phase}'; give --phase {found.phase}, or "
            f"the file of phase '{phase}'."
        )
    config = published_config(found, layers, target=target, window_length=window_length)
    say(f"{weights}: phase {found.phase}, hidden size {found.network['hidden_size']}")
    for remark in config.remarks:
        say(f"note: {remark}")
    source = _source(found, config, details.cohort_name, inference_only)
    return write_bundle(source, out, details, overwrite=overwrite, say=say)


def _source(
    found: PublishedWeights, config: PublishedConfig, cohort_name: str | None, inference_only: bool
) -> ExportSource:
    return ExportSource(
        template=config.template,
        contract=config.contract,
        network=config.network,
        state=found.state,
        sections=card_sections(found, config, cohort_name),
        inference=config.inference,
        train=None if inference_only else config.train,
        evaluate=None if inference_only else config.evaluate,
        private=private_strings(Path(found.source)),
    )
