from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_tff.report import find_caveats, gather_material
from monai_tff.report.html import element, write


def changed(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}))


def not_run(folder: Path) -> str:
    found = find_caveats(gather_material(folder))
    return " ".join(write(element("p", *sentence)) for sentence in found.not_run)


@pytest.fixture
def folder(studies: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(studies("sex"), tmp_path / "sex" / "finetune"))


def test_warnings_of_every_step_are_collected_once(folder: Path) -> None:
    before = find_caveats(gather_material(folder))
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    assert set(metrics["warnings"]) <= set(before.warnings)
    assert metrics["warnings"]  # six test subjects are few
    changed(folder / "evaluation" / "metrics.json", pretraining_overlap="unknown", warnings=["twice.", "twice."])
    changed(folder / "calibration.json", fitted=False, reason="a test", warnings=["the temperature is at its bound."])
    (folder / "explain").mkdir(exist_ok=True)
    changed(folder / "explain" / "explain.json", warnings=["completeness: missed."])
    found = find_caveats(gather_material(folder))
    assert found.warnings[0].startswith("Pretraining overlap: unknown.")
    assert found.warnings.count("twice.") == 1
    assert "Calibration: the temperature is at its bound." in found.warnings
    assert "completeness: missed." in found.warnings
    assert found.number == len(found.flags) + len(found.warnings)


def test_steps_that_were_not_run_are_named_with_their_command(folder: Path) -> None:
    for step in ("baselines", "controls", "explain"):
        shutil.rmtree(folder / step, ignore_errors=True)
    (folder / "calibration.json").unlink(missing_ok=True)
    text = not_run(folder)
    for name in ("baseline finetune", "explain finetune", "run EXPERIMENT --folds all"):
        assert f"<code>python -m monai_tff {name}</code>" in text
    assert "No baseline was run" in text
    assert "frames in random order" in text
    assert "not fitted on the validation subjects" in text


def test_a_datalist_that_is_gone_is_said(folder: Path) -> None:
    config = folder / "configs" / "evaluate.yaml"
    config.write_text(config.read_text().replace("datalist_sex.json", "gone.json"))
    material = gather_material(folder)
    assert material.runs == {"single": None}
    assert any("gone.json" in sentence for sentence in find_caveats(material).notes)
