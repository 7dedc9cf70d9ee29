"""All that is computed of one run: maps of its subjects, and comparisons with networks that have not learnt."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai_tff.bundle.layout import sha256_of
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import WeightsError
from monai_tff.explain.baseline import Baselines
from monai_tff.explain.checks import Check, compare_networks, not_made
from monai_tff.explain.explained_run import Chosen, ExplainedRun, choose_subjects
from monai_tff.explain.gradients import integrated_gradients
from monai_tff.explain.label_randomised import label_randomised_weights
from monai_tff.explain.settings import ExplainSettings
from monai_tff.explain.subject import Example, SubjectMaps, examples_of, explain_subject
from monai_tff.handlers.evaluation_files import write_json
from monai_tff.handlers.progress import clock

VERSION = 1
"""Of the methods; another one makes subjects that are there be explained anew."""

PARAMETERS, LABELS = "parameter_randomisation", "label_randomisation"
SECONDS_BETWEEN_LINES = 20.0

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True, eq=False)
class Collected:
    """What was computed of one run.

    Attributes:
        explained: the run.
        subjects: that were chosen.
        maps: of each.
        checks: the comparisons with other networks.
    """

    explained: ExplainedRun
    subjects: list[Chosen]
    maps: list[SubjectMaps]
    checks: list[Check]


def collect(folder: str | Path, output: Path, settings: ExplainSettings, label_check: bool, say: Say) -> Collected:
    """Computes the maps of a run's test subjects and the comparisons, or reads those that are there.

    Args:
        folder: run folder of phase 3.
        output: folder of the explanation; one file for each finished subject is kept in it.
        settings: of the explanation.
        label_check: whether a network is trained with permuted labels.
        say: takes each sentence for the user.
    """
    explained = ExplainedRun(folder)
    run = explained.run
    _clear_outdated(output, explained, settings)
    by_class = run.target.kind != "regression"
    subjects = choose_subjects(explained.records("test"), settings.subjects, run.seed, by_class)
    files = [output / "subjects" / f"{hashlib.sha256(s.subject.encode()).hexdigest()[:16]}.npz" for s in subjects]
    baselines = _Lazy(explained, settings)
    missing = [number for number, file in enumerate(files) if not file.is_file()]
    if len(missing) < len(files):
        say(f"maps of {len(files) - len(missing)} of {len(files)} subjects are there already")
    pace = _Pace(len(missing), say)
    for number in missing:
        occlude = number < settings.occluded_subjects
        explain_subject(explained, baselines.get(), subjects[number], settings, occlude).save(files[number])
        pace.step()
    checks = [
        *_compared(output, PARAMETERS, lambda: _parameters(explained, baselines.get(), subjects, settings, say)),
        *_label_check(output, explained, baselines, subjects, settings, label_check, say),
    ]
    return Collected(explained, subjects, [SubjectMaps.load(file) for file in files], checks)


def _clear_outdated(output: Path, explained: ExplainedRun, settings: ExplainSettings) -> None:
    """Removes what was computed with other weights, scans or settings; more subjects are added to those there are."""
    made_with = {
        "version": VERSION,
        "weights": sha256_of(explained.run.weights),
        "split": load_datalist(explained.run.datalist)["split"]["hash"],
        "seed": explained.run.seed,
        **{name: value for name, value in dataclasses.asdict(settings).items() if name != "subjects"},
    }
    note = output / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        for name in ("subjects", "comparisons"):
            shutil.rmtree(output / name, ignore_errors=True)
        (output / "explain.json").unlink(missing_ok=True)
        write_json(note, made_with)


class _Lazy:
    """The baselines, which are computed when they are needed."""

    def __init__(self, explained: ExplainedRun, settings: ExplainSettings) -> None:
        self.explained, self.settings = explained, settings
        self._baselines: Baselines | None = None

    def get(self) -> Baselines:
        if self._baselines is None:
            run = self.explained.run
            by_class = run.target.kind != "regression"
            chosen = choose_subjects(
                self.explained.records("training"), self.settings.training_scans, run.seed, by_class
            )
            self._baselines = Baselines(
                (self.explained.scan(subject.records[0]), int(subject.label) if by_class else 0) for subject in chosen
            )
        return self._baselines


class _Pace:
    """Tells now and then how far the work is, how fast it goes and how long it takes."""

    def __init__(self, total: int, say: Say) -> None:
        self.total, self.say, self.done = total, say, 0
        self.began = self.told = time.monotonic()

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.told >= SECONDS_BETWEEN_LINES or self.done == self.total:
            elapsed = max(now - self.began, 1e-9)
            left = clock(elapsed / self.done * (self.total - self.done))
            rate = 60 * self.done / elapsed
            self.say(f"explained {self.done} of {self.total} subjects, {rate:.3g} per minute, {left} left")
            self.told = now


def _compared(output: Path, name: str, make: Callable[[], list[Check]]) -> list[Check]:
    """Comparisons that are kept in a file, or made."""
    path = output / "comparisons" / f"{name}.json"
    if path.is_file():
        return [Check(**content) for content in json.loads(path.read_text(encoding="utf-8"))]
    checks = make()
    write_json(path, [dataclasses.asdict(check) for check in checks])
    return checks


def _parameters(
    explained: ExplainedRun, baselines: Baselines, subjects: Sequence[Chosen], settings: ExplainSettings, say: Say
) -> list[Check]:
    say("parameter check: maps of the network with weights drawn anew")
    redrawn = explained.redrawn_network(explained.run.seed + 1)
    return _comparison(explained, baselines, subjects, settings, PARAMETERS, redrawn, "one with weights drawn anew")


def _label_check(
    output: Path,
    explained: ExplainedRun,
    baselines: _Lazy,
    subjects: Sequence[Chosen],
    settings: ExplainSettings,
    wanted: bool,
    say: Say,
) -> list[Check]:
    if not wanted:
        return [not_made(LABELS, "it was not wanted")]

    def make() -> list[Check]:
        folder = output / "label_randomised"
        weights = label_randomised_weights(explained.run, folder, settings.label_epochs, explained.run.seed + 2, say)
        network, words = explained.network_of(weights), "one trained with permuted labels"
        return _comparison(explained, baselines.get(), subjects, settings, LABELS, network, words)

    try:
        return _compared(output, LABELS, make)
    except WeightsError as error:
        return [not_made(LABELS, str(error).rstrip("."))]


def _comparison(
    explained: ExplainedRun,
    baselines: Baselines,
    subjects: Sequence[Chosen],
    settings: ExplainSettings,
    name: str,
    other: Any,
    words: str,
) -> list[Check]:
    examples: list[Example] = []
    for chosen in subjects[: settings.checked_subjects]:
        _, _, example = next(examples_of(explained, baselines, chosen, 1))
        examples.append(example)

    def attribute(output: Any, window: Any, baseline: Any) -> Any:
        return integrated_gradients(output, window, baseline, settings.steps)

    return compare_networks(attribute, explained.network, {name: (other, words)}, examples)
