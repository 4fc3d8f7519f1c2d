"""Gaussian process regression that weighs groups of an encoding's columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
    WhiteKernel,
)

from archenc.errors import InvalidParameter
from archenc.heads.gp import GaussianProcessHead
from archenc.heads.scaling import FURTHEST, VaryingColumns
from archenc.registry.rules import Count, Seed, Whole


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


class GroupedGaussianProcessHead(GaussianProcessHead):
    """The posterior mean of a Gaussian process whose kernel has a length scale for each group of columns.

    The kernel is a Matern-5/2 (:class:`GroupedMatern`) + b z·z' + noise, on
    standardised encodings. Its hyper-parameters are the mode of their posterior under log-normal priors: l_g
    around sqrt(G d_g), the typical distance in d_g varying columns of G groups. With few architectures that
    keeps apart groups of features of unlike sizes, which one length scale for all mixes, and with priors the
    search needs no restarts.

    Args:
        groups: the lengths of the groups in an encoding, for each cell again; empty for a single group.
        side_columns: how many columns at the end are one more group, for the architecture as a whole;
            :meth:`archenc.Predictor.fit` sets it where ``groups`` are given and there is side information.
        search_size, random_state: as in :class:`archenc.heads.gp.GaussianProcessHead`.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.grouped_gp import GroupedGaussianProcessHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> targets = encodings[:, 0].astype(float)
        >>> head = GroupedGaussianProcessHead(groups=[2, 1]).fit(encodings, targets, MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    paper = (
        "Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, sections 4.2.1, "
        "5.1 and 5.4, https://gaussianprocess.org/gpml"
    )

    def __init__(
        self,
        *,
        groups: Sequence[Count] = (),
        side_columns: Whole = 0,
        search_size: Count = 450,
        random_state: Seed | None = None,
    ) -> None:
        super().__init__(search_size=search_size, random_state=random_state)
        self.groups = groups
        self.side_columns = side_columns

    def _scaler(self, encodings: np.ndarray) -> VaryingColumns:
        return VaryingColumns(encodings, FURTHEST)

    def _group_of(self, dim: int) -> np.ndarray:
        """Int (dim,): the group of each column."""
        if self.side_columns >= dim:
            raise InvalidParameter(
                f"the head 'grouped-gp' got side_columns = {self.side_columns} for encodings of {dim} "
                "numbers; give how many of them are "
                "side information"
            )
        ends = np.cumsum(self.groups or [dim])
        of_cells = np.searchsorted(ends, np.arange(dim - self.side_columns) % ends[-1], side="right")
        return np.concatenate([of_cells, np.full(self.side_columns, of_cells.max() + 1)])

    def _kernel(self, dim: int) -> Kernel:
        group_of = self._group_of(dim)
        matern = GroupedMatern(np.full(group_of.max() + 1, np.sqrt(dim)), group_of)
        linear = ConstantKernel(0.1 / dim, (1e-9, 1e3)) * DotProduct(0.0, "fixed")
        return ConstantKernel(1.0, (1e-3, 1e3)) * matern + linear + WhiteKernel(0.1, (1e-5, 1e1))

    def _search(self, encodings: np.ndarray, targets: np.ndarray) -> np.ndarray:
        rows = np.random.RandomState(self.random_state).permutation(len(targets))[: self.search_size]
        scaler = self._scaler(encodings)
        columns = np.maximum(np.bincount(self._group_of(encodings.shape[1]), weights=scaler.varies), 1)
        scales = np.log(np.sqrt(columns * len(columns)))
        priors = LogNormalPriors(
            means=[0.0, *scales, np.log(0.1 / columns.sum()), np.log(0.1)],
            deviations=[1.0, *np.ones(len(scales)), 1.5, 1.2],
        )
        kernel = self._kernel(encodings.shape[1]).clone_with_theta(priors.means)
        process = GaussianProcessRegressor(kernel, optimizer=priors, normalize_y=True)
        with warnings.catch_warnings():  # an optimum at a bound is a fine answer, for example no noise at all
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(scaler.transform(encodings[rows]), targets[rows])
        return np.asarray(process.kernel_.theta)
