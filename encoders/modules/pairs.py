"""Pairs of architectures of similar cost, to learn from what both have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from archenc.graphs import ArchGraphs

PairBatch = tuple[ArchGraphs, ArchGraphs]


@dataclass(frozen=True)
class Pairs:
    """Examples of two architectures each: ``pairs[index]`` is a batch of the first and one of the others.

    Attributes:
        graphs: prepared architectures.
        members: int64 (P, 2), positions of both in ``graphs``.
    """

    graphs: ArchGraphs
    members: Tensor

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: Tensor, /) -> PairBatch:
        first, second = self.members[index].unbind(1)
        return self.graphs[first], self.graphs[second]


def similar_pairs(costs: np.ndarray, delta: float, k: int, rng: np.random.Generator) -> np.ndarray:
    """Up to k partners of similar cost for each architecture (Yan et al., ICML 2021, section 3).

    In the order of the costs, equal ones in the order given, the window of an architecture is all earlier
    ones that cost at most ``delta`` less. Its partners are k distinct ones of the window, drawn evenly, or
    the whole window where it holds no more. An architecture whose window is empty begins no pair, but can be
    a partner.

    Args:
        costs: (N,), what a network of each architecture costs.
        delta: width of the window, in the unit of the costs.
        k: most partners of an architecture.
        rng: draws the partners.

    Returns:
        int64 (P, 2): positions of an architecture and of its partner.
    """
    order = np.argsort(costs, kind="stable")
    ordered = costs[order]
    place = np.arange(len(costs))
    window = place - np.searchsorted(ordered, ordered - delta, side="left")
    # Floyd's sample without replacement, in all windows at once: step t draws up to `last`, and takes `last`
    # for what it has; in a window of fewer than k this gives 0 to k - 1, and those beyond it are dropped
    back = np.empty((len(costs), k), dtype=np.int64)
    for t in range(k):
        last = np.maximum(window - k, 0) + t
        drawn = rng.integers(0, last + 1)
        known = (back[:, :t] == drawn[:, None]).any(1)
        back[:, t] = np.where(known, last, drawn)
    at, step = np.nonzero(back < window[:, None])
    return np.stack([order[at], order[at - 1 - back[at, step]]], axis=1)
