"""A finished run of phase 3 as those see it that come after: what it was trained on, and how its scans are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from monai_tff.bundle.experiment import quiet_workflow
from monai_tff.contract import InputContract, Target
from monai_tff.errors import ConfigError

EVALUATE = Path("configs") / "evaluate.yaml"
WEIGHTS = Path("models") / "model.pt"


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run folder of phase 3 with its best weights.

    Attributes:
        folder: the run folder, absolute.
        datalist: path of its datalist.
        dataset_dir: folder that the datalist's paths start from.
        contract: the input contract, with the target.
        packing: `packed_dir`, `encoding` and `reader`, as `monai_tff.data.load_scan` takes them.
        memory_map: whether packed scans stay on disk.
        flat: whether a unit's score is the flat mean over its windows (the paper's recipe).
        seed: of the run.
    """

    folder: Path
    datalist: Path
    dataset_dir: Path
    contract: InputContract
    packing: dict[str, Any]
    memory_map: bool
    flat: bool
    seed: int

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.folder / WEIGHTS

    @property
    def config(self) -> Path:
        """The configuration of the evaluation, to be run with `monai_tff.bundle.experiment.run_workflow`."""
        return self.folder / EVALUATE

    @property
    def target(self) -> Target:
        """What is predicted."""
        assert self.contract.target is not None  # read_finished_run refuses a run without one
        return self.contract.target


def read_finished_run(folder: str | Path) -> FinishedRun:
    """Reads a run folder of phase 3.

    Args:
        folder: the run folder of the phase, not the one that holds the phases.

    Raises:
        ConfigError: for a folder that holds no finished run of phase 3, with the phases that it holds if any.
        DatalistError: for a datalist that is not there any more.
    """
    folder = Path(folder).resolve()
    config = folder / EVALUATE
    if not config.is_file() or not (folder / WEIGHTS).is_file():
        inside = sorted(path.parents[1].name for path in folder.glob(f"*/{EVALUATE}"))
        way_out = f"name one of its phases ({', '.join(inside)})" if inside else "train it first, or check the path"
        raise ConfigError(f"{folder}: is no finished run of phase 3, expected {EVALUATE} and {WEIGHTS}; {way_out}.")
    # said, because no workflow runs that would know it; the contract is read from the weights below it
    parser = quiet_workflow([str(config)], "eval", {"bundle_root": str(folder)}).parser
    if "target" not in parser.get():
        raise ConfigError(f"{folder}: is a run that reconstructs scans, expected one of phase 3 with a target.")
    content = {
        name: parser.get_parsed_content(name)
        for name in ("datalist", "dataset_dir", "contract", "packing", "memory_map", "flat_average", "seed")
    }
    return FinishedRun(
        folder=folder,
        datalist=Path(content["datalist"]).resolve(),
        dataset_dir=Path(content["dataset_dir"]).resolve(),
        contract=content["contract"],
        packing=content["packing"],
        memory_map=content["memory_map"],
        flat=content["flat_average"],
        seed=content["seed"],
    )
