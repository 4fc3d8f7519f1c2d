"""Strategies without a model: random search, regularised (aging) evolution, local search."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archenc.registry.rules import Count
from archenc.search.base import State, Strategy

ATTEMPTS = 100
"""Tournaments until a child is found that may be asked for."""


class RandomSearch(Strategy):
    """Architectures drawn at random, none twice (Li, Talwalkar: Random Search and Reproducibility for Neural
    Architecture Search, UAI 2019).

    Of a list each is as likely as the others; of a space that is not listed, as its ``sample`` says.
    """

    paper: ClassVar[str] = "Li, Talwalkar: Random Search and Reproducibility for NAS, UAI 2019"
    objectives: ClassVar[str] = "any"

    def propose(self, state: State, count: int) -> list[int]:
        return state.draw(count)


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


class LocalSearch(Strategy):
    """Hill climbing (White, Nolen, Savani: Exploring the Loss Landscape in Neural Architecture Search, UAI
    2021, algorithm 1, which moves at the first improvement: "query until lower").

    ``initial`` random architectures come first. Then the neighbours of the best one are trained in random
    order until one is better, whose neighbours follow. Where all of them were trained, this is a local
    optimum, and a random architecture begins another climb.

    Deviations from the paper: a climb moves also to what others told, if that is better; of several
    architectures that are asked for at once, all are neighbours of the same one.

    Args:
        initial: random architectures before the first climb.
    """

    paper: ClassVar[str] = "White, Nolen, Savani: Exploring the Loss Landscape in NAS, UAI 2021"

    def __init__(self, initial: Count = 10) -> None:
        self.initial = initial

    def propose(self, state: State, count: int) -> list[int]:
        first = state.draw(min(count, max(0, self.initial - state.count)))
        here = self._place(state)
        if here is None or len(first) == count:
            return first
        near = state.rng.permutation(state.candidates.neighbours(here))
        return [*first, *(at for at in state.fresh(near) if at not in first)][:count]

    def _place(self, state: State) -> int | None:
        """Where the climb stands: the climbs so far are followed from the first training on."""
        good = np.isfinite(state.y[:, 0])
        numbers, y = state.numbers[good].tolist(), state.y[good, 0].tolist()
        if not numbers:
            return None
        at = int(np.argmax(y[: self.initial]))
        known = set(state.numbers[: self.initial].tolist())
        for step in range(self.initial, len(numbers)):
            if y[step] > y[at]:
                at = step
            elif numbers[step] not in (near := self._near(state, numbers[at])) and near <= known:
                at = step  # all neighbours were known: this began another climb
            known.add(numbers[step])
        return int(numbers[at])

    @staticmethod
    def _near(state: State, number: int) -> set[int]:
        return set(state.candidates.neighbours(number).tolist())
