"""Gaussian process regression."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Kernel, WhiteKernel
from sklearn.preprocessing import StandardScaler

from archenc.errors import InvalidParameter
from archenc.heads.base import EstimatorHead, rejects_all_but_squared_error
from archenc.losses import Loss

KERNEL_VALUES_PER_BLOCK = 4_000_000
"""Kernel values that :meth:`GaussianProcessHead.predict` holds at once: 32 MB."""


class GaussianProcessHead(EstimatorHead):
    """The posterior mean of a Gaussian process, with hyper-parameters of the highest marginal likelihood.

    The kernel is c exp(-|z - z'|² / (2 l²)) + v [z is z'], on standardised encodings z, plus d z·z' for ``"rbf+linear"``. The search starts
    from l = sqrt(dim), the typical distance, and from ``restarts`` random points more.

    Args:
        kernel: ``"rbf"`` or ``"rbf+linear"``.
        restarts: further starting points of the search.
        search_size: with more training architectures than this, hyper-parameters are sought on that many of them, drawn at random; the
            process itself is always conditioned on all.
        random_state: seed of that draw and of the restarts.

    Raises:
        InvalidParameter: an unknown kernel.
    """

    paper = "Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, sections 2.2 and 5.4"

    scaler_: StandardScaler
    process_: GaussianProcessRegressor

    def __init__(
        self,
        *,
        kernel: Literal["rbf", "rbf+linear"] = "rbf",
        restarts: int = 1,
        search_size: int = 500,
        random_state: int | None = None,
    ) -> None:
        if kernel not in ("rbf", "rbf+linear"):
            raise InvalidParameter(f"the head 'gp' has no kernel {kernel!r}; choose 'rbf' or 'rbf+linear'")
        self.kernel = kernel
        self.restarts = restarts
        self.search_size = search_size
        self.random_state = random_state

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        return rejects_all_but_squared_error(loss)

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> GaussianProcessHead:
        return self._condition(encodings, targets, self._search(encodings, targets))

    def _kernel(self, dim: int) -> Kernel:
        kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(np.sqrt(dim), (1e-2 * np.sqrt(dim), 1e2 * np.sqrt(dim)))
        if self.kernel == "rbf+linear":
            kernel += ConstantKernel(0.1 / dim, (1e-5 / dim, 1e3 / dim)) * DotProduct(0.0, "fixed")
        return kernel + WhiteKernel(0.1, (1e-5, 1e1))

    def _search(self, encodings: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Logarithms of the kernel's hyper-parameters."""
        rows = np.random.RandomState(self.random_state).permutation(len(targets))[: self.search_size]
        process = GaussianProcessRegressor(
            self._kernel(encodings.shape[1]), normalize_y=True, n_restarts_optimizer=self.restarts, random_state=self.random_state
        )
        with warnings.catch_warnings():  # an optimum at a bound is a fine answer, for example no noise at all
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(StandardScaler().fit(encodings.astype(np.float64)).transform(encodings[rows]), targets[rows])
        return np.asarray(process.kernel_.theta)

    def _condition(self, encodings: np.ndarray, targets: np.ndarray, theta: np.ndarray) -> GaussianProcessHead:
        self.encodings_, self.targets_, self.theta_ = encodings, targets, theta
        self.scaler_ = StandardScaler().fit(encodings.astype(np.float64))
        kernel = self._kernel(encodings.shape[1]).clone_with_theta(theta)
        self.process_ = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        self.process_.fit(self.scaler_.transform(encodings), targets)
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        rows = max(1, KERNEL_VALUES_PER_BLOCK // len(self.targets_))
        blocks = (encodings[start : start + rows] for start in range(0, len(encodings), rows))
        return np.concatenate([np.zeros(0), *(self.process_.predict(self.scaler_.transform(block)) for block in blocks)])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return {"encodings": self.encodings_, "targets": self.targets_, "theta": self.theta_}, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> GaussianProcessHead:
        return self._condition(arrays["encodings"], arrays["targets"], arrays["theta"])
