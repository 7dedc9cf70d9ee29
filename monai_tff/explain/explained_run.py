"""The run that is explained: its network, and the scans that are chosen from its test section."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tff.bundle.experiment import quiet_workflow
from monai_tff.bundle.finished_run import FinishedRun, read_finished_run
from monai_tff.data.datalist import load_records
from monai_tff.data.loading import load_scan
from monai_tff.data.scan import CompactScan
from monai_tff.errors import DatalistError
from monai_tff.networks import load_finished
from monai_tff.transforms.temporal import window_starts

AFFINE_TOLERANCE = 1e-2
"""Millimetres by which the grids of two scans may differ."""

Record = Mapping[str, Any]


class ExplainedRun:
    """A finished run of phase 3, its network with the best weights, and its scans.

    Args:
        folder: the run folder.

    Raises:
        ConfigError: for a folder that holds no finished run of phase 3.
        DatalistError: for a datalist that was moved or changed.
        WeightsError: for weights that cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.run: FinishedRun = read_finished_run(folder)
        self.network = self.network_of(self.run.weights)
        self.device = next(self.network.parameters()).device
        parser = quiet_workflow([str(self.run.config)], "eval", {}).parser
        self.paper_head = bool(parser.get_parsed_content("paper_head"))

    def network_of(self, weights: Path) -> Any:
        """The run's network with some weights of its kind, in evaluation mode, its parameters without gradients."""
        network = self._built()
        load_finished(network, str(weights))
        return network.eval().requires_grad_(False)

    def redrawn_network(self, seed: int) -> Any:
        """The run's network as it is before any training: every weight drawn anew."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._built().eval().requires_grad_(False)

    def _built(self) -> Any:
        # a new parser each time: one keeps the network that it has built
        return quiet_workflow([str(self.run.config)], "eval", {}).parser.get_parsed_content("network")

    def records(self, section: str) -> list[dict[str, Any]]:
        """Records of a section, see `load_records`."""
        return load_records(self.run.datalist, self.run.dataset_dir, section, packed_dir=self.run.packing["packed_dir"])

    def scan(self, record: Record) -> CompactScan:
        """A scan as the network gets it."""
        return load_scan(
            record["image"],
            self.run.contract,
            **self.run.packing,
            memory_map=self.run.memory_map,
            mask_file=record["mask"],
            repetition_time=record["tr"],
            confounds=record["confounds"],
            scan=record["scan"],
        )[0]

    def windows(self, scan: CompactScan, number: int) -> Iterator[torch.Tensor]:
        """Windows of a scan, float32 `[2, H, W, D, T]` on the network's device, evenly spread over it."""
        starts = window_starts(scan.num_frames, self.run.contract.window_length)
        number = min(number, len(starts))
        for place in range(number):
            start = starts[(2 * place + 1) * len(starts) // (2 * number)]
            yield scan.window(start, self.run.contract.window_length).to(self.device).unpack()


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A subject that is explained.

    Attributes:
        subject: its name.
        label: of its first scan, as the network is given it: class index or number.
        records: of its scans.
    """

    subject: str
    label: float
    records: tuple[Record, ...]


def choose_subjects(records: Sequence[Record], number: int, seed: int, by_class: bool) -> list[Chosen]:
    """Draws subjects, the same number of each class as far as there are enough.

    Args:
        records: of the test section.
        number: of subjects; all where there are fewer.
        seed: of the draw.
        by_class: whether labels are classes.

    Returns:
        The subjects, class by class in turn; it does not depend on the order of the records.
    """
    of_subject: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: str(record["scan"])):
        of_subject[str(record["subject"])].append(record)
    classes: dict[float, list[Chosen]] = defaultdict(list)
    for subject in sorted(of_subject):
        label = float(of_subject[subject][0]["label"])
        classes[label if by_class else 0.0].append(Chosen(subject, label, tuple(of_subject[subject])))
    random = np.random.default_rng(seed)
    drawn = [[classes[label][i] for i in random.permutation(len(classes[label]))] for label in sorted(classes)]
    in_turn = [subjects[place] for place in range(max(map(len, drawn))) for subjects in drawn if place < len(subjects)]
    return in_turn[:number]


def check_grid(first: CompactScan, scan: CompactScan) -> None:
    """Refuses scans whose voxels do not lie in one place: their maps could not be averaged.

    Raises:
        DatalistError: naming the scan.
    """
    if first.affine is None or scan.affine is None:
        return
    apart = float((first.affine - scan.affine).abs().max())
    if first.mask.shape != scan.mask.shape or apart > AFFINE_TOLERANCE:
        raise DatalistError(
            f"{scan.source}: its grid lies elsewhere than that of {first.source} (the affines differ by {apart:g} mm), "
            "expected scans in one space, whose maps can be averaged; use scans that were brought to a template."
        )
