"""The files of an explanation: maps, regions, frames, and explain.json with the checks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.errors import DatalistError
from monai_tff.explain.checks import Check, check_completeness
from monai_tff.explain.collected import Collected
from monai_tff.explain.explained_run import AFFINE_TOLERANCE
from monai_tff.explain.outputs import explained_in_words
from monai_tff.explain.regions import Atlas, clusters, region_table
from monai_tff.explain.settings import ExplainSettings
from monai_tff.explain.simulated import check_planted, planted_networks
from monai_tff.explain.subject import SubjectMaps
from monai_tff.explain.volumes import write_map
from monai_tff.handlers.evaluation_files import write_json, write_table

CHANNELS = ("global", "voxel", "sum")
METHODS = {
    "integrated_gradients": "Sundararajan, Taly, Yan 2017, with steps where the output changes; summed over frames",
    "baseline": "mean training scan of the classes other than the predicted one (of all scans for a number) in "
    "channel 0, every voxel's mean in channel 1; outside the mask the scan itself",
    "occlusion": "Zeiler, Fergus 2014: output less output with a cube, or a frame, replaced by the baseline",
    "attention_rollout": "Abnar, Zuidema 2020: heads averaged, half of each token passes a layer as it is",
    "averaging": "windows of a scan, scans of a subject, subjects",
    "signed": "above 0 where the scan, compared with the baseline, raises the output",
    "absolute": "mean of the absolute value of each window's map",
}


@dataclasses.dataclass(frozen=True, eq=False)
class _Averaged:
    """Subjects of one or several runs, averaged."""

    maps: list[SubjectMaps]
    labels: list[float]

    @property
    def affine(self) -> NDArray[np.float64]:
        return self.maps[0].affine

    @property
    def mask(self) -> NDArray[np.bool_]:
        return np.mean([maps.mask for maps in self.maps], axis=0) >= 0.5

    def mean(self, name: str) -> NDArray:
        return np.array([getattr(maps, name) for maps in self.maps], dtype=np.float64).mean(axis=0)

    @property
    def occluded(self) -> _Averaged:
        """The subjects whose windows were occluded in space."""
        kept = [number for number, maps in enumerate(self.maps) if maps.occlusion is not None]
        return self._some(kept)

    def of_class(self, index: int) -> _Averaged:
        kept = [number for number, label in enumerate(self.labels) if label == index]
        return self._some(kept)

    def _some(self, kept: Sequence[int]) -> _Averaged:
        return _Averaged([self.maps[number] for number in kept], [self.labels[number] for number in kept])


def write_explanation(
    output: Path,
    collected: Sequence[Collected],
    settings: ExplainSettings,
    atlas: Atlas | None,
    source: str,
) -> list[Check]:
    """Averages over subjects and writes all files; explain.json comes last.

    Args:
        output: the folder.
        collected: what was computed of each run.
        settings: of the explanation.
        atlas: regions of the table, None for clusters of the strongest voxels.
        source: name of the run or the folds.

    Returns:
        All checks.

    Raises:
        DatalistError: for scans on more than one grid.
        ConfigError: for an atlas that lies elsewhere.
    """
    averaged = _Averaged(
        [maps for run in collected for maps in run.maps],
        [subject.label for run in collected for subject in run.subjects],
    )
    _check_one_grid(averaged.maps)
    run, mask, affine = collected[0].explained.run, averaged.mask, averaged.affine
    absolute, signed = averaged.mean("absolute")[2], averaged.mean("signed").sum(axis=0)
    # an atlas that lies elsewhere is found before anything is written
    regions = clusters(absolute, mask) if atlas is None else atlas.regions(mask, affine)
    (output / "explain.json").unlink(missing_ok=True)
    files = _write_maps(output / "maps", averaged, run.target)
    write_table(output / "regions.csv", region_table(regions, absolute, signed, mask, affine))
    write_table(output / "frames.csv", _frames(averaged))
    checks = [_completeness(averaged.maps), *_worst([run.checks for run in collected])]
    networks = planted_networks(run.dataset_dir, run.target.name)
    if networks:
        checks.append(check_planted(networks, absolute, mask, affine))
    content = {
        **_what(averaged, collected, settings, source),
        "checks": [dataclasses.asdict(check) for check in checks],
        "warnings": [f"{check.name}: {check.text}" for check in checks if check.passed is False],
        "regions": "atlas" if atlas is not None else "clusters of the strongest 5 % of voxels",
        "simulated": None if networks is None else {"planted_networks": networks},
        "files": [*files, "regions.csv", "frames.csv"],
    }
    write_json(output / "explain.json", content)
    return checks


def _what(
    averaged: _Averaged, collected: Sequence[Collected], settings: ExplainSettings, source: str
) -> dict[str, Any]:
    """What explain.json says of the maps themselves."""
    explained = collected[0].explained
    return {
        "explained": explained_in_words(explained.run.target, explained.paper_head),
        "source": source,
        "target": dataclasses.asdict(explained.run.target),
        "methods": METHODS,
        "settings": dataclasses.asdict(settings),
        "seed": explained.run.seed,
        "counts": _counts(averaged, explained.run.target, len(collected)),
    }


def _check_one_grid(maps: Sequence[SubjectMaps]) -> None:
    for number, other in enumerate(maps):
        apart = np.abs(other.affine - maps[0].affine).max()
        if other.mask.shape != maps[0].mask.shape or apart > AFFINE_TOLERANCE:
            raise DatalistError(
                f"subject {number + 1} of the explanation: its grid lies elsewhere than that of the first (the affines "
                f"differ by {apart:g} mm), expected scans in one space, whose maps can be averaged; use scans that "
                "were brought to a template."
            )


def _write_maps(folder: Path, averaged: _Averaged, target: Target) -> list[str]:
    """Writes the maps of all subjects and of each class; their paths relative to the folder of the explanation."""
    groups = {"": averaged}
    for index, name in enumerate(target.class_names):
        of_class = averaged.of_class(index)
        if of_class.maps:
            groups["_class-" + re.sub(r"[^A-Za-z0-9]+", "-", name)] = of_class
    volumes: dict[str, NDArray] = {"mask": averaged.mask}
    for suffix, group in groups.items():
        signed, absolute = group.mean("signed"), group.mean("absolute")
        signed = np.concatenate((signed, signed.sum(axis=0, keepdims=True)))
        for channel, name in enumerate(CHANNELS):
            volumes[f"integrated_gradients_signed_{name}{suffix}"] = signed[channel]
            volumes[f"integrated_gradients_absolute_{name}{suffix}"] = absolute[channel]
        if group.occluded.maps:
            occlusion = group.occluded.mean("occlusion")
            volumes[f"occlusion_signed{suffix}"], volumes[f"occlusion_absolute{suffix}"] = occlusion
    for name, values in volumes.items():
        write_map(folder / f"{name}.nii.gz", values, averaged.affine)
    return [f"maps/{name}.nii.gz" for name in volumes]


def _frames(averaged: _Averaged) -> pd.DataFrame:
    rollout, occlusion = averaged.mean("rollout"), averaged.mean("frames")
    return pd.DataFrame(
        {
            "frame": range(len(rollout)),
            "attention_rollout": rollout,
            "occlusion_signed": occlusion[0],
            "occlusion_absolute": occlusion[1],
        }
    )


def _completeness(maps: Sequence[SubjectMaps]) -> Check:
    return check_completeness(
        np.concatenate([item.errors for item in maps]), np.concatenate([item.changes for item in maps])
    )


def _worst(checks: Sequence[Sequence[Check]]) -> list[Check]:
    """Of each comparison the one with the largest correlation, of those that were made."""
    found = []
    for same in zip(*checks, strict=True):
        made = [check for check in same if check.passed is not None]
        found.append(max(made, key=lambda check: float(check.numbers["rank_correlation"])) if made else same[0])
    return found


def _counts(averaged: _Averaged, target: Target, runs: int) -> dict[str, Any]:
    return {
        "runs": runs,
        "subjects": len(averaged.maps),
        "windows": sum(len(maps.changes) for maps in averaged.maps),
        "subjects_occluded": len(averaged.occluded.maps),
        "subjects_of_class": {name: averaged.labels.count(index) for index, name in enumerate(target.class_names)},
    }
