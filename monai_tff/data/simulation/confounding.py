"""What spoils a simulated cohort on purpose: motion or sites that follow a target, a label written into the scans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_tff.data.simulation.option_checks import TARGETS, one_of, within
from monai_tff.data.simulation.template import BrainTemplate
from monai_tff.errors import ConfigError

KINDS = ("motion", "site")
MAX_SIZE = 10.0
LEAK_WARNING = (
    "LABEL LEAK: the target is written into the scans on purpose, to test whether an evaluation notices; these scans "
    "are of no other use."
)
LEAK_SHARE = 0.05
LEAK_FACTOR = 1.5


@dataclasses.dataclass(frozen=True)
class PlantedConfound:
    """Something that follows a target without any difference in the brain.

    With the target's code c (-1 or +1 for the two classes, else the standardised age), a motion of size s moves the
    logarithm of the level of small movements by s / 2 * c of its standard deviations, and that of the rate of spikes
    by s / 2 * c. A site of size s mixes the sites unevenly: the log odds of the last site against the first move by
    s / 2 * c, those of the sites between them in proportion, so that s is the log odds ratio of the two classes.

    Attributes:
        kind: `motion` or `site`.
        size: s, from -10 to 10.
    """

    kind: str
    size: float

    def __post_init__(self) -> None:
        """Refuses what does not exist."""
        one_of("confound kind", self.kind, KINDS)
        within(f"confound {self.kind}: size", self.size, -MAX_SIZE, MAX_SIZE)


def parse_confound(text: str) -> tuple[str, PlantedConfound]:
    """Reads a confound from `TARGET:KIND:SIZE`.

    Args:
        text: for example `diagnosis:motion:3`.

    Returns:
        The target and the confound.

    Raises:
        ConfigError: where the text has another form, or names what does not exist.
    """
    parts = text.split(":")
    if len(parts) != 3:
        raise ConfigError(f"confound '{text}': expected TARGET:KIND:SIZE, such as diagnosis:motion:3.")
    target, kind, size = parts
    one_of("confound target", target, TARGETS)
    try:
        number = float(size)
    except ValueError:
        raise ConfigError(f"confound '{text}': the size is '{size}', expected a number.") from None
    return target, PlantedConfound(kind, number)


def complete_confounds(
    confounds: Mapping[str, Sequence[Any]], num_sites: int
) -> dict[str, tuple[PlantedConfound, ...]]:
    """Turns mappings into confounds.

    Args:
        confounds: target -> confounds.
        num_sites: sites of the cohort.

    Raises:
        ConfigError: for an unknown target or attribute, or sites that cannot be mixed.
    """
    complete = {}
    for target, planted in confounds.items():
        one_of("confound target", target, TARGETS)
        found = []
        for confound in planted:
            if isinstance(confound, Mapping):
                if set(confound) != {"kind", "size"}:
                    raise ConfigError(f"confound {dict(confound)}: expected the keys kind and size, and no other.")
                confound = PlantedConfound(**confound)
            if confound.kind == "site" and num_sites < 2:
                raise ConfigError(
                    f"confound of {target}: a site cannot follow it with num_sites {num_sites}, expected 2 or more."
                )
            found.append(confound)
        complete[target] = tuple(found)
    return complete


def site_shares(shift: float, num_sites: int) -> NDArray[np.float64]:
    """Probabilities of the sites for one subject.

    Args:
        shift: log odds of the last site against the first.
        num_sites: K, 2 or more.

    Returns:
        [K], equal where the shift is 0.
    """
    odds = np.exp(shift * (np.arange(num_sites) / (num_sites - 1) - 0.5))
    return odds / odds.sum()


def leaked(values: NDArray[np.float64], template: BrainTemplate, code: float) -> NDArray[np.float64]:
    """Writes a target into the corner of the brain that is most left, posterior and inferior.

    The intensity of 5 % of the voxels is multiplied with 1.5 to the power of the code.

    Args:
        values: intensities, [T, V].
        template: the brain.
        code: of the subject's target.

    Returns:
        A copy with the mark, [T, V].
    """
    distance = np.argwhere(template.mask).sum(axis=1)
    corner = np.argsort(distance, kind="stable")[: max(1, round(LEAK_SHARE * len(distance)))]
    marked = values.copy()
    marked[:, corner] *= LEAK_FACTOR**code
    return marked
