"""NSGA-II."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.registry.rules import Count, Part
from archenc.search.base import State, Strategy
from archenc.search.operators import Crossover, crossover, from_vectors, to_vectors
from archenc.search.pareto import crowding, leading
from archenc.spaces.base import Space
from archenc.spaces.genetic_cnn import WiredStageSpace
from archenc.spaces.nsga_net import NSGANetMicro

ATTEMPTS = 50
"""Couples for each child that is wanted, before random architectures take the place of those not found."""


class NSGA2(Strategy):
    """NSGA-II (Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE TEC 2002,
    section III; as a search of architectures: Lu et al., NSGA-Net, GECCO 2019, section 3).

    ``population_size`` random architectures come first. Then parents win binary tournaments, by their front
    and, within it, by how far apart their neighbours are. Where architectures are vectors of whole numbers
    (Genetic CNN, NSGA-Net, cells of a fixed wiring), parents exchange some of them with ``crossover``
    (:func:`archenc.search.operators.crossover`: genes of stages), and each child is changed in one place
    (:meth:`archenc.spaces.base.Space.mutate`); elsewhere children have one parent.

    Deviations from the paper: the population is the best of everything that was trained, by the same order;
    what may not be asked for again is not born.

    Args:
        population_size: N of the paper.
        crossover: share of the children that have two parents, where there is a vector.
    """

    paper: ClassVar[str] = "Deb et al., NSGA-II, IEEE Transactions on Evolutionary Computation 2002"
    objectives: ClassVar[str] = "any"

    def __init__(self, population_size: Count = 20, crossover: Part = 0.9) -> None:
        self.population_size = population_size
        self.crossover = crossover

    def propose(self, state: State, count: int) -> list[int]:
        numbers, values = state.trained()
        first = state.draw(min(count, max(0, self.population_size - state.count)))
        if len(first) == count or len(numbers) < 2:
            return first
        best, fronts = leading(values, self.population_size)
        order = _ranks(values[best], fronts)
        children: dict[int, None] = dict.fromkeys(first)
        for _ in range(ATTEMPTS):
            missing = count - len(children)
            if missing <= 0:
                break
            couples = state.rng.integers(len(best), size=(2, 2, max(8, missing)))
            winners = np.where(order[couples[0]] <= order[couples[1]], couples[0], couples[1])
            found = self._children(state, numbers[best[winners[0]]], numbers[best[winners[1]]])
            children |= dict.fromkeys(at for at in state.fresh(found) if at not in children)
        return list(children)[:count]

    def _children(self, state: State, mothers: np.ndarray, fathers: np.ndarray) -> list[int]:
        space = state.candidates.space
        parents = state.candidates.graphs(mothers).with_features(None).with_architecture_features(None)
        vectors = to_vectors(space, parents)
        if vectors is not None:
            others = to_vectors(space, state.candidates.graphs(fathers))
            assert others is not None
            kind, layout = _exchange(space, vectors.shape[1])
            crossed, _ = crossover(vectors, others, kind, **layout, seed=state.rng)
            couple = state.rng.random(len(vectors)) < self.crossover
            vectors = np.where(couple[:, None], crossed, vectors)
            with suppress(InvalidArchitecture):  # where a child is none of the space, all have one parent
                parents = space.validate(from_vectors(space, vectors))
        found: list[int] = state.candidates.find(space.mutate(parents, state.rng)).tolist()
        return found


def _ranks(values: np.ndarray, fronts: np.ndarray) -> np.ndarray:
    """The order of tournaments: by front, then the least crowded first; 0 is the best."""
    distance = np.zeros(len(values))
    for front in np.unique(fronts):
        distance[fronts == front] = crowding(values[fronts == front])
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.lexsort((-distance, fronts))] = np.arange(len(values))
    return ranks


def _exchange(space: Space, length: int) -> tuple[Crossover, dict[str, Any]]:
    if isinstance(space, WiredStageSpace):
        return "stages", {"stages": space.stage_lengths}
    if isinstance(space, NSGANetMicro):
        return "genes", {"stages": space.stage_lengths, "gene": 2}
    return "genes", {"stages": (length,)}
