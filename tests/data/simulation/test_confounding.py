"""Cohorts that are spoilt on purpose: motion and sites that follow a target, and a label in the scans."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from monai_tff.data.simulate import simulate_cohort
from monai_tff.data.simulation.confounding import PlantedConfound, leaked, parse_confound, site_shares
from monai_tff.data.simulation.options import SimulationOptions
from monai_tff.data.simulation.signal import simulate_scan
from monai_tff.data.simulation.subjects import simulate_subject
from monai_tff.data.simulation.template import brain_template
from monai_tff.errors import ConfigError

NUM_PATTERNS = 63


@pytest.fixture(scope="module")
def template():
    return brain_template(20.0)


def subjects(number, **options):
    choices = SimulationOptions(num_subjects=number, **options)
    return [simulate_subject(choices, index, NUM_PATTERNS) for index in range(number)]


def log_odds_ratio(patients, site, first, last):
    counts = [[((site == place) & (patients == patient)).sum() for place in (first, last)] for patient in (False, True)]
    (a, b), (c, d) = counts
    return np.log(a * d / (b * c))


def test_sites_follow_the_target_as_much_as_asked():
    found = subjects(1200, num_sites=3, confounds={"diagnosis": [PlantedConfound("site", 3.0)]})
    site = np.array([one.site for one in found])
    patients, men = (np.array([one.code(name) > 0 for one in found]) for name in ("diagnosis", "sex"))
    # the standard error is about 0.2: the square root of the sum of the four inverse counts
    assert log_odds_ratio(patients, site, 0, 2) == pytest.approx(3.0, abs=0.6)
    assert log_odds_ratio(patients, site, 0, 1) == pytest.approx(1.5, abs=0.5)
    assert abs(log_odds_ratio(men, site, 0, 2)) < 0.5
    assert (patients.sum(), men.sum()) == (600, 600)


def test_a_site_that_follows_a_target_leaves_the_rest_of_a_subject():
    confounded = subjects(12, num_sites=3, confounds={"diagnosis": [PlantedConfound("site", 4.0)]})
    for one, plain in zip(confounded, subjects(12, num_sites=3), strict=True):
        for field in dataclasses.fields(one):
            if field.name != "site":
                np.testing.assert_array_equal(getattr(one, field.name), getattr(plain, field.name))


@pytest.mark.parametrize(("shift", "sites"), [(0.0, 4), (1.7, 2), (-2.0, 3)])
def test_site_shares(shift, sites):
    shares = site_shares(shift, sites)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.diff(np.log(shares)), shift / (sites - 1), atol=1e-12)


def test_motion_follows_the_target_and_the_brain_does_not(template):
    spoilt = SimulationOptions(num_frames=30, spike_rate=0.1, confounds={"diagnosis": [PlantedConfound("motion", 4.0)]})
    plain = SimulationOptions(num_frames=30, spike_rate=0.1)
    displacements = {-1.0: [], 1.0: []}
    for index in range(60):
        subject = simulate_subject(spoilt, index, NUM_PATTERNS)
        scans = [simulate_scan(options, template, subject, 0) for options in (spoilt, plain)]
        displacements[subject.code("diagnosis")].append(np.nanmean(scans[0].motion.framewise_displacement))
        calm = ~np.isin(np.arange(30), [*scans[0].motion.spikes, *scans[1].motion.spikes])
        np.testing.assert_array_equal(scans[0].frames[..., calm], scans[1].frames[..., calm])
    control, patient = (np.array(displacements[code]) for code in (-1.0, 1.0))
    assert np.mean(patient[:, None] > control) > 0.9


def test_scanners_differ_in_a_smooth_pattern_that_a_gain_does_not_explain(template):
    options = {"num_frames": 4, "num_sites": 8, "site_gains": [1] * 8}
    spoilt, plain = SimulationOptions(**options, site_pattern_std=0.1), SimulationOptions(**options)
    fields: dict[int, list] = {}
    for index in range(32):
        subject = simulate_subject(plain, index, NUM_PATTERNS)
        one, other = (simulate_scan(choices, template, subject, 0).frames[template.mask] for choices in (spoilt, plain))
        fields.setdefault(subject.site, []).append(np.log(one / other).mean(axis=1))
    assert len(fields) == 8
    for own in fields.values():
        np.testing.assert_allclose(own, np.broadcast_to(own[0], np.shape(own)), atol=1e-4)
    each = np.array([own[0] for own in fields.values()])
    assert np.sqrt((each**2).mean()) == pytest.approx(0.1, rel=0.3)
    # what is left after the mean, which the global normalisation takes away
    assert each.std(axis=1).min() > 0.02


def test_a_leak_marks_a_corner(template):
    values = np.full((3, int(template.mask.sum())), 100.0)
    marked = leaked(values, template, 1.0)
    changed = (marked != values).all(axis=0)
    assert changed.mean() == pytest.approx(0.05, abs=0.01)
    np.testing.assert_allclose(marked[:, changed], 150.0)
    np.testing.assert_array_equal(leaked(values, template, -1.0)[:, ~changed], 100.0)
    places = np.argwhere(template.mask).sum(axis=1)
    assert places[changed].max() <= places[~changed].min()
    assert values.min() == 100.0


def test_a_leaking_cohort_says_so_in_its_name(tmp_path):
    tiny = {"num_subjects": 2, "voxel_size": 20.0, "num_frames": 4}
    folder = simulate_cohort(tmp_path / "cohort", leak="diagnosis", **tiny).folder
    for name, key in (("dataset_description.json", "Name"), ("simulation.json", "warning")):
        assert "LABEL LEAK" in json.loads((folder / name).read_text())[key]


def test_options_that_are_not_used_are_not_described():
    names = {"confounds", "site_pattern_std", "leak"}
    assert not names & set(SimulationOptions().to_dict())
    asked = {
        "num_sites": 2,
        "confounds": {"sex": [{"kind": "site", "size": 1}]},
        "site_pattern_std": 0.1,
        "leak": "sex",
    }
    assert names <= set(SimulationOptions(**asked).to_dict())


def test_parse_confound():
    assert parse_confound("diagnosis:motion:2.5") == ("diagnosis", PlantedConfound("motion", 2.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("diagnosis:motion", "expected TARGET:KIND:SIZE"),
        ("weight:motion:1", "confound target is 'weight', expected one of sex, age, diagnosis"),
        ("sex:smoke:1", "confound kind is 'smoke', expected one of motion, site"),
        ("sex:site:much", "the size is 'much', expected a number"),
        ("sex:site:11", "is 11.0, expected a number from -10 to 10"),
    ],
)
def test_wrong_confound_texts(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_confound(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confounds": {"sex": [{"kind": "site", "size": 1}]}}, "a site cannot follow it with num_sites 1"),
        ({"confounds": {"sex": [{"kind": "motion"}]}}, "expected the keys kind and size"),
        ({"confounds": {"iq": []}}, "confound target is 'iq'"),
        ({"site_pattern_std": 1.0}, "site_pattern_std is 1.0, expected a number from 0 to 0.3"),
        ({"leak": "iq"}, "leak is 'iq', expected one of sex, age, diagnosis"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        SimulationOptions(**options)
