"""What an explanation depends on, besides the run."""

from __future__ import annotations

import dataclasses

from monai_tff.errors import ConfigError

LEAST = {"subjects": 1, "windows_per_scan": 1, "steps": 16, "occluded_subjects": 0, "checked_subjects": 1}


@dataclasses.dataclass(frozen=True)
class ExplainSettings:
    """Choices of an explanation.

    Attributes:
        subjects: of the test section, drawn with the run's seed and balanced over classes; all where there are fewer.
        windows_per_scan: evenly spread over the scan.
        steps: gradients of a window for the integrated gradients.
        occluded_subjects: of them, the first of the draw whose windows are occluded in space; every cube costs a pass.
        cube_mm: edge of an occluded cube.
        checked_subjects: of them, the first of the draw whose maps are compared with those of other networks.
        label_epochs: epochs of the training with permuted labels; None for a fifth of the run's own.
        training_scans: scans of the training section that the baseline is the mean of, at most.
    """

    subjects: int = 20
    windows_per_scan: int = 1
    steps: int = 64
    occluded_subjects: int = 6
    cube_mm: float = 36.0
    checked_subjects: int = 3
    label_epochs: int | None = None
    training_scans: int = 100

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)} came, expected at least {least}.")
