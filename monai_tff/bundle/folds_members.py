"""The members of an experiment over folds or seeds: planned, written down, and checked before the first one trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.bundle.experiment import (
    FINISHED,
    Experiment,
    Overrides,
    Phase,
    check_hand_over,
    check_phase,
    is_evaluated,
    overridden_phases,
    phase_values,
)
from monai_tff.bundle.folds_splits import SINGLE, Split
from monai_tff.bundle.lineage import BY_CONTENT, pretraining_overlap
from monai_tff.bundle.run_folder import refuse_changes
from monai_tff.bundle.run_workflow import quiet_workflow
from monai_tff.bundle.study_folder import (
    FOLDS_FILE,
    Member,
    StudyFolder,
    in_order,
    is_folds_folder,
    member_place,
    read_study_folder,
    write_study_folder,
)
from monai_tff.errors import ConfigError, WeightsError

MAY_STAND_BESIDE = ("cohort",)
"""What a new folder of folds may hold already: the cohort that the experiment makes."""

NO_OVERLAP = ("none", BY_CONTENT)


@dataclasses.dataclass(frozen=True)
class FoldsPlan:
    """What is to be repeated, and how often.

    Attributes:
        experiment: with all its phases.
        folder: that holds the members, absolute.
        splits: all splits of the plan.
        chosen: those to be run now.
        seeds: number of seeds for each.
        overrides: of the run, without seed and datalist.
        phases: names of the phases to run, all if None.
        resume: go on with what the folder holds.
    """

    experiment: Experiment
    folder: Path
    splits: Sequence[Split]
    chosen: Sequence[Split]
    seeds: int
    overrides: Overrides
    phases: Sequence[str] | None
    resume: bool

    @property
    def wanted(self) -> Sequence[str]:
        """Names of the phases to run."""
        return [phase.name for phase in self.experiment.phases] if self.phases is None else self.phases

    def overrides_of(self, member: Member) -> dict[str, dict[str, Any]]:
        """The overrides of one member: those of the run, with its seed and datalist."""
        own = {"seed": member.seed, "datalist": str(member.datalist)}
        return {**{name: dict(values) for name, values in self.overrides.items()}, "": {**self._common, **own}}

    @property
    def _common(self) -> Mapping[str, Any]:
        return self.overrides.get("", {})

    def phases_of(self, member: Member) -> tuple[Phase, ...]:
        """All phases of one member."""
        return overridden_phases(self.experiment, self.overrides_of(member), self.phases)


def refuse_member_overrides(overrides: Overrides) -> None:
    """Refuses overrides of what each member has for itself, and all of its phases together.

    Args:
        overrides: what the user sets, by phase.

    Raises:
        ConfigError: for a datalist, or a seed of one phase.
    """
    for name, values in overrides.items():
        for key in ("seed", "datalist"):
            if key in values and (name or key == "datalist"):
                option = f"--set {name}:{key}" if name else f"--set {key}"
                raise ConfigError(
                    f"{option}: each fold and seed has its own {key}, expected none for a phase; give "
                    f"{'--set seed=N, the first seed,' if key == 'seed' else '--datalist'} instead."
                )


def open_members(plan: FoldsPlan) -> list[Member]:
    """Refuses a folder that holds something else, and gives the members that are to be run; nothing is written yet.

    Args:
        plan: what is to be run.

    Returns:
        The chosen members, split by split and seed by seed.

    Raises:
        ConfigError: for a folder that is not empty without `resume`, or that holds another experiment or plan.
    """
    _refuse_folder(plan)
    first = _base_seed(plan)
    last = plan.experiment.phases[-1].name
    return [
        Member(split.name, seed, member_place(plan.folder, split.name, seed) / last, split.datalist)
        for split in plan.chosen
        for seed in range(first, first + plan.seeds)
    ]


def write_members(plan: FoldsPlan, members: Sequence[Member]) -> StudyFolder:
    """Writes `folds.json` with the members of this and of earlier calls.

    Args:
        plan: what is to be run.
        members: from `open_members`.

    Returns:
        What the file says now.
    """
    earlier = read_study_folder(plan.folder).members if is_folds_folder(plan.folder) else ()
    together = {(member.split, member.seed): member for member in (*earlier, *members)}
    study = StudyFolder(
        plan.experiment.name,
        tuple(phase.name for phase in plan.experiment.phases),
        plan.splits[0].plan,
        len(plan.splits),
        in_order(list(together.values()), [split.name for split in plan.splits]),
    )
    write_study_folder(plan.folder, study)
    return study


def check_members(plan: FoldsPlan, members: Sequence[Member], say: Callable[[str], None]) -> None:
    """Checks what each member would only find after the ones before it have trained for days.

    Args:
        plan: what is to be run.
        members: from `open_members`.
        say: told what is checked.

    Raises:
        ConfigError: for a wrong configuration, or settings other than those that a member began with.
        DatalistError: for another split than a member began with, or weights that have seen test subjects.
        WeightsError: for weights that are missing, or may have seen test subjects of a fold.
        ScanError: for a scan that cannot be used.
        ContractError: for a scan that does not match the input contract.
    """
    checked: set[str] = set()
    for member in members:
        previous: Path | None = None
        for phase in plan.phases_of(member):
            if phase.name in plan.wanted:
                if member.split not in checked:
                    say(f"checking {phase.name} of {member.split}: settings and headers of all scans")
                    weights = check_phase(phase).get_parsed_content("initial_weights")
                    if previous is None or "initial_weights" in phase.overrides:
                        _check_weights(weights, member)
                if previous is not None and previous.name not in plan.wanted:
                    check_hand_over(phase, previous)
                _refuse_other_settings(phase, member.place / phase.name, previous)
            previous = member.place / phase.name
        checked.add(member.split)


def is_done(plan: FoldsPlan, member: Member) -> bool:
    """Whether a member has ended: all phases that are wanted, and the evaluation where the last one is among them."""
    finished = all((member.place / name / FINISHED).is_file() for name in plan.wanted)
    return finished and (member.folder.name not in plan.wanted or is_evaluated(member.folder))


def _base_seed(plan: FoldsPlan) -> int:
    """The experiment's own seed, which must be one for all phases."""
    seeds = {
        phase.name: int(
            quiet_workflow(list(phase.config_files), "train", phase.overrides).parser.get_parsed_content("seed")
        )
        for phase in overridden_phases(plan.experiment, plan.overrides, plan.phases)
    }
    if len(set(seeds.values())) > 1:
        raise ConfigError(
            f"seed: the phases of experiment '{plan.experiment.name}' have {seeds}, expected one seed for all of them "
            "to count on from; give one with --set seed=N."
        )
    return next(iter(seeds.values()))


def _refuse_folder(plan: FoldsPlan) -> None:
    folder = plan.folder
    inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    inside = [name for name in inside if name not in MAY_STAND_BESIDE]
    if not inside:
        return
    if not is_folds_folder(folder):
        raise ConfigError(
            f"{folder}: holds {', '.join(inside[:3])} and no {FOLDS_FILE}, expected a new or empty folder for folds "
            "and seeds; choose another --run-dir."
        )
    if not plan.resume:
        raise ConfigError(
            f"{folder}: holds folds that were run, expected a new or empty folder; go on with them with --resume, or "
            "choose another --run-dir."
        )
    found = read_study_folder(folder)
    own = (plan.experiment.name, tuple(phase.name for phase in plan.experiment.phases), plan.splits[0].plan)
    for what, before, now in zip(
        ("experiment", "phases", "split"), (found.experiment, found.phases, dict(found.plan)), own, strict=True
    ):
        if before != now:
            raise ConfigError(
                f"{folder / FOLDS_FILE}: {what} was {before} when the run began, but is {now} now; continue with what "
                "it began with, or choose another --run-dir."
            )


def _check_weights(weights: str | None, member: Member) -> None:
    """Weights from elsewhere must be known not to have seen the test subjects of any fold."""
    if weights is None or member.split == SINGLE or member.datalist is None:
        return
    overlap = pretraining_overlap(weights, member.datalist)
    if overlap not in NO_OVERLAP:
        raise WeightsError(
            f"{weights}: whether these weights have seen test subjects of {member.split} is {overlap}, expected "
            "weights that are known to have seen none of any fold; train all phases in each fold, or evaluate these "
            "weights on a single split."
        )


def _refuse_other_settings(phase: Phase, folder: Path, previous: Path | None) -> None:
    if (folder / "models" / "last.pt").is_file():
        values = phase_values(phase, folder, previous, resume=True)
        refuse_changes(folder, quiet_workflow(list(phase.config_files), "train", values).parser)
