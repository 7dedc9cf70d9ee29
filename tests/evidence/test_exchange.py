"""Permutations that leave groups whole and stay within strata."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.evidence.exchange import exchanged_rows

GROUPS = np.array(["a", "b", "b", "c", "d", "d", "e", "e", "f"])
STRATA = np.array([0, 0, 1, 1, 1, 0, 0, 0, 0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_groups_trade_places_with_groups_of_the_same_make(seed):
    rows = exchanged_rows(GROUPS, STRATA, 40, seed)
    for permutation in rows:
        assert sorted(permutation) == list(range(9))
        np.testing.assert_array_equal(STRATA[permutation], STRATA)
        for group in np.unique(GROUPS):
            assert len(set(GROUPS[permutation[group == GROUPS]])) == 1


def test_every_exchange_is_drawn_and_no_other():
    rows = exchanged_rows(GROUPS, STRATA, 300, 0)
    sources = {GROUPS[row]: set(GROUPS[rows[:, row]]) for row in range(9)}
    assert sources == {"a": {"a", "f"}, "f": {"a", "f"}, "b": {"b", "d"}, "d": {"b", "d"}, "c": {"c"}, "e": {"e"}}
    free = exchanged_rows(GROUPS, None, 300, 0)
    assert set(GROUPS[free[:, 0]]) == {"a", "c", "f"}


def test_the_seed_decides():
    np.testing.assert_array_equal(exchanged_rows(GROUPS, None, 9, 5), exchanged_rows(GROUPS, None, 9, 5))
    assert (exchanged_rows(GROUPS, None, 9, 5) != exchanged_rows(GROUPS, None, 9, 6)).any()
