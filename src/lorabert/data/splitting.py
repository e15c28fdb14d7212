"""Set a share of the examples aside: seeded, stratified by label, with equal texts and equal groups kept together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np


def holdout(labels: Sequence[int], groups: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split row indices in two, the second side holding about `share` of each label.

    Rows of one group stay together; a group counts for the label that most of its rows have. Within a label the groups are
    shuffled and taken while the share is not yet reached, never the last one: a label with a single group stays on the
    first side, so that every label can be learned. Where so many labels are small that their shares round down to less than
    half of what is wanted of all, one group each of some more of them is taken, drawn at random, until the share is reached.

    Args:
        labels: label of each row, (n,).
        groups: group of each row, (n,).
        share: of the rows of each label, between 0 and 1.
        seed: of the shuffle.

    Returns:
        Row indices of the first and of the second side, each in the original order.
    """
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    strata: defaultdict[int, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        strata[Counter(labels[row] for row in rows).most_common(1)[0][0]].append(rows)
    generator = np.random.default_rng(seed)
    aside: set[int] = set()
    for label in sorted(strata):
        aside.update(_taken(strata[label], share, generator))
    wanted = share * len(labels)
    if len(aside) < wanted / 2:
        _add_small(strata, aside, wanted, generator)
    kept = [row for row in range(len(labels)) if row not in aside]
    return kept, sorted(aside)


def together(*groupings: Sequence[Hashable]) -> list[int]:
    """One grouping of rows that keeps together what any of several does: of each row the number of its group.

    Args:
        groupings: of each row its group, (n,) each.
    """
    leader: list[int] = list(range(len(groupings[0])))

    def first(row: int) -> int:
        while leader[row] != row:
            leader[row] = row = leader[leader[row]]
        return row

    for groups in groupings:
        seen: dict[Hashable, int] = {}
        for row, group in enumerate(groups):
            one, other = first(seen.setdefault(group, row)), first(row)
            leader[max(one, other)] = min(one, other)
    return [first(row) for row in range(len(leader))]


def folds(labels: Sequence[int], groups: Sequence[Hashable], k: int, seed: int) -> list[np.ndarray]:
    """Row indices of k parts of like size, stratified by label as far as groups allow, which stay together; seeded.

    Args:
        labels: label of each row, (n,).
        groups: group of each row, (n,).
        k: parts, at most as many as there are groups.
        seed: of the shuffle.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    place = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    kinds = np.array([place[group] for group in groups])
    # It refuses where every label has fewer rows than parts; then the labels cannot be stratified by.
    strata = np.asarray(labels) if np.bincount(labels).max() >= k else np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rare label that stands in some parts only
        parts = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(kinds, strata, kinds)
        return [held for _, held in parts]


def _taken(groups: list[list[int]], share: float, generator: np.random.Generator) -> list[int]:
    wanted = share * sum(map(len, groups))
    taken: list[int] = []
    for index in generator.permutation(len(groups))[:-1]:
        if len(taken) + len(groups[index]) / 2 > wanted:
            continue
        taken += groups[index]
    return taken


def _add_small(strata: dict[int, list[list[int]]], aside: set[int], wanted: float, generator: np.random.Generator) -> None:
    """Take a group each of the labels in a random order, where one more is left, until enough rows are aside."""
    for label in generator.permutation(sorted(strata)).tolist():
        left = [rows for rows in strata[label] if rows[0] not in aside]
        chosen = left[int(generator.integers(len(left)))]
        if len(left) > 1 and len(aside) + len(chosen) / 2 <= wanted:
            aside.update(chosen)


def sample(num_rows: int, size: int, seed: int) -> list[int]:
    """A seeded sample of row indices without replacement, in the original order."""
    if size >= num_rows:
        return list(range(num_rows))
    return sorted(np.random.default_rng(seed).choice(num_rows, size, replace=False).tolist())
