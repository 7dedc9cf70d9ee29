"""The options of a simulated cohort and the sizes of planted effects."""

from __future__ import annotations

import json

import pytest

from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.options import (
    BETWEEN_SUBJECT_STD,
    DEFAULT_NETWORK,
    TARGETS,
    PlantedEffect,
    SimulationOptions,
    parse_effect,
)
from monai_tff.errors import ConfigError


def test_every_network_is_in_exactly_one_pair():
    assert sorted(name for pair in COUPLED_PAIRS for name in pair) == sorted(NETWORKS)


def test_targets_have_networks_of_different_pairs():
    pairs = {next(pair for pair in COUPLED_PAIRS if DEFAULT_NETWORK[target] in pair) for target in TARGETS}
    assert len(pairs) == len(TARGETS)


def test_thirty_percent_is_three_standard_deviations():
    assert PlantedEffect("regional_mean", relative_size=0.3).cohens_d == pytest.approx(3.0, abs=0.005)


def test_factor_two_and_a_half_of_amplitude():
    assert PlantedEffect("network_amplitude", relative_size=1.5).cohens_d == pytest.approx(3.05, abs=0.01)


@pytest.mark.parametrize(
    ("text", "target", "effect"),
    [
        ("sex:regional_mean:3.0", "sex", PlantedEffect("regional_mean", 3.0)),
        ("sex:regional_mean:30%", "sex", PlantedEffect("regional_mean", relative_size=0.3)),
        ("age:network_amplitude:-1", "age", PlantedEffect("network_amplitude", -1.0)),
        ("diagnosis:network_coupling:0:visual", "diagnosis", PlantedEffect("network_coupling", 0.0, network="visual")),
    ],
)
def test_parse_effect(text, target, effect):
    assert parse_effect(text) == (target, effect)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sex:regional_mean", "expected TARGET:KIND:SIZE"),
        ("weight:regional_mean:1", "effect target is 'weight', expected one of sex, age, diagnosis"),
        ("sex:thickness:1", "effect kind is 'thickness', expected one of regional_mean"),
        ("sex:regional_mean:big", "the size is 'big', expected a number"),
        ("sex:regional_mean:nan", "is nan, expected a number from -10 to 10"),
        ("sex:regional_mean:11", "is 11.0, expected a number from -10 to 10"),
        ("sex:regional_mean:-100%", "relative_size is -1.0, expected a number from -0.58"),
        ("sex:network_coupling:30%", "a correlation has no relative_size"),
        ("sex:regional_mean:1:motor", "effect network is 'motor', expected one of visual"),
    ],
)
def test_wrong_effect_texts(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_effect(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_subjects": 1}, "num_subjects is 1, expected a whole number of 2 or more"),
        ({"num_subjects": 6.5}, "num_subjects is 6.5, expected a whole number"),
        ({"num_subjects": "six"}, "num_subjects is six, expected a whole number"),
        ({"seed": -1}, "seed is -1"),
        ({"num_frames": 3}, "num_frames is 3"),
        ({"voxel_size": -12.0}, "voxel_size is -12.0, expected a number from 2 to 20"),
        ({"voxel_size": float("nan")}, "voxel_size is nan"),
        ({"voxel_size": "12 mm"}, "voxel_size is 12 mm, expected a number"),
        ({"repetition_time": 2000.0}, "repetition_time is 2000.0, expected a number from 0.05 to 20"),
        ({"autocorrelation": 1.0}, "autocorrelation is 1.0"),
        ({"spike_rate": 1.0}, "spike_rate is 1.0"),
        ({"background": "white"}, "background is 'white', expected one of zero, nonzero"),
        ({"storage": "int8"}, "storage is 'int8', expected one of int16, scaled_int16, float32"),
        ({"num_sites": 3, "site_gains": [1.0]}, "site_gains: 1 values for 3 sites"),
        ({"site_repetition_times": [0.0]}, "site_repetition_times is 0.0"),
        ({"effects": {"weight": []}}, "effect target is 'weight'"),
        ({"effects": {"sex": [{"kind": "regional_mean", "d": 3}]}}, "expected the key kind, and none but kind, size"),
        ({"effects": {"sex": [{"size": 3}]}}, "expected the key kind"),
        (
            {"effects": {"sex": [{"kind": "regional_mean", "size": 1, "relative_size": 0.1}]}},
            "size and relative_size are both given",
        ),
        (
            {"effects": {"sex": [PlantedEffect("regional_mean", 1), PlantedEffect("regional_mean", 2)]}},
            "regional_mean of default_mode is planted twice",
        ),
        (
            {
                "effects": {
                    "sex": [
                        PlantedEffect("network_coupling", 1, network="default_mode"),
                        PlantedEffect("network_coupling", 1, network="frontoparietal"),
                    ]
                }
            },
            "network_coupling of frontoparietal is planted twice",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        SimulationOptions(**options)


def test_defaults_are_filled_in():
    options = SimulationOptions(num_sites=4, effects={"age": {"kind": "regional_mean", "size": 1}})
    assert options.site_gains == (1.0, 1.5, 0.75, 1.0)
    assert options.site_repetition_times == (2.0,) * 4
    assert options.planted == (("age", PlantedEffect("regional_mean", 1, network="auditory")),)
    assert json.loads(json.dumps(options.to_dict()))["effects"]["age"][0]["network"] == "auditory"


def test_kinds_are_traits_of_a_subject():
    from monai_tff.data.simulation.subjects import Subject

    assert set(BETWEEN_SUBJECT_STD) <= set(Subject.__dataclass_fields__)
