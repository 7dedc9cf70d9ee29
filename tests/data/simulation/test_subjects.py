"""The simulated subjects: balance, planted sizes, families."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.options import KINDS, PlantedEffect, SimulationOptions
from monai_tff.data.simulation.subjects import AGES, simulate_subject

NUM_PATTERNS = 5


def cohort(num_subjects=200, **options):
    choices = SimulationOptions(num_subjects=num_subjects, **options)
    return [simulate_subject(choices, index, NUM_PATTERNS) for index in range(num_subjects)]


def quantity(subjects, kind, network="default_mode"):
    position = list(NETWORKS).index(network)
    if kind == "network_coupling":
        position = [network in pair for pair in COUPLED_PAIRS].index(True)
    return np.array([getattr(subject, kind)[position] for subject in subjects])


def cohens_d(values, positive):
    groups = values[positive], values[~positive]
    return (groups[0].mean() - groups[1].mean()) / np.sqrt(sum(group.var(ddof=1) for group in groups) / 2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), half=st.integers(1, 12))
def test_even_numbers_are_balanced(seed, half):
    subjects = cohort(2 * half, seed=seed)
    assert sum(subject.code("sex") for subject in subjects) == 0
    assert sum(subject.code("diagnosis") for subject in subjects) == 0


def test_combinations_and_sites_are_balanced():
    subjects = cohort(48, num_sites=2)
    for site in range(2):
        here = [subject for subject in subjects if subject.site == site]
        assert len(here) == 24
        assert sum(subject.code("sex") for subject in here) == 0
        assert sum(subject.code("diagnosis") for subject in here) == 0
    combinations = [(subject.sex, subject.diagnosis) for subject in subjects]
    assert {combinations.count(one) for one in set(combinations)} == {12}


def test_ages_are_uniform():
    ages = np.array([subject.age for subject in cohort(600)])
    assert (ages.min(), ages.max()) == AGES
    assert ages.mean() == pytest.approx(49, abs=2)
    codes = np.array([subject.code("age") for subject in cohort(600)])
    assert codes.mean() == pytest.approx(0, abs=0.1)
    assert codes.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("target", ["sex", "diagnosis"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [-3.0, 0.0, 1.0, 3.0])
def test_planted_size_of_classes(target, kind, size):
    subjects = cohort(effects={target: [PlantedEffect(kind, size, network="default_mode")]})
    positive = np.array([subject.code(target) > 0 for subject in subjects])
    # The standard error of d with 100 against 100 subjects is sqrt(2 / 100 + d^2 / 400).
    assert cohens_d(quantity(subjects, kind), positive) == pytest.approx(size, abs=2.5 * np.sqrt(0.02 + size**2 / 400))
    other_target = np.array([subject.code("diagnosis" if target == "sex" else "sex") > 0 for subject in subjects])
    assert abs(cohens_d(quantity(subjects, kind), other_target)) < 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 2.0, -4.0])
def test_planted_size_of_age_is_a_correlation(kind, size):
    subjects = cohort(effects={"age": [PlantedEffect(kind, size, network="default_mode")]})
    ages = [subject.age for subject in subjects]
    correlation = np.corrcoef(ages, quantity(subjects, kind))[0, 1]
    assert correlation == pytest.approx(size / np.hypot(size, 2), abs=0.15)


def test_relative_size_is_the_ratio_of_the_classes():
    subjects = cohort(800, effects={"sex": [PlantedEffect("regional_mean", relative_size=0.3)]})
    men = np.array([subject.sex == "M" for subject in subjects])
    factor = np.exp(quantity(subjects, "regional_mean"))
    assert np.median(factor[men]) / np.median(factor[~men]) == pytest.approx(1.3, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_an_effect_changes_its_own_quantity_alone(kind):
    for null, planted in zip(cohort(8), cohort(8, effects={"sex": [PlantedEffect(kind, 2.0)]}), strict=True):
        for field in dataclasses.fields(null):
            changed = np.atleast_1d(getattr(null, field.name) != getattr(planted, field.name))
            assert changed.sum() == (field.name == kind)


def test_effects_on_one_quantity_add_up():
    effect = [PlantedEffect("regional_mean", 2.0, network="visual")]
    first, second, both = (
        quantity(cohort(8, effects={target: effect for target in targets}), "regional_mean", "visual")
        for targets in (["sex"], ["age"], ["sex", "age"])
    )
    null = quantity(cohort(8), "regional_mean", "visual")
    np.testing.assert_allclose(both - null, first - null + second - null)


def test_the_number_of_subjects_does_not_matter():
    for few, many in zip(cohort(6, seed=3), cohort(12, seed=3), strict=False):
        assert (few.sex, few.age, few.diagnosis) == (many.sex, many.age, many.diagnosis)
        np.testing.assert_array_equal(few.regional_mean, many.regional_mean)


@pytest.mark.parametrize("similarity", [0.0, 0.5, 1.0])
def test_relatives_correlate(similarity):
    subjects = cohort(200, family_size=2, family_similarity=similarity)
    assert [subject.family for subject in subjects[:6]] == [0, 0, 1, 1, 2, 2]
    traits = np.array([subject.anatomy for subject in subjects])
    within = np.corrcoef(traits[::2].ravel(), traits[1::2].ravel())[0, 1]
    between = np.corrcoef(traits[1:-1:2].ravel(), traits[2::2].ravel())[0, 1]
    assert within == pytest.approx(similarity, abs=0.1)
    assert between == pytest.approx(0, abs=0.1)


def test_seeds_differ():
    assert cohort(2, seed=0)[0].anatomy[0] != cohort(2, seed=1)[0].anatomy[0]
