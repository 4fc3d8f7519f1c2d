"""A Matern kernel with one length scale for each group of an encoding's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import (
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
)


class GroupedMatern(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """Matern-5/2 of a distance that weighs groups of columns: k = (1 + q + q²/3) exp(-q), q² = 5 sum_g |z_g -
    z'_g|² / l_g².

    Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, equation 4.17; automatic
    relevance determination (section 5.1) by group.

    Args:
        length_scale: l_g, (G,); scikit-learn gives a single one as a number.
        groups: int (dim,), the group of each column.
        length_scale_bounds: of each l_g.
    """

    def __init__(
        self, length_scale: np.ndarray, groups: np.ndarray, length_scale_bounds: Any = (1e-3, 1e5)
    ) -> None:
        self.length_scale = length_scale
        self.groups = groups
        self.length_scale_bounds = length_scale_bounds

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """What scikit-learn searches."""
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds, np.size(self.length_scale))

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803
        squared = [
            self._squared(X, X if Y is None else Y, group) / scale**2
            for group, scale in enumerate(np.atleast_1d(self.length_scale))
        ]
        q = np.sqrt(5 * sum(squared))
        decay = np.exp(-q)
        values = (1 + q + q**2 / 3) * decay
        if not eval_gradient:
            return values
        slope = 5 / 3 * (1 + q) * decay  # d k / d log l_g, over the group's part of the squared distance
        return values, np.stack([slope * part for part in squared], axis=2)

    def _squared(self, a: np.ndarray, b: np.ndarray, group: int) -> np.ndarray:
        columns = self.groups == group
        distances: np.ndarray = cdist(a[:, columns], b[:, columns], "sqeuclidean")
        return distances


class LogNormalPriors:
    """Priors of kernel hyper-parameters and the search for their posterior mode, in the place of
    scikit-learn's optimiser.

    Args:
        means, deviations: of the logarithms.
    """

    def __init__(self, means: Sequence[float], deviations: Sequence[float]) -> None:
        self.means = np.asarray(means)
        self.deviations = np.asarray(deviations)

    def __call__(
        self, objective: Callable[..., tuple[float, np.ndarray]], initial: np.ndarray, bounds: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Minimise the negative log posterior from ``initial``; gives the mode and its value."""

        def negative_log_posterior(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = objective(theta, eval_gradient=True)
            z = (theta - self.means) / self.deviations
            return value + 0.5 * float(z @ z), slope + z / self.deviations

        found = minimize(
            negative_log_posterior,
            initial,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 60},
        )
        return found.x, float(found.fun)
