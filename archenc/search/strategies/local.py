"""Local search."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from archenc.registry.rules import Count
from archenc.search.base import State, Strategy


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
