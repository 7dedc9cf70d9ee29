"""Families: who must not be split between training and test, from the IDs of family, mother and father."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from monai_tff.data.targets import canonical, is_missing


def family_groups(members: Mapping[str, Sequence[str | None]]) -> dict[str, str]:
    """Groups subjects that share a family, a mother or a father, directly or through others.

    Args:
        members: for each subject the IDs of its family, mother and father, in an order that is the same for all. The
            place tells the kind: mother 5 and father 5 are two people. A blank is unknown, and never shared.

    Returns:
        The group of each subject: `family-` and the first of its subjects in alphabetical order, so that the IDs of
        families (restricted data of HCP) are not passed on; `sub-` and the subject where all its IDs are blank.

    Example:
        >>> family_groups({"1": ["a", None], "2": ["a", "5"], "3": [None, "5"], "4": [None, None]})
        {'1': 'family-1', '2': 'family-1', '3': 'family-1', '4': 'sub-4'}
    """
    relatives: dict[tuple[int, str], int] = {}
    edges: list[tuple[int, int]] = []
    for number, identifiers in enumerate(members.values()):
        for kind, identifier in enumerate(identifiers):
            if not is_missing(identifier):
                # tables that went through a spreadsheet write the ID 52259 as 52259.0
                node = relatives.setdefault((kind, canonical(identifier)), len(members) + len(relatives))
                edges.append((number, node))
    size = len(members) + len(relatives)
    ends = np.array(edges, dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    component = connected_components(graph, directed=False)[1][: len(members)] if members else []
    family = dict(zip(members, component, strict=True))
    first: dict[int, str] = {}
    for subject in sorted(members):
        first.setdefault(family[subject], subject)
    return {
        subject: f"sub-{subject}" if all(map(is_missing, members[subject])) else f"family-{first[family[subject]]}"
        for subject in members
    }


def joined_families(families: Iterable[Sequence[str]]) -> dict[str, str]:
    """Puts families together that tables give to one subject.

    Args:
        families: IDs of the families of each subject, one for each table that knows it.

    Returns:
        Each family to the first, in alphabetical order, of those that it is one with.

    Example:
        >>> joined_families([["a", "y"], ["y"], ["b"]])
        {'a': 'a', 'y': 'a', 'b': 'b'}
    """
    known = [list(dict.fromkeys(same)) for same in families]
    first = {name: name for same in known for name in same}

    def first_of(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    for same in known:
        leaders = sorted({first_of(name) for name in same})
        first.update(dict.fromkeys(leaders, leaders[0]) if leaders else {})
    return {name: first_of(name) for name in first}
