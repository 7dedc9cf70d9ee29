from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.data.cohorts.families import family_groups, joined_families

BLANK = st.sampled_from([None, "", " ", "n/a", "NaN"])
IDENTIFIER = st.one_of(BLANK, st.sampled_from(["1", "2", "3", "4", "5", "51488_81352"]))
MEMBERS = st.dictionaries(st.integers(0, 99).map(str), st.tuples(IDENTIFIER, IDENTIFIER, IDENTIFIER), max_size=12)


def known(identifiers: tuple[str | None, ...]) -> set[tuple[int, str]]:
    """Kind and ID of everyone that is not blank."""
    words = (None, "", " ", "n/a", "NaN")
    return {(kind, value) for kind, value in enumerate(identifiers) if value is not None and value not in words}


@pytest.mark.parametrize(
    ("members", "groups"),
    [
        ({}, {}),
        ({"1": ["a"], "2": ["b"], "3": ["a"]}, {"1": "family-1", "2": "family-2", "3": "family-1"}),
        # mother 5 and father 5 are two people
        ({"1": [None, "5", None], "2": [None, None, "5"]}, {"1": "family-1", "2": "family-2"}),
        # half siblings: 1 and 2 by the mother, 2 and 3 by the father
        (
            {"3": ["c", "m2", "f1"], "2": ["b", "m1", "f1"], "1": ["a", "m1", "f2"]},
            {"3": "family-1", "2": "family-1", "1": "family-1"},
        ),
        ({"1": ["", None, "n/a"], "2": [" ", "nan", ""]}, {"1": "sub-1", "2": "sub-2"}),
        ({"1": ["52259", ""], "2": ["52259.0", ""]}, {"1": "family-1", "2": "family-1"}),
        ({"1": ["", "7"], "2": ["8", ""]}, {"1": "family-1", "2": "family-2"}),
    ],
)
def test_groups(members: dict[str, list[str | None]], groups: dict[str, str]) -> None:
    assert family_groups(members) == groups


@given(MEMBERS)
def test_subjects_that_share_anyone_share_a_group(members: dict[str, tuple[str | None, ...]]) -> None:
    groups = family_groups(members)
    assert list(groups) == list(members)
    for first, second in combinations(members, 2):
        if known(members[first]) & known(members[second]):
            assert groups[first] == groups[second]


@given(MEMBERS)
def test_groups_are_no_larger_than_the_links_make_them(members: dict[str, tuple[str | None, ...]]) -> None:
    """Spreading out from a subject over shared IDs reaches its whole group, and nobody else."""
    groups = family_groups(members)
    for subject in members:
        reached, people = {subject}, set(known(members[subject]))
        while True:
            more = {other for other in members if known(members[other]) & people} - reached
            if not more:
                break
            reached |= more
            people |= set().union(*(known(members[other]) for other in more))
        assert reached == {other for other in members if groups[other] == groups[subject]}


@given(MEMBERS)
def test_a_subject_without_any_id_is_alone(members: dict[str, tuple[str | None, ...]]) -> None:
    groups = family_groups(members)
    for subject in members:
        assert (groups[subject] == f"sub-{subject}") == (not known(members[subject]))


@given(MEMBERS, st.randoms(use_true_random=False))
def test_the_order_of_the_table_does_not_matter(members: dict[str, tuple[str | None, ...]], random: Random) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)
    assert family_groups({subject: members[subject] for subject in shuffled}) == family_groups(members)


@given(MEMBERS, st.permutations(["1", "2", "3", "4", "5"]))
def test_names_of_families_are_not_passed_on(members: dict[str, tuple[str | None, ...]], names: list[str]) -> None:
    """Renaming all families and parents changes nothing."""
    renamed = {
        subject: tuple(names["12345".index(value)] if value in tuple("12345") else value for value in identifiers)
        for subject, identifiers in members.items()
    }
    assert family_groups(renamed) == family_groups(members)


@pytest.mark.parametrize(
    ("families", "joined"),
    [
        ([], {}),
        ([[], ["b"], ["a"]], {"b": "b", "a": "a"}),
        ([["d", "c"], ["b", "a"], ["e"], ["c", "b", "c"]], {**dict.fromkeys("dcba", "a"), "e": "e"}),
    ],
)
def test_families_that_share_a_subject_are_one(families: list[list[str]], joined: dict[str, str]) -> None:
    assert joined_families(families) == joined
    assert joined_families(families[::-1]) == joined
