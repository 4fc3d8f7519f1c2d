"""NAS-BOWL."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from archenc.registry.rules import Count, Few
from archenc.search.base import State
from archenc.search.strategies.bananas import mutations
from archenc.search.strategies.bayesian import BayesianOptimisation


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
