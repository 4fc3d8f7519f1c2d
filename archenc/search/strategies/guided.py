"""Search that is guided by a predictor of the final accuracy."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from archenc.predictor import Predictor
from archenc.registry.rules import Count, Part
from archenc.search.base import State, Strategy
from archenc.search.models import best_first, can_learn, checked_predictor, evolved, fitted, pool


class PredictorGuided(Strategy):
    """The best of many by a predictor (Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme
    for Predictor-based NAS, ECCV 2020, section 3.3).

    ``initial`` random architectures come first. Then, at each asking, the predictor is fitted on everything
    that was trained, and the best by its scores are asked for.

    Deviations from the paper: the predictor is fitted anew each time and not trained on; where all candidates
    can be scored, they are, and no inner search leaves any out.

    Args:
        predictor: a :class:`archenc.Predictor`, or its parameters; None for ``Predictor("auto")``.
        initial: random architectures before the first fit.
        inner: ``"random"`` scores all of a list, or random architectures and the neighbours of the best;
            ``"evolution"`` an evolutionary search by the scores.
        pool: how many are scored at an asking.
        explore: share of the architectures that are drawn at random.
    """

    paper: ClassVar[str] = "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme, ECCV 2020"

    def __init__(
        self,
        predictor: Predictor | dict[str, Any] | None = None,
        initial: Count = 20,
        inner: Literal["random", "evolution"] = "random",
        pool: Count = 50_000,
        explore: Part = 0.0,
    ) -> None:
        self.predictor = checked_predictor(predictor)
        self.initial = initial
        self.inner = inner
        self.pool = pool
        self.explore = explore

    def propose(self, state: State, count: int) -> list[int]:
        numbers, means = state.trained()
        y = means[:, 0]
        bold = state.draw(round(count * self.explore))
        first = min(count, max(0, self.initial - state.count))
        if first == count or not can_learn(y):
            return state.draw(count)
        model = fitted(self.predictor or {}, state, numbers, y)

        def score(some: np.ndarray) -> np.ndarray:
            scores: np.ndarray = model.predict(state.candidates.graphs(some))
            return scores

        some = (
            pool(state, numbers, y, self.pool)
            if self.inner == "random"
            else evolved(state, score, numbers, y, self.pool)
        )
        best = best_first(some, score(some), count) if len(some) else []
        return [*[at for at in best if at not in bold][: count - len(bold)], *bold]


class TwoStage(Strategy):
    """Two stages, random architectures and then the best by a predictor of them (Wen et al., Neural Predictor
    for Neural Architecture Search, ECCV 2020, section 2).

    Args:
        predictor: a :class:`archenc.Predictor`, or its parameters; None for the paper's network.
        first: N, architectures of the first stage.
        pool: how many random architectures are scored at most.
    """

    paper: ClassVar[str] = "Wen et al., Neural Predictor for Neural Architecture Search, ECCV 2020"

    def __init__(
        self, predictor: Predictor | dict[str, Any] | None = None, first: Count = 100, pool: Count = 50_000
    ) -> None:
        self.predictor = checked_predictor(predictor, PAPERS_NETWORK)
        self.first = first
        self.pool = pool

    def propose(self, state: State, count: int) -> list[int]:
        numbers, means = state.trained()
        numbers, y = numbers[: self.first], means[: self.first, 0]
        first = min(count, max(0, self.first - state.count))
        if first or not can_learn(y):
            return state.draw(first or count)
        model = fitted(self.predictor or {}, state, numbers, y)
        some = pool(state, numbers, y, self.pool)
        return best_first(some, model.predict(state.candidates.graphs(some)), count) if len(some) else []


PAPERS_NETWORK: dict[str, Any] = {"encoder": "neural-predictor", "head": "mlp", "loss": "mse", "epochs": 300}
