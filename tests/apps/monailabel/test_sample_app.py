"""MONAI Label's own app for bundles, `monaibundle`, takes exported bundles too; optional: it needs torchvision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def test_the_sample_app_loads_exported_bundles(exports: Callable[[str], Any], tmp_path: Path) -> None:
    made = [exports(kind) for kind in ("sex", "age", "reconstruction")]
    words = [sys.executable, str(HERE / "sample_app.py"), str(tmp_path), *(str(bundle.folder) for bundle in made)]
    environment = {**os.environ, "PYTHONPATH": str(Path(sys.prefix) / "torchvision")}
    run = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    models = json.loads((tmp_path / "info.json").read_text())["models"]
    assert set(models) == {bundle.name for bundle in made}
    for bundle in made:
        metadata = json.loads((bundle.folder / "configs" / "metadata.json").read_text())
        found = models[bundle.name]
        assert [found["version"], found["description"]] == [metadata["version"], metadata["description"]]
        assert found["config"]["model_filename"] == ["model.pt"]
