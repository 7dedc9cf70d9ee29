from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from monai_tff.report.sections.what_was_done import changed_settings


def test_changed_settings_are_those_of_the_run(runs: Any, small: dict[str, Any]) -> None:
    found = {
        key: (default, used)
        for key, default, used in changed_settings(runs.finetune / "configs" / "train.yaml", "finetune")
    }
    assert found["hidden_size"] == ("2640", str(small["hidden_size"]))
    assert found["spatial_size"] == ("[75, 93, 81]", str(small["spatial_size"]))
    assert found["max_epochs"][1] == str(small["max_epochs"])
    assert not {"run_dir", "dataset_dir", "datalist", "device", "axis_codes", "imports"} & set(found)


def test_counts_are_those_of_the_datalist(reports: Callable[[str], SimpleNamespace], cohort: Any) -> None:
    datalist = json.loads(cohort.datalists["sex"].read_text())
    page = reports("sex").page
    head, *rows = page.tables["Scans and subjects of each section"]
    assert head == ["Section", "Scans", "Subjects", "Groups", "F", "M"]
    for name, scans, subjects, groups, *classes in rows:
        records = datalist[name]
        assert int(scans) == len(records)
        assert int(subjects) == len({record["subject"] for record in records})
        assert int(groups) == len({record["group"] for record in records})
        by_class = {(record["subject"], record["label"]) for record in records}
        assert [int(each) for each in classes] == [sum(label == name for _, label in by_class) for name in "FM"]
    assert datalist["split"]["hash"] in page.text
