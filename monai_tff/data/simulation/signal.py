"""What a simulated scanner records: network time courses, motion, drift and noise, put together into a scan."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from monai_tff.data.simulation.confounding import leaked
from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS
from monai_tff.data.simulation.options import SimulationOptions
from monai_tff.data.simulation.subjects import Stream, Subject, generator
from monai_tff.data.simulation.template import BRAIN_INTENSITY, BrainTemplate

ANATOMY_STD = 0.03
SCAN_GAIN_STD = 0.1
MOTION_STD = 0.01
MOTION_LEVEL_STD = 0.3
HEAD_RADIUS = 50.0
SPIKE_DISPLACEMENT = (0.5, 2.0)
SPIKE_LOSS = 0.03
AIR_MEAN = 120.0
AIR_STD = 20.0


@dataclasses.dataclass(frozen=True)
class Motion:
    """Head motion of one scan.

    Attributes:
        parameters: translations along x, y, z in mm, then rotations about them in radians, float64 [T, 6].
        framewise_displacement: mm, float64 [T]; the first frame has none, NaN.
        displacement: how far the head jumped at each frame, mm, 0 where there is no spike, float64 [T].
    """

    parameters: NDArray[np.float64]
    framewise_displacement: NDArray[np.float64]
    displacement: NDArray[np.float64]

    @property
    def spikes(self) -> list[int]:
        """The frames that hold a motion spike."""
        return [int(frame) for frame in np.flatnonzero(self.displacement)]


@dataclasses.dataclass(frozen=True)
class SimulatedScan:
    """One scan of one subject, before it is written.

    Attributes:
        frames: intensities, float32 [X, Y, Z, T].
        repetition_time: seconds.
        motion: the head motion.
        gain: factor on all intensities: of the site and of the scan.
    """

    frames: NDArray[np.float32]
    repetition_time: float
    motion: Motion
    gain: float


def simulate_scan(options: SimulationOptions, template: BrainTemplate, subject: Subject, session: int) -> SimulatedScan:
    """Draws one session of one subject.

    With the template's mean intensity m(v), the subject's intensity S(v) (`subject_mean`), the weights w(k, v), the
    amplitudes a(k) and the time courses x(k, t), an intensity is

        gain * (S(v) + m(v) * (signal_std * sum_k w(k, v) a(k) x(k, t) + drift(v, t) - loss(v, t)) + noise(v, t))

    with the loss of a motion spike. What changes over time does not grow with the subject's own intensity, and every
    time course has mean 0: an effect on a regional mean leaves the voxel-normalised channel alone, and one on an
    amplitude leaves the mean image alone. A site's pattern of intensity, and a leaked label, multiply all of it.

    Args:
        options: the cohort's options.
        template: the brain.
        subject: the subject.
        session: 0 for the first session; sessions share the subject's traits and nothing else.

    Returns:
        The scan.
    """
    seed, index, site = options.seed, subject.index, subject.site
    repetition_time = float(np.asarray(options.site_repetition_times)[site])
    autocorrelation = options.autocorrelation ** (repetition_time / options.repetition_time)
    courses = network_time_courses(
        generator(seed, Stream.TIME_COURSES, index, session),
        options.num_frames,
        autocorrelation,
        np.tanh(subject.network_coupling),
    )
    shift = options.confound(subject.code, "motion")
    motion = head_motion(generator(seed, Stream.MOTION, index, session), options.num_frames, options.spike_rate, shift)
    amplitudes = options.signal_std * np.exp(subject.network_amplitude)
    relative = (courses * amplitudes) @ template.weights
    relative += slow_drift(generator(seed, Stream.DRIFT, index, session), options, template)
    relative -= SPIKE_LOSS * motion.displacement[:, None] * (1 + 0.5 * template.patterns[0])
    values = subject_mean(template, subject) + template.mean * relative
    noise = generator(seed, Stream.NOISE, index, session).standard_normal(values.shape, dtype=np.float32)
    values += options.noise_std * BRAIN_INTENSITY * noise
    values = _spoilt(values, options, template, subject)
    gain_of_scan = np.exp(SCAN_GAIN_STD * generator(seed, Stream.GAIN, index, session).standard_normal())
    gain = float(np.asarray(options.site_gains)[site] * gain_of_scan)
    frames = np.zeros((*template.mask.shape, options.num_frames), dtype=np.float32)
    if options.background == "nonzero":
        frames[~template.mask] = gain * _air(generator(seed, Stream.BACKGROUND, index, session), template, options)
    frames[template.mask] = (gain * values).T
    return SimulatedScan(frames, repetition_time, motion, gain)


def _spoilt(
    values: NDArray[np.float64], options: SimulationOptions, template: BrainTemplate, subject: Subject
) -> NDArray[np.float64]:
    """The intensities [T, V] with the scanner's pattern and the leaked label, where these are asked for."""
    if options.site_pattern_std > 0:
        random = generator(options.seed, Stream.SITE_PATTERN, subject.site)
        field = random.standard_normal(len(template.patterns)) @ template.patterns
        values = values * np.exp(options.site_pattern_std * field)
    return values if options.leak is None else leaked(values, template, subject.code(options.leak))


def subject_mean(template: BrainTemplate, subject: Subject) -> NDArray[np.float64]:
    """The subject's own mean intensity: the template, times a smooth pattern, times a factor for each region.

    Returns:
        Intensity of each voxel in the mask, [V].
    """
    regional = np.exp(subject.regional_mean) @ template.parcels + ~template.parcels.any(axis=0)
    return template.mean * regional * np.exp(ANATOMY_STD * (subject.anatomy @ template.patterns))


def network_time_courses(
    random: np.random.Generator, num_frames: int, autocorrelation: float, correlations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AR(1) time courses, x(t) = autocorrelation * x(t - 1) + e(t), one for each network.

    Every course has mean 0 and variance 1 over the scan, and the two of a pair have exactly the correlation asked
    for: the second is mixed from the first and from a course orthogonal to it. So an amplitude or a coupling is in
    the scan as it was planted, however short the scan is.

    Args:
        random: the source of random numbers.
        num_frames: T.
        autocorrelation: the coefficient, from 0 to below 1.
        correlations: of the pairs in `COUPLED_PAIRS`, [C].

    Returns:
        Time courses in the order of `NETWORKS`, [T, K].
    """
    names = list(NETWORKS)
    innovations = random.standard_normal((num_frames, len(names)))
    innovations[1:] *= np.sqrt(1 - autocorrelation**2)  # so that the first frame is of the stationary process
    courses = _standardised(lfilter([1.0], [1.0, -autocorrelation], innovations, axis=0))
    for pair, correlation in zip(COUPLED_PAIRS, correlations, strict=True):
        first, second = (names.index(name) for name in pair)
        shared = (courses[:, first] * courses[:, second]).mean()
        own = _standardised(courses[:, second] - shared * courses[:, first])
        courses[:, second] = correlation * courses[:, first] + np.sqrt(1 - correlation**2) * own
    return courses


def head_motion(random: np.random.Generator, num_frames: int, spike_rate: float, shift: float = 0.0) -> Motion:
    """Small movements around a rest position, and jumps to a new one at random frames, the spikes.

    Framewise displacement is Power's (Power et al. 2012, NeuroImage 59): the sum of the absolute changes of the six
    parameters, rotations taken as arcs on a sphere of 50 mm.

    Args:
        random: the source of random numbers.
        num_frames: T.
        spike_rate: probability of a spike at each frame but the first.
        shift: of the logarithm of the level, in its standard deviations, and of the logarithm of the spike rate, which
            ends at 1/2.

    Returns:
        The motion.
    """
    scale = MOTION_STD * np.exp(MOTION_LEVEL_STD * (random.standard_normal() + shift))
    changes = scale * random.standard_normal((num_frames, 6))
    happens = random.random(num_frames) < min(spike_rate * np.exp(shift), 0.5)
    happens[0] = False
    displacement = np.where(happens, random.uniform(*SPIKE_DISPLACEMENT, num_frames), 0.0)
    directions = random.standard_normal((num_frames, 6))
    directions /= np.abs(directions).sum(axis=1, keepdims=True)
    arcs = lfilter([1.0], [1.0, -0.9], changes, axis=0) + np.cumsum(displacement[:, None] * directions, axis=0)
    framewise = np.full(num_frames, np.nan)
    framewise[1:] = np.abs(np.diff(arcs, axis=0)).sum(axis=1)
    return Motion(arcs / ([1.0] * 3 + [HEAD_RADIUS] * 3), framewise, displacement)


def slow_drift(random: np.random.Generator, options: SimulationOptions, template: BrainTemplate) -> NDArray[np.float64]:
    """Half a cosine and a whole one over the scan, each with a smooth pattern of its own.

    Returns:
        The drift as a fraction of the mean intensity, its variance `drift_std` squared on average, [T, V].
    """
    frames = (np.arange(options.num_frames) + 0.5) / options.num_frames
    cosines = np.cos(np.pi * np.outer(frames, [1, 2]))
    fields = random.standard_normal((2, len(template.patterns))) @ template.patterns
    return options.drift_std * cosines @ fields


def _air(random: np.random.Generator, template: BrainTemplate, options: SimulationOptions) -> NDArray[np.float32]:
    shape = (int((~template.mask).sum()), options.num_frames)
    return np.maximum(AIR_MEAN + AIR_STD * random.standard_normal(shape, dtype=np.float32), 10)


def _standardised(courses: NDArray[np.float64]) -> NDArray[np.float64]:
    return (courses - courses.mean(axis=0)) / courses.std(axis=0)
