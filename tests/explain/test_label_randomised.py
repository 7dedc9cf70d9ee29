from __future__ import annotations

from collections import Counter

import pytest

from monai_tff.data.datalist import load_datalist, write_datalist
from monai_tff.explain.label_randomised import permuted_datalist


def labels(content, section):
    return {record["image"]: record["label"] for record in content[section]}


@pytest.mark.parametrize("target", ["sex", "age"])
def test_labels_are_dealt_out_anew_and_nothing_else_changes(cohort, tmp_path, target):
    content = load_datalist(cohort.datalists[target])
    permuted = permuted_datalist(content, seed=3)
    for section in ("training", "validation"):
        before, after = labels(content, section), labels(permuted, section)
        assert before != after
        assert Counter(before.values()) == Counter(after.values())
        assert [{**r, "label": None} for r in content[section]] == [{**r, "label": None} for r in permuted[section]]
    assert content["test"] == permuted["test"]
    write_datalist(permuted, tmp_path / "permuted.json")
    assert load_datalist(tmp_path / "permuted.json")["split"]["hash"] != content["split"]["hash"]
    assert permuted_datalist(content, seed=3) == permuted


def test_scans_of_a_subject_keep_one_label(cohort):
    content = load_datalist(cohort.datalists["sex"])
    second = [{**r, "image": r["image"] + "2", "session": "2"} for r in content["training"]]
    content["training"] = [{**r, "session": "1"} for r in content["training"]] + second
    of_subject = Counter((r["subject"], r["label"]) for r in permuted_datalist(content, seed=3)["training"])
    assert set(of_subject.values()) == {2}


def test_sessions_swap_where_labels_differ_within_subjects(cohort):
    content = load_datalist(cohort.datalists["age"])
    second = [{**r, "image": r["image"] + "2", "session": "2", "label": r["label"] + 2} for r in content["training"]]
    content["training"] = [{**r, "session": "1"} for r in content["training"]] + second
    permuted = permuted_datalist(content, seed=3)
    assert Counter(labels(content, "training").values()) == Counter(labels(permuted, "training").values())
    apart = [
        permuted["training"][i + len(second)]["label"] - permuted["training"][i]["label"] for i in range(len(second))
    ]
    assert set(apart) != {2}
