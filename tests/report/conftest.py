"""Reports of real, tiny studies (two classes, a number, folds of classes with hostile names), and a reader of pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HOSTILE = ("<script>alert('1')</script>", '<img src="x" onerror="alert(2)">', "a & b's")
VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page holds: its elements, the numbers with their sources, the rows of its tables, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[str | None, str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._cell: list[str] | None = None
        self._caption: list[str] | None = None
        self._rows: list[list[str]] = []
        self._number: tuple[str | None, str] | None = None
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """All texts of the body, spaces made single."""
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "data":
            self._number = (found.get("data-source"), str(found["value"]))

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self._open.pop() == tag, f"</{tag}> closes another element"
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append("".join(self._cell))
            self._cell = None
        elif tag == "table":
            self.tables["".join(self._caption or [])] = self._rows

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if self._number is not None and self._open[-1] == "data":
            self.numbers.append((*self._number, data))
            self._number = None
        if self._cell is not None:
            self._cell.append(data)
        elif self._open and self._open[-1] == "caption":
            self._caption = [data]


@pytest.fixture(scope="session")
def studies(
    runs: Any,
    finetuned: dict[str, Path],
    cohort: SimpleNamespace,
    phases: dict[str, Any],
    small: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """The folder of an evaluated study by its kind, made once: `sex`, `age`, or `folds` (sites with hostile names)."""
    place = tmp_path_factory.mktemp("studies")

    def sex() -> Path:
        from monai_tff.baselines import run_baselines

        folder = Path(shutil.copytree(runs.folder, place / "sex")) / "finetune"
        run_baselines(folder, ["covariates", "only_age", "only_site"])
        return folder

    def age() -> Path:
        return _evaluated(Path(shutil.copytree(finetuned["age"], place / "age")))

    def folds() -> Path:
        return _folds(_hostile_cohort(cohort, place / "cohort"), phases, small, place / "folds")

    makers = {"sex": sex, "age": age, "folds": folds}
    return cache(lambda kind: makers[kind]())


def _evaluated(folder: Path) -> Path:
    from monai_tff.bundle.run_workflow import run_workflow

    run_workflow([str(folder / "configs" / "evaluate.yaml")], "eval", {})
    return folder


def _trained(phases: Any, small: Any, data: Path, datalist: Path, folder: Path, seed: int) -> Path:
    from monai_tff.bundle.run_workflow import run_workflow

    phase = phases["finetune"]
    places = {"dataset_dir": str(data), "datalist": str(datalist), "run_dir": str(folder), "seed": seed}
    run_workflow(list(phase.config_files), "train", {**phase.overrides, **small, **places})
    return _evaluated(folder)


def _hostile_cohort(cohort: SimpleNamespace, folder: Path) -> Path:
    """A copy of the cohort whose sites have names that would act, if they were taken for HTML."""
    shutil.copytree(cohort.folder, folder)
    table = folder / "participants.tsv"
    text = table.read_text(encoding="utf-8")
    for number, name in enumerate(HOSTILE, start=1):
        text = text.replace(f"site{number}", name)
    table.write_text(text, encoding="utf-8")
    return folder


def _folds(data: Path, phases: Any, small: Any, folder: Path) -> Path:
    """Two folds that predict the site, pooled."""
    from monai_tff.bundle.folds import pool_evaluations
    from monai_tff.bundle.folds_numbers import write_numbers
    from monai_tff.bundle.study_folder import Member, StudyFolder, member_place, write_study_folder
    from monai_tff.data import SplitPlan, read_bids, write_datalist
    from monai_tff.data.building import build_datalists

    plan, members = SplitPlan(folds=2, seed=1), []
    contents = build_datalists(read_bids(data, "site"), "site", dataset_dir=data, plan=plan)
    for number, content in enumerate(contents, start=1):
        datalist = data / f"fold-{number}.json"
        write_datalist(content, datalist)
        last = member_place(folder, f"fold-{number}", 3) / "finetune"
        _trained(phases, {**small, "max_epochs": 1}, data, datalist, last, 3)
        members.append(Member(f"fold-{number}", 3, last, datalist))
    names = ("autoencoder", "transformer", "finetune")
    write_study_folder(folder, StudyFolder("site", names, {"folds": 2}, 2, tuple(members)))
    pool_evaluations(folder, "evaluation")
    write_numbers(folder)
    return folder


@pytest.fixture(scope="session")
def reports(studies: Callable[[str], Path]) -> Callable[[str], SimpleNamespace]:
    """A written report by the kind of its study: `folder`, `path`, `text` and `page`; each is written once."""
    from monai_tff.report import write_report

    @cache
    def written(kind: str) -> SimpleNamespace:
        folder = studies(kind)
        path = write_report(folder)
        text = path.read_text(encoding="utf-8")
        return SimpleNamespace(folder=folder, path=path, text=text, page=Page(text))

    return written
