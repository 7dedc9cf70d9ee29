"""Rows of windows from an evaluator's state."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine

from monai_tff.contract import Target
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError
from monai_tff.handlers.window_rows import RECORD_COLUMNS, WindowRows, read_windows
from monai_tff.inferers.temporal import TemporalInferer

SEX = Target("sex", "binary", ("F", "M"))
DIAGNOSIS = Target("diagnosis", "multiclass", ("control", "a", "b"))


def _engine(scores: Any, **record: Any) -> Engine:
    engine = Engine(lambda engine, batch: None)
    engine.state.batch = {key: [value] for key, value in {"scan": "a.nii.gz", "subject": "01", **record}.items()}
    engine.state.output = {"pred": torch.as_tensor(scores, dtype=torch.float32)}
    return engine


def test_record_and_scores_become_rows() -> None:
    rows = WindowRows(DIAGNOSIS)
    scores = [[0.5, 0.25, 0.25], [0.0, 0.25, 0.75]]
    engine = _engine(scores, session="2", run="1", group="f", label=2)
    engine.state.output["window_starts"] = [0, 13]
    rows.add(engine)
    table = rows.gather()
    assert table.to_dict("list") == {
        "subject": ["01", "01"],
        "session": ["2", "2"],
        "run": ["1", "1"],
        "group": ["f", "f"],
        "scan": ["a.nii.gz", "a.nii.gz"],
        "window": [0, 13],
        "truth": [2.0, 2.0],
        "score_0": [0.5, 0.0],
        "score_1": [0.25, 0.25],
        "score_2": [0.25, 0.75],
    }


def test_starts_come_from_the_inferer() -> None:
    frames = torch.as_tensor(np.random.default_rng(0).normal(size=(11, 3, 4, 5)).astype(np.float32))
    scan = CompactScan.from_frames(frames, torch.ones(3, 4, 5, dtype=torch.bool))
    engine: Any = _engine([[0.1], [0.2], [0.3]], image=scan)
    engine.inferer = TemporalInferer(window_length=4)
    rows = WindowRows(SEX)
    rows.add(engine)
    assert rows.gather()["window"].tolist() == [0, 4, 7]


def test_unknown_label_group_and_starts() -> None:
    rows = WindowRows(SEX)
    rows.add(_engine([[0.1], [0.2]]))
    table = rows.gather()
    assert table["truth"].isna().all()
    assert table["group"].tolist() == ["01", "01"]
    assert table["window"].tolist() == [0, 1]


def test_a_window_counts_once_and_order_does_not_matter() -> None:
    rows = WindowRows(SEX)
    for subject in ("02", "01", "02"):
        rows.add(_engine([[0.1], [0.2]], subject=subject, scan=f"{subject}.nii", label=1.0))
    table = rows.gather()
    assert table[["scan", "window"]].to_numpy().tolist() == [["01.nii", 0], ["01.nii", 1], ["02.nii", 0], ["02.nii", 1]]
    rows.reset()
    assert rows.gather().empty


@pytest.mark.parametrize("scores", [[[0.1, 0.2]], [0.1], [[0.1], [0.2], [0.3]]])
def test_scores_of_another_shape(scores: Any) -> None:
    engine = _engine(scores)
    engine.state.output["window_starts"] = torch.tensor([0])
    with pytest.raises(ValueError, match=r"a\.nii\.gz: the scores are of shape .* each of the 1 windows and 1 columns"):
        WindowRows(SEX).add(engine)


def test_several_scans_in_a_batch() -> None:
    engine = _engine([[0.1]])
    engine.state = SimpleNamespace(batch={"scan": ["a", "b"]}, output=engine.state.output)
    with pytest.raises(ValueError, match="one whole scan, found 2"):
        WindowRows(SEX).add(engine)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    row = {"subject": "NA", "session": "007", "run": "", "group": "1e3", "scan": "a.nii", "window": 3, "truth": None}
    pd.DataFrame([{**row, "score": 0.25}]).to_csv(tmp_path / "windows.csv", index=False)
    table = read_windows(tmp_path / "windows.csv", SEX)
    assert table[list(RECORD_COLUMNS)].iloc[0].tolist() == ["NA", "007", "", "1e3", "a.nii"]
    assert table["truth"].isna().all()
    assert table[["window", "score"]].iloc[0].tolist() == [3, 0.25]
    with pytest.raises(ConfigError, match=r"absent/windows\.csv: cannot be read .*, expected the windows"):
        read_windows(tmp_path / "absent" / "windows.csv", SEX)
