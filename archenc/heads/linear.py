"""Ridge regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.files.sealed import saved_arrays, saved_numbers
from archenc.heads.base import SquaredErrorHead
from archenc.heads.scaling import VaryingColumns
from archenc.losses import Loss
from archenc.registry.rules import NotNegative, Seed


class RidgeHead(SquaredErrorHead):
    """Linear regression with an L2 penalty: the least sum of (y - w z - b)² + alpha |w|², z being
    standardised encodings.

    Args:
        alpha: strength of the penalty; b is not penalised.
        random_state: unused, as the solution is unique.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.linear import RidgeHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> head = RidgeHead().fit(encodings, encodings[:, 0].astype(float), MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    paper = (
        "Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, Technometrics "
        "1970, doi:10.1080/00401706.1970.10488634"
    )

    coefficients_: np.ndarray
    intercept_: float

    def __init__(self, *, alpha: NotNegative = 1.0, random_state: Seed | None = None) -> None:
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> RidgeHead:
        from sklearn.linear_model import Ridge  # takes a while, and predictions do without

        scaler = VaryingColumns(encodings)
        ridge = Ridge(alpha=self.alpha).fit(scaler.transform(encodings), targets)
        self.coefficients_ = ridge.coef_ / scaler.scale
        self.intercept_ = float(ridge.intercept_ - scaler.mean @ self.coefficients_)
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        return np.asarray(encodings.astype(np.float64) @ self.coefficients_ + self.intercept_)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return {"coefficients": self.coefficients_}, {"intercept": self.intercept_}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> RidgeHead:
        (self.coefficients_,) = saved_arrays(arrays, {"coefficients": ((None,), "f")})
        (self.intercept_,) = saved_numbers(values, "intercept")
        return self

    def takes(self, dim: int) -> bool:
        return len(self.coefficients_) == dim
