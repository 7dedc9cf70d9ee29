"""The hash of a test set names its scans and its target, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.data import datalist as datalists
from monai_tff.data import test_set


def datalist(contents: list[str | None], **changes: Any) -> dict[str, Any]:
    records = [
        {"image": f"sub-{number}/bold.nii.gz", "subject": str(number), "label": "F", "content": content}
        for number, content in enumerate(contents)
    ]
    training = [{"image": "sub-x/bold.nii.gz", "subject": "x", "label": "M", "content": "c" * 64}]
    return {"name": "study", "target": {"name": "sex"}, "training": training, "test": records, **changes}


CONTENTS = ["a" * 64, "b" * 64, None]


@given(seed=st.integers(0, 2**32))
def test_the_order_of_records_and_the_other_sections_do_not_matter(seed: int) -> None:
    content, expected = datalist(CONTENTS), test_set.test_set_hash(datalist(CONTENTS))
    random.Random(seed).shuffle(content["test"])
    content["training"] = []
    content["validation"] = [*content["test"][:1]]
    assert test_set.test_set_hash(content) == expected
    assert len(expected) == 64


def test_known_contents_count_whatever_they_are_called() -> None:
    known, other = datalist(CONTENTS[:2]), datalist(CONTENTS[:2], name="another study")
    other["test"] = [{**record, "image": f"moved/{record['image']}", "label": "M"} for record in other["test"]]
    assert test_set.test_set_hash(other) == test_set.test_set_hash(known)


@pytest.mark.parametrize(
    "changed",
    [
        datalist(CONTENTS, name="another study"),  # the third scan is known by its place alone
        datalist(CONTENTS, target={"name": "age"}),
        datalist(CONTENTS[:2]),
        datalist(["a" * 64, "d" * 64, None]),
        datalist([*CONTENTS, None]),
    ],
    ids=["cohort", "target", "fewer", "another content", "more"],
)
def test_another_test_set_has_another_hash(changed: dict[str, Any]) -> None:
    assert test_set.test_set_hash(changed) != test_set.test_set_hash(datalist(CONTENTS))


def test_the_file_and_what_it_holds_are_the_same(cohort: Any) -> None:
    path = cohort.datalists["sex"]
    content = datalists.load_datalist(path)
    assert all(record["content"] for record in content["test"])
    assert test_set.test_set_hash(path) == test_set.test_set_hash(content)
    assert test_set.test_set_hash(path) != test_set.test_set_hash(cohort.datalists["age"])
