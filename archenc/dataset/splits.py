"""Splits of a data set as explicit index arrays with a content hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from archenc.errors import InvalidParameter
from archenc.files.values import as_positions
from archenc.registry.rules import Seed, Whole, checked


@dataclass(frozen=True, eq=False)
class Split:
    """A training pool and a test set, as positions in a data set.

    Attributes:
        name: what the split is called in results.
        pool: int64 (P,), positions from which training sets are drawn, in a meaningful order.
        test: int64 (T,), positions that are scored; never trained on, unless
        overlapping: whether positions may be in both, as in protocols that score the training architectures
            too.

    Raises:
        InvalidParameter: a position stands twice, or in both halves though ``overlapping`` is False.
    """

    name: str
    pool: np.ndarray
    test: np.ndarray
    overlapping: bool = False

    def __post_init__(self) -> None:
        for half in ("pool", "test"):
            positions = as_positions(getattr(self, half), f"the {half} of the split {self.name!r}")
            if len(np.unique(positions)) < len(positions):
                raise InvalidParameter(
                    f"the {half} of the split {self.name!r} has a position twice; give each position once"
                )
            object.__setattr__(self, half, positions)
        if not self.overlapping and np.intersect1d(self.pool, self.test).size:
            raise InvalidParameter(
                f"the split {self.name!r} has architectures in both halves; make them disjoint"
            )

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of both index arrays."""
        parts = (np.ascontiguousarray(part, dtype="<i8").tobytes() for part in (self.pool, self.test))
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def training_subset(self, size: int, seed: int) -> np.ndarray:
        """Positions of a training set: the first ``size`` of ``RandomState(seed).permutation(pool)``.

        Smaller training sets of one seed are therefore parts of larger ones.
        """
        size, seed = (
            checked("the training set", "size", size, int),
            checked("the training set", "seed", seed, Seed),
        )
        if not 1 <= size <= len(self.pool):
            raise InvalidParameter(
                f"a training set of {size} cannot be drawn from a pool of {len(self.pool)}; choose 1 to "
                f"{len(self.pool)}"
            )
        return np.random.RandomState(seed).permutation(self.pool)[:size]


def halves(rows: np.ndarray | int, seed: int = 0, *, groups: np.ndarray | None = None) -> Split:
    """Random halves of ``rows`` (positions, or N for 0 to N - 1).

    The first half of ``RandomState(seed).permutation(rows)`` (the larger one for odd counts) is the pool, the
    rest the test set.

    With ``groups``, positions of one group stay together, so that isomorphic architectures are not on both
    sides: groups go to the pool in the order in which the permutation meets them, as long as the pool gets no
    larger than that half; those that do not fit go to the test set. Where every group has one member, these
    are the same halves as without.

    Args:
        rows: the positions.
        seed: of the permutation.
        groups: (M,) the group of each position of the data set.

    Raises:
        InvalidParameter: a position without a group, or groups all of which are larger than half.
    """
    order = _permuted(rows, seed)
    cut = (len(order) + 1) // 2
    if groups is None:
        return Split(f"halves-{seed}", order[:cut], order[cut:])
    if order.max(initial=-1) >= len(groups):
        raise InvalidParameter(
            f"position {order.max()} has no group, as there are {len(groups)}; give one for each position"
        )
    pool = _whole_groups(groups[order], cut)
    if len(order) and not pool.any():
        raise InvalidParameter(
            f"every group has more than half of the {len(order)} architectures; split them without groups"
        )
    return Split(f"halves-{seed}-grouped", order[pool], order[~pool])


def _rows(rows: np.ndarray | int) -> np.ndarray:
    """int64 (n,): the given positions, or 0 to N - 1."""
    return (
        np.arange(checked("the split", "rows", rows, Whole))
        if np.ndim(rows) == 0
        else as_positions(rows, "the rows of the split")
    )


def _permuted(rows: np.ndarray | int, seed: int) -> np.ndarray:
    return np.random.RandomState(checked("the split", "seed", seed, Seed)).permutation(_rows(rows))


def _whole_groups(groups: np.ndarray, room: int) -> np.ndarray:
    """Bool (N,): the members of groups taken in order of appearance, each that still fits in ``room``
    places.
    """
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    taken = np.zeros(len(sizes), dtype=bool)
    for number in np.argsort(first):
        if sizes[number] <= room:
            taken[number] = True
            room -= sizes[number]
    members: np.ndarray = taken[group]
    return members


def without_twins(split: Split, groups: np.ndarray) -> Split:
    """The split without the positions of its pool whose group, (M,) for all positions, is also in the test
    set.

    Raises:
        InvalidParameter: nothing would be left of the pool.
    """
    pool = split.pool[~np.isin(groups[split.pool], groups[split.test])]
    if len(split.pool) and not len(pool):
        raise InvalidParameter(
            f"every architecture of the pool of {split.name!r} is also in its test set; choose another split"
        )
    return Split(f"{split.name}-grouped", pool, split.test)


def holdout(rows: np.ndarray | int, test_size: int, seed: int = 0) -> Split:
    """``test_size`` random ones of ``rows`` (positions, or N for 0 to N - 1) as test set.

    They are the last of ``RandomState(seed).permutation(rows)``; the rest is the pool.

    Raises:
        InvalidParameter: nothing would be left on one side.
    """
    order = _permuted(rows, seed)
    test_size = checked("the split", "test_size", test_size, int)
    if not 1 <= test_size < len(order):
        raise InvalidParameter(
            f"a test set of {test_size} cannot be cut from {len(order)} architectures; choose 1 to "
            f"{len(order) - 1}"
        )
    return Split(f"holdout-{test_size}-{seed}", order[:-test_size], order[-test_size:])


def everything(rows: np.ndarray | int) -> Split:
    """All ``rows`` (positions, or N for 0 to N - 1) as pool and as test set, the training architectures
    included (TNASP, NeurIPS 2021).
    """
    positions = _rows(rows)
    return Split("all", positions, positions, overlapping=True)
