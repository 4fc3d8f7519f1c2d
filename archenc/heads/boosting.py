"""Gradient-boosted trees under any loss on scores, through LightGBM and XGBoost."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import RandomState

from archenc.errors import CorruptFile, InvalidParameter
from archenc.files.sealed import saved_arrays, saved_numbers, under
from archenc.heads.base import EstimatorHead
from archenc.heads.saved_boosters import SavedBooster, read_lightgbm, read_xgboost
from archenc.heads.scaling import without_noise
from archenc.heads.trees import in_a_row
from archenc.losses import ScoreLoss
from archenc.registry.rules import Count, Few, Fraction, NotNegative, Positive, Seed, TreeDepth

Objective = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

LEAST_CURVATURE = 1e-6


def newton_terms(loss: ScoreLoss, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and a positive curvature for each architecture.

    The curvature is the loss's Hessian diagonal, kept above ``LEAST_CURVATURE``. A loss that has none at all,
    the hinge loss, gets ones: first-order gradient boosting (Friedman, Greedy Function Approximation: A
    Gradient Boosting Machine, Annals of Statistics 2001).
    """
    gradient, hessian = loss.derivatives(scores, targets)
    return gradient, np.maximum(hessian, LEAST_CURVATURE) if hessian.any() else np.ones_like(hessian)


class BoostingHead(EstimatorHead):
    """Trees that are added one by one, each a Newton step on the loss.

    Every loss goes through the same custom objective. The start is one Newton step from zero for all
    architectures alike: the mean of the targets under MSE, and zero under losses that see only differences of
    scores. Runs on one thread, and gives the same trees for the same ``random_state``.

    With ``bags``, as many further models are fitted on bootstrap samples, which takes as many times longer
    and does not change what is predicted. The variance of a prediction is then that of their scores and,
    where scores are in the units of the targets, the noise: how much larger the mean squared error on
    architectures that a bag has not seen is than the variance of the bags there.

    Args:
        n_estimators: number of trees.
        learning_rate: factor on each tree.
        max_depth: greatest depth of a tree, at most 16, which makes 65,536 leaves.
        subsample: share of the architectures that each tree sees, at least one.
        colsample: share of the encoding's columns that each tree sees.
        reg_lambda: L2 penalty on the leaves' values.
        bags: models on bootstrap samples, for standard deviations: at least 2, 10 say a lot; 0 for none.
        random_state: seed of the samples of architectures and columns.
    """

    start_: float
    booster_: Any
    saved_: SavedBooster | None = None
    bags_: list[BoostingHead]
    noise_: float

    def __init__(
        self,
        *,
        n_estimators: Count = 600,
        learning_rate: Positive = 0.04,
        max_depth: TreeDepth = 4,
        subsample: Fraction = 0.7,
        colsample: Fraction = 0.4,
        reg_lambda: NotNegative = 1.0,
        bags: Few = 0,
        random_state: Seed | None = None,
    ) -> None:
        if bags == 1:
            raise InvalidParameter(
                f"the head {type(self).__name__} got bags = 1, which differs from nothing; give at least 2, "
                "or 0"
            )
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.subsample = subsample
        self.colsample = colsample
        self.reg_lambda = reg_lambda
        self.bags = bags
        self.has_std = bags > 0
        self.random_state = random_state

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: ScoreLoss) -> BoostingHead:
        gradient, hessian = newton_terms(loss, np.zeros(len(targets)), targets)
        self.start_ = float(-gradient.sum() / hessian.sum())
        self.saved_ = None
        seed = self._seed()
        self.booster_ = self._boost(
            without_noise(encodings), lambda raw: newton_terms(loss, self.start_ + raw, targets), seed
        )
        self.bags_, self.noise_ = [], 0.0
        if self.bags:
            self._fit_bags(encodings, targets, loss, RandomState(seed))
        return self

    def _fit_bags(
        self, encodings: np.ndarray, targets: np.ndarray, loss: ScoreLoss, rng: RandomState
    ) -> None:
        rows = rng.randint(len(targets), size=(self.bags, len(targets)))
        self.bags_ = [
            bag.fit(encodings[at], targets[at], loss) for bag, at in zip(self._new_bags(), rows, strict=True)
        ]
        scores = np.stack([bag.predict(encodings) for bag in self.bags_])
        unseen = np.stack([~np.isin(np.arange(len(targets)), at) for at in rows])
        if unseen.any() and not loss.ranks and loss.to_targets(scores) is scores:
            excess = (scores - targets) ** 2 - scores.var(0)
            self.noise_ = math.sqrt(max(float(excess[unseen].mean()), 0.0))

    def _new_bags(self) -> list[BoostingHead]:
        bags = [copy.copy(self) for _ in range(self.bags)]
        for number, bag in enumerate(bags):
            bag.bags, bag.has_std, bag.random_state = 0, False, number
        return bags

    def _seed(self) -> int:
        return int(RandomState().randint(2**31)) if self.random_state is None else self.random_state

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        raw = self._raw(encodings) if self.saved_ is None else self.saved_.raw(encodings)
        return self.start_ + np.asarray(raw, dtype=np.float64)

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.has_std:
            return super().predict_distribution(encodings)
        mean = self.predict(encodings)
        return mean, np.hypot(np.std([bag.predict(encodings) for bag in self.bags_], axis=0), self.noise_)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        model = self._dump() if self.saved_ is None else self.saved_.model
        arrays: dict[str, np.ndarray] = {"model": np.frombuffer(model, dtype=np.uint8)}
        values: dict[str, Any] = {"start": self.start_, **({"noise": self.noise_} if self.bags_ else {})}
        for number, (bag_arrays, bag_values) in enumerate(bag.state() for bag in self.bags_):
            arrays |= {f"bag.{number}.{name}": array for name, array in bag_arrays.items()}
            values |= {f"bag.{number}.{name}": value for name, value in bag_values.items()}
        return arrays, values

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> BoostingHead:
        of_bags = tuple(f"bag.{number}." for number in range(self.bags))
        own_values = {name: value for name, value in values.items() if not name.startswith(of_bags)}
        self.start_, *noise = saved_numbers(own_values, "start", *(["noise"] if self.bags else []))
        self.noise_ = sum(noise)
        self.bags_ = [
            bag.restore(under(f"bag.{number}", arrays), under(f"bag.{number}", values))
            for number, bag in enumerate(self._new_bags())
        ]
        own = {name: array for name, array in arrays.items() if not name.startswith(of_bags)}
        (model,) = saved_arrays(own, {"model": ((None,), "u")})
        try:
            self.saved_ = self._parse(model.tobytes())
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            reason = f"{type(error).__name__}: {error!s:.80}"
            raise CorruptFile(
                f"the saved {type(self).__name__} cannot be read ({reason}); train and save it again"
            ) from error
        return self

    def takes(self, dim: int) -> bool:
        return (self.saved_ is None or self.saved_.columns in (None, dim)) and all(
            bag.takes(dim) for bag in self.bags_
        )

    @abstractmethod
    def _boost(self, encodings: np.ndarray, objective: Objective, seed: int) -> Any:
        """The fitted model of the library."""

    @abstractmethod
    def _raw(self, encodings: np.ndarray) -> Any:
        """Sums of the trees."""

    @abstractmethod
    def _dump(self) -> bytes:
        """The model in the library's own exchange format."""

    @abstractmethod
    def _parse(self, model: bytes) -> SavedBooster:
        """The model that :meth:`_dump` wrote."""


class LightGBMHead(BoostingHead):
    """Boosting by LightGBM; parameters as in :class:`BoostingHead`.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.boosting import LightGBMHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> targets = encodings[:, 0].astype(float)
        >>> head = LightGBMHead(n_estimators=10, random_state=0).fit(encodings, targets, MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    paper = (
        "Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 2017, "
        "https://papers.nips.cc/paper/6907"
    )

    def _boost(self, encodings: np.ndarray, objective: Objective, seed: int) -> Any:
        import lightgbm

        if (encodings == encodings[0]).all():
            return None  # LightGBM cannot be trained where no column varies
        parameters = {
            "objective": lambda raw, _: objective(raw),
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "num_leaves": 2**self.max_depth,
            "bagging_fraction": self.subsample
            if self.subsample * len(encodings) >= 1
            else 1.5 / len(encodings),  # at least one
            "bagging_freq": 1,
            "feature_fraction": self.colsample,
            "lambda_l2": self.reg_lambda,
            # the defaults, 20 and 3, would forbid every split of some 40 architectures
            "min_data_in_leaf": 2,
            "min_data_in_bin": 1,
            # LightGBM stops where it finds nothing to split, as with 3 architectures
            "feature_pre_filter": False,
            "seed": seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        return lightgbm.train(parameters, lightgbm.Dataset(encodings), num_boost_round=self.n_estimators)

    def _raw(self, encodings: np.ndarray) -> Any:
        return (
            np.zeros(len(encodings))
            if self.booster_ is None
            else self.booster_.predict(encodings, raw_score=True, num_threads=1)
        )

    def _dump(self) -> bytes:
        return b"" if self.booster_ is None else str(self.booster_.model_to_string()).encode()

    def _parse(self, model: bytes) -> SavedBooster:
        trees, columns = read_lightgbm(model) if model else (in_a_row([]), None)
        return SavedBooster(model, trees, columns, np.dtype(np.float64))


class XGBoostHead(BoostingHead):
    """Boosting by XGBoost; parameters as in :class:`BoostingHead`.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.boosting import XGBoostHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> targets = encodings[:, 0].astype(float)
        >>> head = XGBoostHead(n_estimators=10, random_state=0).fit(encodings, targets, MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    paper = "Chen and Guestrin, XGBoost: A Scalable Tree Boosting System, KDD 2016, arXiv:1603.02754"

    def _boost(self, encodings: np.ndarray, objective: Objective, seed: int) -> Any:
        import xgboost

        parameters = {
            "base_score": 0.0,
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "reg_lambda": self.reg_lambda,
            "seed": seed,
            "nthread": 1,
            "verbosity": 0,
        }
        data = xgboost.DMatrix(encodings, nthread=1)
        return xgboost.train(
            parameters, data, num_boost_round=self.n_estimators, obj=lambda raw, _: objective(raw)
        )

    def _raw(self, encodings: np.ndarray) -> Any:
        import xgboost

        return self.booster_.predict(xgboost.DMatrix(encodings, nthread=1), output_margin=True)

    def _dump(self) -> bytes:
        return bytes(self.booster_.save_raw("ubj"))

    def _parse(self, model: bytes) -> SavedBooster:
        return SavedBooster(model, *read_xgboost(model), np.dtype(np.float32))
