"""BANANAS."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from archenc.predictor import Predictor
from archenc.registry.rules import Count
from archenc.search.base import State
from archenc.search.models import PARENTS, checked_predictor
from archenc.search.strategies.bayesian import BayesianOptimisation

BANANAS_ENSEMBLE: dict[str, Any] = {
    "encoder": "path",
    "head": "mlp-ensemble",
    "loss": "mae",
    "label_transform": "standardize",
}


class BANANAS(BayesianOptimisation):
    """BANANAS (White, Neiswanger, Savani: BANANAS: Bayesian Optimization with Neural Architectures for Neural
    Architecture Search, AAAI 2021, algorithm 1).

    An ensemble of networks on the path encoding, independent Thompson sampling, and mutations of the best
    architectures as candidates.

    Deviations from the paper: the loss is the mean absolute error on standardised labels where the paper
    divides it by the distance to a lower bound of the validation error.

    Args:
        predictor: the ensemble; None for the paper's.
        initial: t0, random architectures before the first fit.
        pool: c, mutations that are scored at an asking.
    """

    paper: ClassVar[str] = "White, Neiswanger, Savani: BANANAS, AAAI 2021"

    def __init__(
        self, predictor: Predictor | dict[str, Any] | None = None, initial: Count = 10, pool: Count = 100
    ) -> None:
        super().__init__(checked_predictor(predictor, BANANAS_ENSEMBLE), "thompson", "best", initial, pool)

    def some(self, state: State, numbers: np.ndarray, y: np.ndarray) -> np.ndarray:
        return mutations(state, numbers, y, self.pool)


def mutations(state: State, numbers: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """int64: random neighbours of the best trained architectures, the best parents first, none taken; random
    architectures where these are too few.
    """
    found: dict[int, None] = {}
    for parent in numbers[np.argsort(-y, kind="stable")[: max(PARENTS, count)]]:
        near = state.rng.permutation(state.candidates.neighbours(int(parent)))
        found |= dict.fromkeys(state.fresh(near)[: max(1, count // PARENTS * 2)])
        if len(found) >= count:
            break
    return np.array([*found, *state.draw(max(0, count - len(found)), found)][:count], dtype=np.int64)
