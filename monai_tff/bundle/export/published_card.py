"""Sections of the model card of converted weights: what their file says, and what nobody can know of them."""

from __future__ import annotations

from monai_tff.bundle.export.card_text import bullets, paragraph, table, times
from monai_tff.bundle.export.published import PublishedWeights
from monai_tff.bundle.export.published_config import PublishedConfig
from monai_tff.bundle.lineage import UNKNOWN

DATA = """
The weights were converted from a file in the format of the published TFF code (https://github.com/GonyRosenman/TFF).
What they were trained on is not in that file.{cohort}
monai_tff knows neither the subjects nor the split of the training.
"""

FACTS = (
    "SHA-256 of the file: `{sha256}`",
    "Pretraining overlap: {unknown}; the weights may have seen the subjects that they are tested on",
)

COHORT = " According to the person who converted them, it was {name}."

TRAINING = """
The weights are of {learned}, and were trained by other code. The sizes of the network were read from the weights; how
scans are prepared is what the person said who converted them. How they were trained is not known: where the bundle has
a `train.yaml`, it is the published recipe.
"""

LEARNED = {
    "autoencoder": "phase 1, which reconstructs single frames",
    "transformer": "phase 2, which reconstructs windows of frames",
    "finetune": "phase 3, which predicts a target",
}

PERFORMANCE = """
monai_tff knows no numbers of these weights. Evaluate them on subjects that they have not seen; every result says that
the pretraining overlap is {unknown}.
"""

SIZES = {
    "hidden_size": "length of a frame code",
    "max_frames": "longest window",
    "num_layers": "transformer layers",
    "feedforward_size": "width of their feed-forward part",
}


def card_sections(weights: PublishedWeights, config: PublishedConfig, cohort_name: str | None) -> dict[str, str]:
    """Those sections of the model card that only the source of the weights decides.

    Args:
        weights: as read from the file.
        config: what the bundle is configured with.
        cohort_name: of the cohort that the weights were trained on, as the person says who converts them.

    Returns:
        Markdown by section, without headings.
    """
    cohort = "" if cohort_name is None else COHORT.format(name=cohort_name)
    facts = bullets([fact.format(sha256=weights.sha256, unknown=UNKNOWN) for fact in FACTS])
    training = paragraph(TRAINING.format(learned=LEARNED[weights.phase]))
    return {
        "Data": f"{paragraph(DATA.format(cohort=cohort))}\n\n{facts}",
        "Training configuration": f"{training}\n\n{table(('', ''), _rows(weights, config))}",
        "Performance": paragraph(PERFORMANCE.format(unknown=UNKNOWN)),
    }


def _rows(weights: PublishedWeights, config: PublishedConfig) -> list[tuple[str, str]]:
    rows = [
        ("phase", weights.phase),
        ("grid", times(config.contract.spatial_size)),
        ("window", f"{config.contract.window_length} frames"),
    ]
    rows += [(SIZES[name], str(value)) for name, value in weights.network.items()]
    parameters = sum(tensor.numel() for tensor in weights.state.values())
    return [*rows, ("parameters", f"{parameters:,}")]
