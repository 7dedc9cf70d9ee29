"""What the simulated scanner records: time courses, motion, gains, background."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.options import PlantedEffect, SimulationOptions
from monai_tff.data.simulation.signal import head_motion, network_time_courses, simulate_scan
from monai_tff.data.simulation.subjects import simulate_subject
from monai_tff.data.simulation.template import brain_template

NAMES = list(NETWORKS)


@pytest.fixture(scope="module")
def template():
    return brain_template(20.0)


def scan_of(template, index=0, session=0, **options):
    choices = SimulationOptions(**{"num_frames": 24, **options})
    return simulate_scan(choices, template, simulate_subject(choices, index, len(template.patterns)), session)


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 0.6, 0.9])
def test_autocorrelation(coefficient):
    correlations = np.array([0.5, -0.3, 0.0, 0.9])
    courses = network_time_courses(np.random.default_rng(0), 5000, coefficient, correlations)
    assert courses.shape == (5000, len(NAMES))
    lagged = [np.corrcoef(course[:-1], course[1:])[0, 1] for course in courses.T]
    np.testing.assert_allclose(lagged, coefficient, atol=0.05)
    # An AR(1) process forgets geometrically.
    lagged = [np.corrcoef(course[:-3], course[3:])[0, 1] for course in courses.T]
    np.testing.assert_allclose(lagged, coefficient**3, atol=0.08)


@pytest.mark.parametrize("num_frames", [4, 20, 300])
def test_pairs_correlate_exactly_as_asked(num_frames):
    correlations = np.array([0.5, -0.3, 0.0, 0.95])
    courses = network_time_courses(np.random.default_rng(1), num_frames, 0.6, correlations)
    np.testing.assert_allclose(courses.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(courses.std(axis=0), 1)
    for pair, correlation in zip(COUPLED_PAIRS, correlations, strict=True):
        first, second = (courses[:, NAMES.index(name)] for name in pair)
        assert (first * second).mean() == pytest.approx(correlation)


def test_spikes_raise_framewise_displacement():
    motion = head_motion(np.random.default_rng(2), 400, 0.05)
    spikes = np.isin(np.arange(400), motion.spikes)
    assert 5 < spikes.sum() < 40
    assert np.isnan(motion.framewise_displacement[0])
    assert not spikes[0]
    assert motion.framewise_displacement[spikes].min() > 0.4
    assert np.nanmax(motion.framewise_displacement[~spikes]) < 0.3


def test_framewise_displacement_is_that_of_the_parameters():
    motion = head_motion(np.random.default_rng(3), 50, 0.1)
    arcs = motion.parameters * [1, 1, 1, 50, 50, 50]
    expected = np.abs(np.diff(arcs, axis=0)).sum(axis=1)
    np.testing.assert_allclose(motion.framewise_displacement[1:], expected)


def test_no_spikes_at_rate_zero():
    assert head_motion(np.random.default_rng(4), 100, 0.0).spikes == []


def test_spikes_lower_the_intensity(template):
    quiet, spiky = (scan_of(template, spike_rate=rate, noise_std=0.0) for rate in (0.0, 0.3))
    change = (spiky.frames - quiet.frames)[template.mask].mean(axis=0) / spiky.gain
    frames = spiky.motion.spikes
    assert frames
    assert (change[frames] < -50).all()
    np.testing.assert_array_equal(np.delete(change, frames), 0)


@pytest.mark.parametrize("background", ["zero", "nonzero"])
def test_background(template, background):
    scan = scan_of(template, background=background)
    assert scan.frames.shape == (*template.mask.shape, 24)
    assert scan.frames.dtype == np.float32
    outside, inside = scan.frames[~template.mask], scan.frames[template.mask]
    assert inside.min() > 1000
    assert outside.max() < 400
    assert (outside == 0).all() if background == "zero" else (outside > 0).all()


def test_the_background_leaves_the_brain_as_it_was(template):
    zero, nonzero = (scan_of(template, background=background) for background in ("zero", "nonzero"))
    np.testing.assert_array_equal(zero.frames[template.mask], nonzero.frames[template.mask])


def test_sites_have_their_own_gain_and_repetition_time(template):
    options = {"num_sites": 2, "site_gains": (1.0, 2.5), "site_repetition_times": (2.0, 0.8)}
    single = [scan_of(template, index) for index in range(4)]
    multiple = [scan_of(template, index, **options) for index in range(4)]
    sites = [simulate_subject(SimulationOptions(**options), index, 1).site for index in range(4)]
    assert sorted(sites) == [0, 0, 1, 1]
    for site, before, after in zip(sites, single, multiple, strict=True):
        assert after.repetition_time == options["site_repetition_times"][site]
        assert after.gain / before.gain == pytest.approx(options["site_gains"][site])
        assert after.frames.mean() / before.frames.mean() == pytest.approx(options["site_gains"][site], rel=1e-3)


def test_a_faster_site_has_smoother_frames(template):
    options = {"num_frames": 2000, "noise_std": 0.0, "drift_std": 0.0, "spike_rate": 0.0}
    position = template.weights[NAMES.index("visual")].argmax()
    for repetition_time in (2.0, 0.5):
        scan = scan_of(template, site_repetition_times=[repetition_time], **options)
        course = scan.frames[template.mask][position]
        expected = 0.6 ** (repetition_time / 2.0)
        assert np.corrcoef(course[:-1], course[1:])[0, 1] == pytest.approx(expected, abs=0.06)


def test_sessions_share_traits_but_not_noise(template):
    first, second = (scan_of(template, session=session, num_sessions=2) for session in range(2))
    other = scan_of(template, index=1)
    means = [
        np.log(scan.frames[template.mask].mean(axis=-1)) - np.log(template.mean) for scan in (first, second, other)
    ]
    assert np.corrcoef(means[0], means[1])[0, 1] > 0.9
    assert np.corrcoef(means[0], means[2])[0, 1] < 0.6
    assert not np.array_equal(first.frames, second.frames)


def measured(template, kind, network, subject_index, effects):
    """One planted quantity as it can be read from a scan without noise."""
    quiet = {"noise_std": 0.0, "drift_std": 0.0, "spike_rate": 0.0}
    values = scan_of(template, subject_index, effects=effects, **quiet).frames[template.mask].astype(np.float64)
    if kind == "regional_mean":
        parcel = template.parcels[NAMES.index(network)]
        return np.log(values[parcel].mean() / values[~template.parcels.any(axis=0)].mean())
    courses = [values[template.weights[NAMES.index(name)].argmax()] for name in COUPLED_PAIRS[0]]
    if kind == "network_amplitude":
        return np.log(courses[0].std() / courses[0].mean())
    return np.arctanh(np.corrcoef(*courses)[0, 1])


@pytest.mark.parametrize("kind", ["regional_mean", "network_amplitude", "network_coupling"])
@pytest.mark.parametrize("size", [3.0, 0.0])
def test_planted_size_can_be_measured_in_the_scans(template, kind, size):
    effects = {"sex": [PlantedEffect(kind, size)]}
    values = np.array([measured(template, kind, "default_mode", index, effects) for index in range(200)])
    choices = SimulationOptions()
    men = np.array([simulate_subject(choices, index, 1).sex == "M" for index in range(200)])
    pooled = np.sqrt((values[men].var(ddof=1) + values[~men].var(ddof=1)) / 2)
    # Overlapping networks and the subject's own anatomy widen the groups a little: the size shrinks, it never grows.
    found = (values[men].mean() - values[~men].mean()) / pooled
    assert 0.75 * size - 0.3 < found < size + 0.45


def test_an_effect_on_a_regional_mean_leaves_the_time_courses(template):
    null = scan_of(template).frames[template.mask]
    planted = scan_of(template, effects={"sex": [PlantedEffect("regional_mean", 3.0)]}).frames[template.mask]
    moved = np.abs(planted.mean(axis=1) - null.mean(axis=1)) > 100
    np.testing.assert_array_equal(moved, template.parcels[NAMES.index("default_mode")])
    centred = [frames - frames.mean(axis=1, keepdims=True) for frames in (null, planted)]
    np.testing.assert_allclose(centred[0], centred[1], atol=0.01 * centred[0].std())


@pytest.mark.parametrize("kind", ["network_amplitude", "network_coupling"])
def test_an_effect_on_time_courses_leaves_the_mean(template, kind):
    null, planted = (
        scan_of(template, effects={"sex": [PlantedEffect(kind, size)]}).frames[template.mask].astype(np.float64)
        for size in (0.0, 3.0)
    )
    np.testing.assert_allclose(null.mean(axis=1), planted.mean(axis=1), rtol=1e-6)
    assert np.abs(null - planted).max() > 20
