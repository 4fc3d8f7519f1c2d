"""BANANAS and NAS-BOWL: Bayesian optimisation with mutations of the best as candidates."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from archenc.predictor import Predictor
from archenc.registry.rules import Count, Few
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


class NASBOWL(BayesianOptimisation):
    """NAS-BOWL (Ru, Wan, Dong, Osborne: Interpretable Neural Architecture Search via Bayesian Optimisation
    with Weisfeiler-Lehman Kernels, ICLR 2021, algorithm 1).

    A Gaussian process with the Weisfeiler-Lehman subtree kernel, expected improvement, and a pool of half
    mutations of the best architectures, half random ones.

    Args:
        iterations: h, the depth of the subtrees.
        initial: random architectures before the first fit.
        pool: B, architectures that are scored at an asking.
    """

    paper: ClassVar[str] = "Ru, Wan, Dong, Osborne: NAS-BOWL, ICLR 2021"

    def __init__(self, iterations: Few = 2, initial: Count = 10, pool: Count = 200) -> None:
        super().__init__(None, "ei", "best", initial, pool)
        self.iterations = iterations

    def model(self, state: State) -> dict[str, Any]:
        space = state.candidates.space
        simplify = space.op_on == "edge" or space.none_op is not None or space.skip_op is not None
        kernel = {"encoder_params": {"iterations": self.iterations}, "head_params": {"kernel": "linear"}}
        return {"encoder": "wl", "head": "gp", "loss": "mse", "simplify": simplify, **kernel}

    def some(self, state: State, numbers: np.ndarray, y: np.ndarray) -> np.ndarray:
        near = mutations(state, numbers, y, self.pool // 2)
        drawn = state.draw(self.pool - len(near), near.tolist())
        return np.array([*near, *drawn], dtype=np.int64)


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
