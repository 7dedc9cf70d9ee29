from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import pandas as pd
import pytest

from monai_tff.errors import ConfigError
from monai_tff.report import REPORT_FILE, write_report

Reports = Callable[[str], SimpleNamespace]
KINDS = ("sex", "age", "folds")


def value_at(content: Any, keys: str) -> float | None:
    for key in keys.split("."):
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


def is_rounding(shown: str, value: float) -> bool:
    """Whether a printed number is the value to all the digits that it has."""
    digits = len(shown.partition("e")[0].partition(".")[2])
    exponent = int(shown.partition("e")[2] or 0)
    return abs(float(shown) - value) <= 0.5000001 * 10.0 ** (exponent - digits)


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_is_the_one_of_its_file(reports: Reports, kind: str) -> None:
    report = reports(kind)
    sourced = [found for found in report.page.numbers if found[0] is not None and "#" in found[0]]
    assert len(sourced) > 30
    for source, value, shown in sourced:
        file, _, keys = source.partition("#")
        if file == "folds.csv":
            split, seed, name = keys.split(".", 2)
            table = pd.read_csv(report.folder / file, dtype=str).astype({"seed": int, "value": float})
            chosen = table[(table["split"] == split) & (table["seed"] == int(seed)) & (table["name"] == name)]
            expected = float(chosen["value"].item())
        elif file.endswith(".csv"):
            row, column = keys.split(".")
            expected = float(pd.read_csv(report.folder / file, dtype=str).iloc[int(row)][column])
        else:
            expected = value_at(json.loads((report.folder / file).read_text()), keys)
        assert value == ("" if expected is None or expected != expected else repr(float(expected))), source
        assert shown == "-" if value == "" else is_rounding(shown, float(value)), source


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_subjects_is_predictions_csv(reports: Reports, kind: str) -> None:
    report = reports(kind)
    table = pd.read_csv(report.folder / "evaluation" / "predictions.csv", dtype={"subject": str})
    names = json.loads((report.folder / "evaluation" / "metrics.json").read_text())["target"]["class_names"]
    head, *rows = report.page.tables["Score of each unit"]
    assert [row[head.index("Subject")] for row in sorted(rows)] == sorted(table["subject"])
    table = table.set_index("subject")
    for row in rows:
        unit = table.loc[row[head.index("Subject")]]
        columns = [f"Score {name}" for name in names] if len(names) > 2 else ["Score"]
        scores = [unit[f"score_{n}"] for n in range(len(names))] if len(names) > 2 else [unit["score"]]
        for column, score in zip([*columns, "Spread over windows"], [*scores, unit["spread"]], strict=True):
            assert is_rounding(row[head.index(column)], score)
        if names:
            assert row[head.index("Truth")] == names[int(unit["truth"])]
            assert row[head.index("Predicted")] == unit["predicted"]
            assert ("wrong" in row) == (unit["predicted"] != names[int(unit["truth"])])
        else:
            assert is_rounding(row[head.index("Truth")], unit["truth"])


def test_learning_curves_come_from_metrics_csv(reports: Reports) -> None:
    report = reports("sex")
    _, *rows = report.page.tables["Where each training began and ended (metrics.csv)"]
    assert [row[0] for row in rows] == ["autoencoder", "transformer", "finetune"]
    for phase, epochs, first, last, kept, best in rows:
        table = pd.read_csv(report.folder.parent / phase / "metrics.csv")
        losses = table[(table["split"] == "training") & (table["name"] == "loss")]["value"].tolist()
        chosen = table[table["name"].isin(["val_selection", "val_total"])]
        assert int(epochs) == table["epoch"].max()
        assert is_rounding(first, losses[0])
        assert is_rounding(last, losses[-1])
        assert is_rounding(best, chosen["value"].min())
        assert int(kept) == chosen.loc[chosen["value"].idxmin(), "epoch"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_one_sound_file(reports: Reports, kind: str) -> None:
    report = reports(kind)
    tags = [tag for tag, _ in report.page.elements]
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(tags)
    attributes = [(key, value or "") for _, found in report.page.elements for key, value in found.items()]
    assert not [key for key, _ in attributes if key.startswith("on")]
    for key, value in attributes:
        if key in ("src", "srcset", "data", "action", "poster"):
            assert value.startswith("data:image/png;base64,")
        if key in ("href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,"))
        for inside in re.findall(r"url\(([^)]*)\)", value):
            assert inside.startswith("#")
    style = report.text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    ids = [value for key, value in attributes if key == "id"]
    assert len(ids) == len(set(ids))
    links = [value[1:] for key, value in attributes if key == "href" and value.startswith("#")]
    assert set(links) <= set(ids)
    assert all(found.get("alt") for tag, found in report.page.elements if tag == "img")
    assert all(found.get("aria-label") for tag, found in report.page.elements if tag == "svg")
    assert all(found.get("scope") for tag, found in report.page.elements if tag == "th")
    assert len(report.text) < 2_000_000


def test_the_sections_come_in_their_order(reports: Reports) -> None:
    page = reports("sex").page
    sections = [found["id"] for tag, found in page.elements if tag == "section"]
    assert sections == [
        "verdict",
        "warnings",
        "done",
        "numbers",
        "learning",
        "performance",
        "subjects",
        "comparison",
        "confounds",
        "reconstruction",
        "attribution",
        "definitions",
        "citing",
    ]
    assert [tag for tag, _ in page.elements].count("h1") == 1
    evidence = json.loads((reports("sex").folder / "evidence.json").read_text())
    assert evidence["verdict"]["headline"] in page.text
    assert evidence["ledger"]["sentence"] in page.text
    assert "For research only." in page.text
    assert "as private as the run folder" in page.text


def test_names_from_files_are_texts(reports: Reports) -> None:
    report = reports("folds")
    names = json.loads((report.folder / "evaluation" / "metrics.json").read_text())["target"]["class_names"]
    assert len(names) == 3
    assert "<script>" in "".join(names)
    # the reader of pages gives texts back as they were meant: every name is there, and none is an element
    for name in names:
        assert name in report.page.text
        assert f"true: {name}" in [row[0] for row in report.page.tables["Units by true and predicted class"]]
    assert "script" not in {tag for tag, _ in report.page.elements}
    assert "onerror" not in {key for _, found in report.page.elements for key in found}


def test_the_same_study_gives_the_same_bytes(reports: Reports, studies: Callable[[str], Path]) -> None:
    before = reports("age").path.read_bytes()
    with matplotlib.rc_context({"font.size": 31.0, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert write_report(studies("age")).read_bytes() == before
        assert matplotlib.rcParams["font.size"] == 31.0


def test_folds_show_each_training_and_the_pooled_numbers(reports: Reports) -> None:
    report = reports("folds")
    _, *rows = report.page.tables["Numbers by fold and seed"]
    trainings = ["fold-1, seed 3", "fold-2, seed 3"]
    assert [row[0] for row in rows] == ["pooled", *trainings, "mean over splits", "standard deviation over splits"]
    head, *units = report.page.tables["Score of each unit"]
    assert {row[head.index("Fold")] for row in units} == {"fold-1", "fold-2"}
    assert len(units) == 24
    assert "2 trainings over folds or seeds" in report.page.text


def test_a_folder_without_numbers_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="metrics"):
        write_report(tmp_path)
    assert not (tmp_path / REPORT_FILE).exists()
