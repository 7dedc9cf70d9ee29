"""Names in MLflow and the words of its errors; what it holds of a run is in tests/end_to_end/test_mlflow.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_tff.handlers.mlflow_run import names_of, no_usage_statistics, reason_of


@pytest.mark.parametrize(
    ("run_dir", "expected"),
    [
        ("/data/runs/my_study/finetune", ("my_study", "finetune")),
        ("/data/my_folds/fold-1/seed-0/finetune", ("my_folds", "fold-1/seed-0/finetune")),
        ("/data/my_folds/site-Prisma/seed-12/transformer", ("my_folds", "site-Prisma/seed-12/transformer")),
        ("/run", ("run", "run")),
        ("/seed-1/run", ("seed-1", "run")),
    ],
)
def test_names_are_those_of_the_study_and_of_the_folder_in_it(run_dir: str, expected: tuple[str, str]) -> None:
    assert names_of(Path(run_dir)) == expected


def test_a_reason_is_one_line_without_a_password() -> None:
    error = OSError("HTTP request to https://ada:secret@host:5000/api failed.\nTraceback of ada:secret")
    assert reason_of(error) == "HTTP request to https://host:5000/api failed"
    assert reason_of(OSError()) == "OSError"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "true"), ("false", "false")])
def test_usage_statistics_are_off_unless_the_user_wants_them(
    chosen: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chosen is None:
        monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    else:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", chosen)
    no_usage_statistics()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == expected
