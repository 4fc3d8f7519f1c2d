"""Regularised (aging) evolution."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archenc.registry.rules import Count
from archenc.search.base import State, Strategy

ATTEMPTS = 100
"""Tournaments until a child is found that may be asked for."""


class RegularizedEvolution(Strategy):
    """Regularised evolution (Real et al., Regularized Evolution for Image Classifier Architecture Search,
    AAAI 2019, algorithm 1).

    ``population_size`` random architectures come first. Then, again and again, the best of ``sample_size``
    random members of the population has a child, which differs from it by one change; the child joins and the
    oldest member dies. The defaults are those of arch2vec's comparison (NeurIPS 2020, section 4.3).

    Deviations from the paper: the population is the last ``population_size`` trainings that did not fail,
    whoever proposed them; a child that may not be asked for again is not born, another one is; all neighbours
    of the parent are equally likely, isomorphic ones counting once.

    Args:
        population_size: P of the paper.
        sample_size: S of the paper, members of a tournament.
    """

    paper: ClassVar[str] = (
        "Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019"
    )

    def __init__(self, population_size: Count = 30, sample_size: Count = 10) -> None:
        self.population_size = population_size
        self.sample_size = sample_size

    def propose(self, state: State, count: int) -> list[int]:
        good = np.isfinite(state.y[:, 0])
        numbers, y = (column[good][-self.population_size :] for column in (state.numbers, state.y[:, 0]))
        first = max(0, self.population_size - state.count)
        children: dict[int, None] = dict.fromkeys(state.draw(min(first, count)))
        for _ in range(ATTEMPTS * count if len(numbers) else 0):
            if len(children) >= count:
                break
            members = state.rng.choice(len(numbers), min(self.sample_size, len(numbers)), replace=False)
            parent = int(numbers[members[np.argmax(y[members])]])
            near = state.candidates.neighbours(parent)
            child = int(near[state.rng.integers(len(near))]) if len(near) else -1
            if child >= 0 and child not in state.taken and child not in children:
                children[child] = None
        return list(children)
