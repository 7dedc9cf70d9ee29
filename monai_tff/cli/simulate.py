"""`monai_tff simulate`: writes a simulated cohort to try the workflow without data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(text: str, panel: str | None = None) -> Any:
    return typer.Option(help=text, rich_help_panel=panel)


_EFFECT_HELP = (
    "TARGET:KIND:SIZE or TARGET:KIND:SIZE:NETWORK, as often as wanted. TARGET: sex, age or diagnosis. KIND: "
    "regional_mean, network_amplitude or network_coupling. SIZE: Cohen's d, or a percentage such as 30%. None: a null "
    "cohort."
)
_CONFOUND_HELP = (
    "TARGET:KIND:SIZE, as often as wanted: what follows a target without being in the brain. KIND: motion (level and "
    "spikes) or site (the sites are mixed unevenly over the classes; SIZE is a log odds ratio)."
)
_LEAK_HELP = (
    "Write this target into every scan, as a mark in a corner of the brain: only to test whether an evaluation notices."
)
_WHO, _HOW, _SPOILT = "Who takes part", "How it is recorded", "What spoils it on purpose"

Folder = Annotated[Path, typer.Argument(help="Where the cohort goes: an empty or new folder.")]
Effects = Annotated[list[str] | None, _option(_EFFECT_HELP)]
Seed = Annotated[int, _option("The same options and seed give the same files.")]
Overwrite = Annotated[bool, _option("Replace an earlier simulated cohort in FOLDER.")]
Subjects = Annotated[int, _option("Number of subjects.", _WHO)]
Sessions = Annotated[int, _option("Sessions of each subject.", _WHO)]
Sites = Annotated[int, _option("Scanners that the subjects are spread over.", _WHO)]
FamilySize = Annotated[int, _option("Subjects of a family.", _WHO)]
FamilySimilarity = Annotated[float, _option("Correlation of relatives in every trait, from 0 to 1.", _WHO)]
VoxelSize = Annotated[float, _option("Edge of a voxel, mm.", _HOW)]
Frames = Annotated[int, _option("Frames of each scan.", _HOW)]
RepetitionTime = Annotated[float, _option("Seconds between frames.", _HOW)]
SiteGains = Annotated[list[float] | None, _option("Intensity gain, once for each site.", _HOW)]
SiteRepetitionTimes = Annotated[list[float] | None, _option("Repetition time, s, once for each site.", _HOW)]
Autocorrelation = Annotated[float, _option("AR(1) coefficient of the network time courses.", _HOW)]
SignalStd = Annotated[float, _option("Network signal, as a fraction of the brain's mean intensity.", _HOW)]
NoiseStd = Annotated[float, _option("Scanner noise, likewise.", _HOW)]
DriftStd = Annotated[float, _option("Slow drift, likewise.", _HOW)]
SpikeRate = Annotated[float, _option("Probability of a motion spike at each frame.", _HOW)]
Background = Annotated[str, _option("Voxels outside the brain: zero or nonzero.", _HOW)]
Storage = Annotated[str, _option("int16, scaled_int16 (with scl_slope) or float32.", _HOW)]
Masks = Annotated[bool, _option("Write a brain mask beside each scan.", _HOW)]
Confounds = Annotated[list[str] | None, _option(_CONFOUND_HELP, _SPOILT)]
SitePatternStd = Annotated[
    float, _option("Each scanner's own smooth pattern of intensity: standard deviation of its logarithm.", _SPOILT)
]
Leak = Annotated[str | None, _option(_LEAK_HELP, _SPOILT)]


def simulate(
    folder: Folder,
    effect: Effects = None,
    subjects: Subjects = 60,
    sessions: Sessions = 1,
    sites: Sites = 1,
    family_size: FamilySize = 1,
    family_similarity: FamilySimilarity = 0.5,
    voxel_size: VoxelSize = 12.0,
    frames: Frames = 60,
    repetition_time: RepetitionTime = 2.0,
    site_gain: SiteGains = None,
    site_repetition_time: SiteRepetitionTimes = None,
    autocorrelation: Autocorrelation = 0.6,
    signal_std: SignalStd = 0.02,
    noise_std: NoiseStd = 0.02,
    drift_std: DriftStd = 0.01,
    spike_rate: SpikeRate = 0.02,
    background: Background = "zero",
    storage: Storage = "int16",
    masks: Masks = True,
    confound: Confounds = None,
    site_pattern_std: SitePatternStd = 0.0,
    leak: Leak = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a simulated cohort: a BIDS tree of 4D scans with planted effects.

    For example: monai_tff simulate cohort --effect sex:regional_mean:3.0 --effect diagnosis:network_coupling:1.0
    """
    options = dict(locals())
    for name in ("folder", "effect", "confound", "overwrite"):
        del options[name]
    for name in ("subjects", "sessions", "sites", "frames"):
        options[f"num_{name}"] = options.pop(name)
    for name in ("site_gain", "site_repetition_time"):
        options[f"{name}s"] = options.pop(name)
    _simulate(folder, effect or [], confound or [], overwrite, options)


def _simulate(folder: Path, effects: list[str], confounds: list[str], overwrite: bool, options: dict[str, Any]) -> None:
    """Plants the effects, shows a progress bar on standard error and prints what was written."""
    from rich.console import Console
    from rich.progress import Progress

    from monai_tff.data.simulate import SimulationOptions, parse_confound, parse_effect, simulate_cohort

    for name, parse, texts in (("effects", parse_effect, effects), ("confounds", parse_confound, confounds)):
        options[name] = {}
        for target, planted in map(parse, texts):
            options[name].setdefault(target, []).append(planted)
    SimulationOptions(**options)  # a wrong option is refused before the bar appears
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("simulating", total=options["num_subjects"])
        cohort = simulate_cohort(folder, overwrite=overwrite, on_subject=lambda label: progress.advance(bar), **options)
    grid = " x ".join(str(length) for length in cohort.spatial_size)
    spoilt = [*confounds, *([] if options["leak"] is None else [f"LABEL LEAK of {options['leak']}"])]
    what = ", ".join([*effects, *spoilt]) or "nothing (a null cohort)"
    typer.echo(
        f"{cohort.num_scans} simulated scans of {options['num_subjects']} subjects in {cohort.folder}: "
        f"{grid} voxels ({cohort.num_voxels} in the mask), {options['num_frames']} frames; planted: {what}"
    )
