"""Who the simulated subjects are: sex, age, diagnosis, site, family, and the traits that effects are planted in."""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np
from numpy.typing import NDArray

from monai_tff.data.simulation.confounding import site_shares
from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.options import BETWEEN_SUBJECT_STD, PlantedEffect, SimulationOptions

AGES = (18, 80)
SEXES = ("F", "M")
DIAGNOSES = ("CONTROL", "PATIENT")
COUPLING_MEAN = math.atanh(0.3)


class Stream(enum.IntEnum):
    """What random numbers are drawn for: each has a stream of its own, so that one option leaves the rest as it was."""

    ORDER = 0
    AGE = 1
    FAMILY = 2
    TRAITS = 3
    TIME_COURSES = 4
    MOTION = 5
    DRIFT = 6
    NOISE = 7
    BACKGROUND = 8
    GAIN = 9
    SITE = 10
    SITE_PATTERN = 11


def generator(seed: int, stream: Stream, *indices: int) -> np.random.Generator:
    """Random numbers that depend on the cohort's seed, their purpose and the indices alone."""
    return np.random.default_rng([seed, int(stream), *indices])


@dataclasses.dataclass(frozen=True)
class Subject:
    """One simulated subject; K networks, C coupled pairs, P patterns.

    Attributes:
        index: 0 for the first subject.
        sex: `F` or `M`.
        age: whole years, 18 to 80.
        diagnosis: `CONTROL` or `PATIENT`.
        site: index of the site.
        family: index of the family.
        regional_mean: natural logarithm of the factor of each network's regional mean, [K].
        network_amplitude: natural logarithm of the factor of each network's amplitude, [K].
        network_coupling: Fisher's z of the correlation of each pair, [C].
        anatomy: coefficients of the subject's own smooth pattern of intensity, [P].
    """

    index: int
    sex: str
    age: int
    diagnosis: str
    site: int
    family: int
    regional_mean: NDArray[np.float64]
    network_amplitude: NDArray[np.float64]
    network_coupling: NDArray[np.float64]
    anatomy: NDArray[np.float64]

    @property
    def label(self) -> str:
        """The BIDS label, `0001` for the first subject."""
        return f"{self.index + 1:04d}"

    def code(self, target: str) -> float:
        """The target as a number of mean 0 and variance 1 over the population.

        Args:
            target: `sex`, `age` or `diagnosis`.

        Returns:
            -1 or +1 for a class; the standardised age otherwise.
        """
        if target == "age":
            number_of_ages = AGES[1] - AGES[0] + 1
            return (self.age - sum(AGES) / 2) / math.sqrt((number_of_ages**2 - 1) / 12)
        classes, value = (SEXES, self.sex) if target == "sex" else (DIAGNOSES, self.diagnosis)
        return 2.0 * classes.index(value) - 1.0


def simulate_subject(options: SimulationOptions, index: int, num_patterns: int) -> Subject:
    """Draws one subject; the result depends on the options and the index, not on `num_subjects`.

    A trait is `sqrt(h) * family part + sqrt(1 - h) * own part`, both standard normal, with the family similarity h:
    its variance is 1 and relatives correlate with h. Planted effects are added to it, see `PlantedEffect`.

    Args:
        options: the cohort's options.
        index: 0 for the first subject.
        num_patterns: coefficients of the subject's own intensity pattern.

    Returns:
        The subject.
    """
    sex, diagnosis = _sex_and_diagnosis(options.seed, index)
    family = index // options.family_size
    lengths = [len(NETWORKS), len(NETWORKS), len(COUPLED_PAIRS), num_patterns]
    shared = generator(options.seed, Stream.FAMILY, family).standard_normal(sum(lengths))
    own = generator(options.seed, Stream.TRAITS, index).standard_normal(sum(lengths))
    # A family of one has nobody to share with; the traits are then the subject's own at every similarity.
    similarity = options.family_similarity if options.family_size > 1 else 0.0
    traits = math.sqrt(similarity) * shared + math.sqrt(1 - similarity) * own
    regional_mean, amplitude, coupling, anatomy = np.split(traits, np.cumsum(lengths)[:-1])
    subject = Subject(
        index=index,
        sex=SEXES[sex],
        age=int(generator(options.seed, Stream.AGE, index).integers(AGES[0], AGES[1] + 1)),
        diagnosis=DIAGNOSES[diagnosis],
        site=(index // 4 + sex + diagnosis) % options.num_sites,
        family=family,
        regional_mean=BETWEEN_SUBJECT_STD["regional_mean"] * regional_mean,
        network_amplitude=BETWEEN_SUBJECT_STD["network_amplitude"] * amplitude,
        network_coupling=COUPLING_MEAN + BETWEEN_SUBJECT_STD["network_coupling"] * coupling,
        anatomy=anatomy,
    )
    for target, effect in options.planted:
        _plant(subject, target, effect)
    shift = options.confound(subject.code, "site")
    if shift == 0:
        return subject
    shares = site_shares(shift, options.num_sites)
    site = generator(options.seed, Stream.SITE, index).choice(options.num_sites, p=shares)
    return dataclasses.replace(subject, site=int(site))


def _plant(subject: Subject, target: str, effect: PlantedEffect) -> None:
    """Moves one quantity of the subject by half the effect for each unit of the target's code."""
    position = list(NETWORKS).index(str(effect.network))
    if effect.kind == "network_coupling":
        position = next(i for i, pair in enumerate(COUPLED_PAIRS) if effect.network in pair)
    quantity: NDArray[np.float64] = getattr(subject, effect.kind)
    quantity[position] += BETWEEN_SUBJECT_STD[effect.kind] * effect.cohens_d / 2 * subject.code(target)


def _sex_and_diagnosis(seed: int, index: int) -> tuple[int, int]:
    """Class indices of one subject.

    Four subjects in a row hold the four combinations in a random order in which the second is the opposite of the
    first in both, and the fourth of the third: every even number of subjects is balanced.
    """
    first, flip = generator(seed, Stream.ORDER, index // 4).integers(2, size=2)
    combinations = [(first, flip), (1 - first, 1 - flip), (1 - first, flip), (first, 1 - flip)]
    sex, diagnosis = combinations[index % 4]
    return int(sex), int(diagnosis)
