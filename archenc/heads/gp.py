"""Gaussian process regression."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Kernel, WhiteKernel
from sklearn.preprocessing import Normalizer

from archenc.errors import CorruptFile
from archenc.files.sealed import saved_arrays, saved_numbers
from archenc.files.trusted import Field
from archenc.heads.base import SquaredErrorHead
from archenc.heads.scaling import VaryingColumns
from archenc.losses import Loss
from archenc.registry.rules import Count, Seed, Whole

KERNEL_VALUES_PER_BLOCK = 4_000_000
"""Kernel values, and numbers of the encodings, that :meth:`GaussianProcessHead.predict` holds at once: 32 MB
of each.
"""
MOST_ROWS = 2**14
"""Architectures on which a saved process is conditioned: a kernel of 2 GiB."""


class GaussianProcessHead(SquaredErrorHead):
    """The posterior mean of a Gaussian process, with hyper-parameters of the highest marginal likelihood.

    The kernel is c exp(-|z - z'|² / (2 l²)) + v [z is z'], on standardised encodings z, plus d z·z' for
    ``"rbf+linear"``. The search starts from l = sqrt(dim), the typical distance, and from ``restarts`` random
    points more. ``"linear"`` is c z·z' / (|z| |z'|) + v [z is z'] on encodings as they are: on histograms of
    Weisfeiler-Lehman labels it is the normalised subtree kernel (Shervashidze et al., JMLR 2011, section
    3.2), and the process the surrogate of NASBOWL (Ru et al., ICLR 2021).

    Args:
        kernel: ``"rbf"``, ``"rbf+linear"`` or ``"linear"``.
        restarts: further starting points of the search.
        search_size: with more training architectures than this, hyper-parameters are sought on that many of
            them, drawn at random; the process itself is always conditioned on all.
        random_state: seed of that draw and of the restarts.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.gp import GaussianProcessHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> head = GaussianProcessHead().fit(encodings, encodings[:, 0].astype(float), MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    has_std = True
    paper = (
        "Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, sections 2.2 and "
        "5.4, https://gaussianprocess.org/gpml"
    )

    scaler_: VaryingColumns | Normalizer
    process_: GaussianProcessRegressor

    def __init__(
        self,
        *,
        kernel: Literal["rbf", "rbf+linear", "linear"] = "rbf",
        restarts: Whole = 1,
        search_size: Count = 500,
        random_state: Seed | None = None,
    ) -> None:
        self.kernel = kernel
        self.restarts = restarts
        self.search_size = search_size
        self.random_state = random_state

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> GaussianProcessHead:
        return self._condition(encodings, targets, self._search(encodings, targets))

    def _scaler(self, encodings: np.ndarray) -> VaryingColumns | Normalizer:
        """What brings encodings to the scale on which the kernel is taken."""
        return (
            Normalizer().fit(encodings.astype(np.float64))
            if self.kernel == "linear"
            else VaryingColumns(encodings)
        )

    def _kernel(self, dim: int) -> Kernel:
        if self.kernel == "linear":
            return ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(0.0, "fixed") + WhiteKernel(0.1, (1e-5, 1e1))
        kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(
            np.sqrt(dim), (1e-2 * np.sqrt(dim), 1e2 * np.sqrt(dim))
        )
        if self.kernel == "rbf+linear":
            kernel += ConstantKernel(0.1 / dim, (1e-5 / dim, 1e3 / dim)) * DotProduct(0.0, "fixed")
        return kernel + WhiteKernel(0.1, (1e-5, 1e1))

    def _search(self, encodings: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Logarithms of the kernel's hyper-parameters."""
        rows = np.random.RandomState(self.random_state).permutation(len(targets))[: self.search_size]
        process = GaussianProcessRegressor(
            self._kernel(encodings.shape[1]),
            normalize_y=True,
            n_restarts_optimizer=self.restarts,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():  # an optimum at a bound is a fine answer, for example no noise at all
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(self._scaler(encodings).transform(encodings[rows]), targets[rows])
        return np.asarray(process.kernel_.theta)

    def _condition(
        self, encodings: np.ndarray, targets: np.ndarray, theta: np.ndarray
    ) -> GaussianProcessHead:
        self.encodings_, self.targets_, self.theta_ = encodings, targets, theta
        self.scaler_ = self._scaler(encodings)
        kernel = self._kernel(encodings.shape[1]).clone_with_theta(theta)
        self.process_ = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        self.process_.fit(self.scaler_.transform(encodings), targets)
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        rows = max(1, KERNEL_VALUES_PER_BLOCK // max(self.encodings_.shape))
        blocks = (encodings[start : start + rows] for start in range(0, len(encodings), rows))
        return np.concatenate(
            [np.zeros(0), *(self.process_.predict(self.scaler_.transform(block)) for block in blocks)]
        )

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._check_fitted()
        rows = max(1, KERNEL_VALUES_PER_BLOCK // max(self.encodings_.shape))
        blocks = (encodings[start : start + rows] for start in range(0, len(encodings), rows))
        pairs = [self.process_.predict(self.scaler_.transform(block), return_std=True) for block in blocks]
        mean, deviation = (np.concatenate([np.zeros(0), *(pair[part] for pair in pairs)]) for part in (0, 1))
        return mean, deviation

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return {"encodings": self.encodings_, "targets": self.targets_, "theta": self.theta_}, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> GaussianProcessHead:
        fields: dict[str, Field] = {
            "encodings": ((None, None), "f"),
            "targets": ((None,), "f"),
            "theta": ((None,), "f"),
        }
        encodings, targets, theta = saved_arrays(arrays, fields)
        saved_numbers(values)
        if not 0 < len(targets) == len(encodings) <= MOST_ROWS or encodings.shape[1] == 0:
            raise CorruptFile(
                f"a process on {len(encodings):,} encodings with {len(targets):,} targets cannot be "
                f"conditioned (at most {MOST_ROWS:,}, as "
                "the kernel holds a number for each pair); train and save again"
            )
        bounds = self._kernel(encodings.shape[1]).bounds
        if (
            theta.shape != (len(bounds),)
            or (theta < bounds[:, 0] - 1e-6).any()
            or (theta > bounds[:, 1] + 1e-6).any()
        ):
            raise CorruptFile(
                f"the hyper-parameters of the kernel {self.kernel!r} are out of their bounds; train and save "
                "again"
            )
        return self._condition(encodings, targets, theta)

    def takes(self, dim: int) -> bool:
        return int(self.encodings_.shape[1]) == dim
