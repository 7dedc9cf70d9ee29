"""The numbers of an evaluation are read back as they were said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from monai_tff.bundle.written_result import closing_lines, read_metrics, target_of_metrics
from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation

SEX = Target("sex", "binary", ("F", "M"))


def windows(truths: list[float]) -> pd.DataFrame:
    rows = [
        {**{"subject": f"{n}", "session": None, "group": f"{n}", "scan": f"{n}.nii", "window": 0}, "truth": truth}
        for n, truth in enumerate(truths)
    ]
    return pd.DataFrame(rows).assign(run=None, score=[0.1 + 0.05 * n for n in range(len(truths))])


@pytest.mark.parametrize("truths", [[0, 1, 0, 1, 1, 0, 1], [1, 1, 1]], ids=["both classes", "one class"])
def test_the_same_lines(truths: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With numbers that are not defined, warnings, and what the ledger knew."""
    monkeypatch.setenv("MONAI_TFF_LEDGER", str(tmp_path / "ledger.jsonl"))
    settings = EvaluationSettings(SEX, bootstrap_samples=30, pretraining_overlap="unknown", test_set="ab" * 32)
    said = write_evaluation(tmp_path / "evaluation", windows(truths), settings)
    assert closing_lines(tmp_path / "evaluation") == said


@pytest.mark.parametrize(("content", "message"), [("{", "cannot be read"), ("[1]", "holds a list")])
def test_a_damaged_file(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_metrics(tmp_path)


def test_numbers_of_a_reconstruction_have_no_target() -> None:
    with pytest.raises(ConfigError, match=r"metrics.json: has no target \('target'\)"):
        target_of_metrics({"values": {}})
