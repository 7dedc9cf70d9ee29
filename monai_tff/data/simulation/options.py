"""What a simulated cohort is made of: the options, the planted effects and the checks of both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from monai_tff.data.simulation.confounding import PlantedConfound, complete_confounds
from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.option_checks import TARGETS, one_of, whole, within
from monai_tff.errors import ConfigError

DEFAULT_NETWORK = {"sex": "default_mode", "age": "auditory", "diagnosis": "somatomotor"}
STORAGES = ("int16", "scaled_int16", "float32")
BACKGROUNDS = ("zero", "nonzero")
MAX_EFFECT_SIZE = 10.0

BETWEEN_SUBJECT_STD = {"regional_mean": 0.0875, "network_amplitude": 0.3, "network_coupling": 0.2}
"""Standard deviation over subjects of each quantity that an effect can be planted in: of the natural logarithm of
a region's mean (3 standard deviations are 30 %), of the natural logarithm of a network's amplitude (3 are a factor of
2.5), and of Fisher's z (atanh) of the correlation of two networks."""

KINDS = tuple(BETWEEN_SUBJECT_STD)


@dataclasses.dataclass(frozen=True)
class PlantedEffect:
    """One difference that a target makes.

    The planted quantity of subject s is `std * (z_s + size / 2 * code_s)`, with `std` from `BETWEEN_SUBJECT_STD`,
    `z_s` standard normal, and `code_s` -1 or +1 for the two classes (F and M, CONTROL and PATIENT) or the
    standardised age. So `size` is Cohen's d between the two classes (difference of the means over the standard
    deviation within a class); for age the correlation of quantity and age is `size / sqrt(size ** 2 + 4)`, which
    is the point-biserial correlation of two equal groups that lie `size` apart.

    Attributes:
        kind: `regional_mean`, `network_amplitude` or `network_coupling`.
        size: Cohen's d; 0 plants nothing, negative values reverse the direction.
        relative_size: instead of `size`, the ratio of the two classes' medians minus 1 (0.3 for 30 %); then
            `size = log(1 + relative_size) / std`. A coupling has no ratio.
        network: one of `NETWORKS`; None takes the target's own (`DEFAULT_NETWORK`). A coupling is planted between
            the network and its partner in `COUPLED_PAIRS`.

    Example:
        >>> PlantedEffect("regional_mean", relative_size=0.3).cohens_d
        2.998...
    """

    kind: str
    size: float = 0.0
    relative_size: float | None = None
    network: str | None = None

    def __post_init__(self) -> None:
        """Refuses what does not exist or cannot be planted."""
        one_of("effect kind", self.kind, KINDS)
        if self.network is not None:
            one_of("effect network", self.network, tuple(NETWORKS))
        within(f"effect {self.kind}: size (Cohen's d)", self.size, -MAX_EFFECT_SIZE, MAX_EFFECT_SIZE)
        if self.relative_size is not None:
            self._check_relative_size(self.relative_size)

    def _check_relative_size(self, relative_size: float) -> None:
        if self.kind == "network_coupling":
            raise ConfigError(
                "effect network_coupling: a correlation has no relative_size; give size, in standard deviations."
            )
        if self.size:
            raise ConfigError(f"effect {self.kind}: size and relative_size are both given; give one of them.")
        largest = MAX_EFFECT_SIZE * BETWEEN_SUBJECT_STD[self.kind]
        within(f"effect {self.kind}: relative_size", relative_size, math.expm1(-largest), math.expm1(largest))

    @property
    def cohens_d(self) -> float:
        """The size as Cohen's d, whichever way it was given."""
        if self.relative_size is None:
            return float(self.size)
        return math.log1p(self.relative_size) / BETWEEN_SUBJECT_STD[self.kind]


def parse_effect(text: str) -> tuple[str, PlantedEffect]:
    """Reads an effect from `TARGET:KIND:SIZE[:NETWORK]`; a size that ends in % is a relative size.

    Args:
        text: for example `sex:regional_mean:3.0`, `sex:regional_mean:30%` or `age:network_amplitude:1:visual`.

    Returns:
        The target and the effect.

    Raises:
        ConfigError: where the text has another form, or names what does not exist.
    """
    parts = text.split(":")
    if len(parts) not in (3, 4):
        raise ConfigError(f"effect '{text}': expected TARGET:KIND:SIZE or TARGET:KIND:SIZE:NETWORK.")
    target, kind, size, network = (*parts, None)[:4]
    one_of("effect target", str(target), TARGETS)
    try:
        number = float(str(size).removesuffix("%"))
    except ValueError:
        raise ConfigError(
            f"effect '{text}': the size is '{size}', expected a number (Cohen's d), or a percentage such as 30%."
        ) from None
    if str(size).endswith("%"):
        return str(target), PlantedEffect(str(kind), relative_size=number / 100, network=network)
    return str(target), PlantedEffect(str(kind), size=number, network=network)


@dataclasses.dataclass(frozen=True)
class SimulationOptions:
    """Every choice that a simulated cohort depends on.

    Attributes:
        num_subjects: number of subjects, 2 or more; any even number is balanced for sex and for diagnosis.
        seed: the cohort's seed, 0 or more.
        voxel_size: edge of a voxel, mm, from 2 to 20.
        num_frames: frames of each scan, 4 or more.
        repetition_time: seconds between frames.
        effects: target -> effects planted for it, each a `PlantedEffect` or a mapping of its attributes; none for
            a null cohort.
        num_sessions: sessions of each subject; more than 1 adds `ses-` folders.
        num_sites: scanners that the subjects are spread over.
        site_gains: intensity gain of each site, or None for 1.0, 1.5, 0.75, then again.
        site_repetition_times: seconds, for each site, or None for `repetition_time` everywhere.
        family_size: subjects of a family; relatives follow each other.
        family_similarity: correlation of relatives in every trait, from 0 to 1.
        autocorrelation: AR(1) coefficient of the network time courses at `repetition_time`; at another repetition
            time it is raised to the ratio of the two.
        signal_std: standard deviation over frames of a network's signal at its centre, as a fraction of the brain's
            mean intensity.
        noise_std: standard deviation of the scanner noise likewise.
        drift_std: standard deviation of the slow drift likewise.
        spike_rate: probability that a frame holds a motion spike.
        background: voxels outside the brain: `zero`, or `nonzero` (weak noise of the air, never 0).
        storage: `int16` (scl_slope 1), `scaled_int16` (a scl_slope for each scan) or `float32`.
        masks: whether a brain mask is written beside each scan.
        confounds: target -> what follows it without being in the brain, each a `PlantedConfound` or a mapping of its
            attributes.
        site_pattern_std: standard deviation over the brain of the natural logarithm of each scanner's own smooth
            pattern of intensity; unlike a gain it stays after the normalisation.
        leak: target that is written into every scan, see `confounding.leaked`; only to test whether an evaluation
            notices a leak.
    """

    num_subjects: int = 60
    seed: int = 0
    voxel_size: float = 12.0
    num_frames: int = 60
    repetition_time: float = 2.0
    effects: Mapping[str, Sequence[PlantedEffect | Mapping[str, Any]]] = dataclasses.field(default_factory=dict)
    num_sessions: int = 1
    num_sites: int = 1
    site_gains: Sequence[float] | None = None
    site_repetition_times: Sequence[float] | None = None
    family_size: int = 1
    family_similarity: float = 0.5
    autocorrelation: float = 0.6
    signal_std: float = 0.02
    noise_std: float = 0.02
    drift_std: float = 0.01
    spike_rate: float = 0.02
    background: str = "zero"
    storage: str = "int16"
    masks: bool = True
    confounds: Mapping[str, Sequence[PlantedConfound | Mapping[str, Any]]] = dataclasses.field(default_factory=dict)
    site_pattern_std: float = 0.0
    leak: str | None = None

    def __post_init__(self) -> None:
        """Checks every value and fills in what is left to a default."""
        for name, lowest in _LOWEST_COUNT.items():
            whole(name, getattr(self, name), lowest)
        for name, (low, high) in _RANGES.items():
            within(name, getattr(self, name), low, high)
        one_of("background", self.background, BACKGROUNDS)
        one_of("storage", self.storage, STORAGES)
        gains = self.site_gains or [(1.0, 1.5, 0.75)[site % 3] for site in range(self.num_sites)]
        times = self.site_repetition_times or [self.repetition_time] * self.num_sites
        object.__setattr__(self, "site_gains", self._per_site("site_gains", gains, 0.01, 100))
        times = self._per_site("site_repetition_times", times, *_RANGES["repetition_time"])
        object.__setattr__(self, "site_repetition_times", times)
        object.__setattr__(self, "effects", _complete_effects(self.effects))
        object.__setattr__(self, "confounds", complete_confounds(self.confounds, self.num_sites))
        if self.leak is not None:
            one_of("leak", self.leak, TARGETS)

    def _per_site(self, name: str, values: Sequence[float], low: float, high: float) -> tuple[float, ...]:
        if len(values) != self.num_sites:
            raise ConfigError(
                f"{name}: {len(values)} values for {self.num_sites} sites; give one for each site, or none at all."
            )
        for value in values:
            within(name, value, low, high)
        return tuple(float(value) for value in values)

    @property
    def planted(self) -> tuple[tuple[str, PlantedEffect], ...]:
        """Every planted effect beside its target."""
        effects = cast("Mapping[str, Sequence[PlantedEffect]]", self.effects)  # __post_init__ left nothing else
        return tuple((target, effect) for target, planted in effects.items() for effect in planted)

    def confound(self, target_code: Callable[[str], float], kind: str) -> float:
        """Sum of size / 2 * code over the confounds of one kind.

        Args:
            target_code: gives the code of a target for the subject in question.
            kind: `motion` or `site`.
        """
        confounds = cast("Mapping[str, Sequence[PlantedConfound]]", self.confounds)
        return sum(
            one.size / 2 * target_code(target) for target, ones in confounds.items() for one in ones if one.kind == kind
        )

    def to_dict(self) -> dict[str, Any]:
        """The options as plain lists, numbers and strings, with everything that was left to a default.

        What only spoils a cohort is named where it was asked for.
        """
        spoiling = {"confounds": {}, "site_pattern_std": 0.0, "leak": None}
        options = dataclasses.asdict(self)
        return {name: value for name, value in options.items() if name not in spoiling or value != spoiling[name]}


_LOWEST_COUNT = {
    "num_subjects": 2,
    "seed": 0,
    "num_frames": 4,
    "num_sessions": 1,
    "num_sites": 1,
    "family_size": 1,
}
_RANGES = {
    "voxel_size": (2.0, 20.0),
    "repetition_time": (0.05, 20.0),
    "family_similarity": (0.0, 1.0),
    "autocorrelation": (0.0, 0.99),
    "signal_std": (0.0, 0.1),
    "noise_std": (0.0, 0.1),
    "drift_std": (0.0, 0.05),
    "spike_rate": (0.0, 0.5),
    "site_pattern_std": (0.0, 0.3),
}


def _complete_effects(effects: Mapping[str, Sequence[Any]]) -> dict[str, tuple[PlantedEffect, ...]]:
    """Turns mappings into effects and gives each a network; refuses two that plant in the same quantity."""
    complete: dict[str, tuple[PlantedEffect, ...]] = {}
    for target, planted in effects.items():
        one_of("effect target", target, TARGETS)
        found: list[PlantedEffect] = []
        for effect in [planted] if isinstance(planted, PlantedEffect | Mapping) else planted:
            if isinstance(effect, Mapping):
                _known_keys(effect)
                effect = PlantedEffect(**effect)
            effect = dataclasses.replace(effect, network=effect.network or DEFAULT_NETWORK[target])
            if any(_quantity(effect) == _quantity(other) for other in found):
                raise ConfigError(
                    f"effects of {target}: {effect.kind} of {effect.network} is planted twice; add the sizes up."
                )
            found.append(effect)
        complete[target] = tuple(found)
    return complete


def _quantity(effect: PlantedEffect) -> tuple[str, str]:
    """What an effect is planted in; the two networks of a pair name the same coupling."""
    network = str(effect.network)
    if effect.kind == "network_coupling":
        network = "-".join(next(pair for pair in COUPLED_PAIRS if network in pair))
    return effect.kind, network


def _known_keys(effect: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(PlantedEffect)]
    unknown = sorted(set(effect) - set(known))
    if unknown or "kind" not in effect:
        raise ConfigError(f"effect {dict(effect)}: expected the key kind, and none but {', '.join(known)}.")
