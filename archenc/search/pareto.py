"""Which of many candidates come first where several numbers are to be high at once."""

from __future__ import annotations

import numpy as np

from archenc.errors import DataNotFound


def leading(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``count`` of N rows (N, M), all M columns to be high.

    Whole fronts come one after the other: the rows that no other one dominates, then those that only these
    dominate, and so on. From a front that is too large the least crowded rows are taken. A front is ordered
    by the first column.

    Returns:
        int64 (count,): positions; int64 (count,): the front of each, from 1.
    """
    if values.shape[1] == 1:
        best = np.argsort(-values[:, 0], kind="stable")[:count]
        return best, np.ones(len(best), dtype=np.int64)
    left = np.lexsort(-values.T[::-1])
    positions, fronts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    while len(left) and len(positions) < count:
        front = first_front(values[left])
        members, missing = left[front], count - len(positions)
        if len(members) > missing:
            members = members[np.sort(np.argsort(-crowding(values[members]), kind="stable")[:missing])]
        positions = np.concatenate([positions, members])
        fronts = np.concatenate([fronts, np.full(len(members), 1 + fronts.max(initial=0))])
        left = np.delete(left, front)
    return positions, fronts


def hypervolume(values: np.ndarray, worst: np.ndarray) -> float:
    """How much of the space above ``worst`` (M,) rows (N, M) dominate, all M columns to be high: 1.0 for a
    row that is one above it in each column (Zitzler, Thiele: Multiobjective Evolutionary Algorithms, IEEE
    TEC 1999).

    Raises:
        DataNotFound: pymoo, which computes it, is not installed.
    """
    try:
        from pymoo.indicators.hv import HV  # type: ignore[import-untyped]
    except ImportError:
        raise DataNotFound(
            "a hypervolume needs the package pymoo, which is not installed; run: pip install "
            '"archenc[search]"'
        ) from None
    return float(HV(ref_point=-worst)(-values))


def first_front(values: np.ndarray) -> np.ndarray:
    """Positions of the rows that no other one dominates, of rows in descending order (by the first column,
    then by the second, ...).
    """
    left, found = np.arange(len(values)), [np.empty(0, dtype=np.int64)]
    while len(left):
        highest = values[left[0]]  # what dominated it would stand before it
        found.append(left[(values[left] == highest).all(1)])
        left = left[(values[left] > highest).any(1)]
    return np.concatenate(found)


def crowding(values: np.ndarray) -> np.ndarray:
    """(n,): how far apart the neighbours of a row are, summed over the columns; infinite at their ends.

    Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE TEC 2002, section III.B.
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order, width = np.argsort(column, kind="stable"), np.ptp(column)
        if width > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
            distance[order[[0, -1]]] = np.inf
    return distance
