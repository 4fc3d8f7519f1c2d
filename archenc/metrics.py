"""How well predicted scores rank architectures; every metric is a function ``metric(y_true, y_score)`` of two
finite (n,) arrays.

``y_true`` are labels (accuracies in percent, higher is better), ``y_score`` predictions, higher is better.
Where there are ties, the result does not depend on the order of the data:

* correlations treat them by their definitions (tau-b, mean ranks);
* "at k" metrics look at the k architectures with the highest predictions; where predictions are tied, those
  with the lower label are taken first, so a predictor that does not tell architectures apart gets no credit
  for luck.

A predictor with constant predictions does not rank, so its correlations, which are undefined, are 0 here.
With constant labels there is nothing to rank, and correlations and R² are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from archenc.errors import InvalidParameter, InvalidTable, UnknownName, hint
from archenc.files.values import as_numbers

Metric = Callable[[ArrayLike, ArrayLike], float]


def _checked(y_true: ArrayLike, y_score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, score = as_numbers(y_true, "the array of labels"), as_numbers(y_score, "the array of predictions")
    if true.ndim != 1 or true.shape != score.shape or not true.size:
        raise InvalidTable(
            f"labels have shape {true.shape} and predictions {score.shape}; give one of each for at least "
            "one architecture"
        )
    for name, values in (("labels", true), ("predictions", score)):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InvalidTable(
                f"{name}[{bad[0]}] is {values[bad[0]]} ({bad.size} such values in all); drop those "
                "architectures first"
            )
    return true, score


def _correlation(
    measure: Callable[[np.ndarray, np.ndarray], float], y_true: ArrayLike, y_score: ArrayLike
) -> float:
    true, score = _checked(y_true, y_score)
    if np.ptp(true) == 0:
        return float("nan")
    return 0.0 if np.ptp(score) == 0 else float(measure(true, score))


def kendall_tau(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Kendall's tau-b in [-1, 1]: (concordant - discordant) / sqrt((P - T)(P - U)).

    P is the number of all pairs, T and U the numbers of pairs tied in the labels and in the predictions
    (Kendall, The Treatment of Ties in Ranking Problems, Biometrika 1945). Takes O(n log n).
    """
    return _correlation(
        lambda true, score: stats.kendalltau(true, score, variant="b").statistic, y_true, y_score
    )


def spearman(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Spearman's rank correlation in [-1, 1]: Pearson's correlation of the ranks, ties getting their mean
    rank (Spearman 1904).
    """
    return _correlation(
        lambda true, score: _pearson(stats.rankdata(true), stats.rankdata(score)), y_true, y_score
    )


def pearson(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Pearson's linear correlation in [-1, 1]: covariance over the product of the standard deviations."""
    return _correlation(_pearson, y_true, y_score)


def _pearson(true: np.ndarray, score: np.ndarray) -> float:
    # the ranges are divided out first, as the variance of very small values underflows
    return float(np.corrcoef((true - true[0]) / np.ptp(true), (score - score[0]) / np.ptp(score))[0, 1])


def rmse(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Root of the mean squared error, in units of the labels."""
    true, score = _checked(y_true, y_score)
    return float(np.sqrt(np.mean((true - score) ** 2)))


def r2(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Coefficient of determination, 1 - sum (y - s)² / sum (y - mean y)²; 1 is perfect, 0 as good as the mean
    label.
    """
    true, score = _checked(y_true, y_score)
    if np.ptp(true) == 0:
        return float("nan")
    return float(1 - np.sum((true - score) ** 2) / np.sum((true - true.mean()) ** 2))


def _count(k: float, n: int) -> int:
    if isinstance(k, int | np.integer) and 1 <= k <= n:
        return int(k)
    if isinstance(k, float | np.floating) and 0 < k <= 1:
        return max(1, round(k * n))
    raise InvalidParameter(
        f"k = {k} of {n} architectures makes no sense; give a whole number from 1 to {n}, or a fraction up "
        "to 1.0"
    )


def _predicted_top(true: np.ndarray, score: np.ndarray, k: float) -> np.ndarray:
    """Positions of the k highest predictions; among equal predictions the lowest label comes first."""
    return np.lexsort((true, -score))[: _count(k, len(true))]


def _true_ranks(true: np.ndarray) -> np.ndarray:
    """1 + the number of strictly better architectures."""
    return np.asarray(stats.rankdata(-true, method="min"))


def precision_at_k(y_true: ArrayLike, y_score: ArrayLike, k: float = 10) -> float:
    """P@K in [0, 1]: the share of the top k by prediction that are among the top k by label.

    An architecture whose label equals the k-th best one counts as among them (Ning et al., TA-GATES, NeurIPS
    2022, section 5).

    Args:
        y_true: (n,) labels.
        y_score: (n,) predictions.
        k: a count (int), or a fraction of n (float in (0, 1], rounded to at least 1 architecture).
    """
    true, score = _checked(y_true, y_score)
    top = _predicted_top(true, score, k)
    return float(np.mean(_true_ranks(true)[top] <= len(top)))


def best_rank_at_k(y_true: ArrayLike, y_score: ArrayLike, k: float = 10) -> int:
    """N@K: the best true rank, from 1, among the top k by prediction (Ning et al., GATES, ECCV 2020, section
    4).

    A true rank is 1 + the number of strictly better labels; ``k`` as in :func:`precision_at_k`.
    """
    true, score = _checked(y_true, y_score)
    return int(_true_ranks(true)[_predicted_top(true, score, k)].min())


def worst_rank_at_k(y_true: ArrayLike, y_score: ArrayLike, k: float = 10) -> int:
    """The worst true rank, from 1, among the top k by prediction; ranks and ``k`` as in
    :func:`best_rank_at_k`.
    """
    true, score = _checked(y_true, y_score)
    return int(_true_ranks(true)[_predicted_top(true, score, k)].max())


def regret(y_true: ArrayLike, y_score: ArrayLike, k: float = 10) -> float:
    """Best label of all minus best label among the top k by prediction, in units of the labels: what is lost
    by training only those k.

    The simple regret of a search that ends with one batch of k; ``k`` as in :func:`precision_at_k`.
    """
    true, score = _checked(y_true, y_score)
    return float(true.max() - true[_predicted_top(true, score, k)].max())


_PLAIN: dict[str, Metric] = {
    "kendall_tau": kendall_tau,
    "spearman": spearman,
    "pearson": pearson,
    "rmse": rmse,
    "r2": r2,
}
_AT_K = {
    "precision": precision_at_k,
    "best_rank": best_rank_at_k,
    "worst_rank": worst_rank_at_k,
    "regret": regret,
}


def smaller_is_better(name: str) -> bool:
    """Whether the best predictor is the one with the smallest value of a metric, such as ``"regret@10"``."""
    return name.partition("@")[0] in ("rmse", "best_rank", "worst_rank", "regret")


def metric(name: str) -> Metric:
    """A metric by name: ``"kendall_tau"``, or with k as a count, ``"regret@10"``, or in percent,
    ``"precision@5%"``.

    Raises:
        UnknownName: no such metric.
    """
    base, at, k = str(name).partition("@")
    if not at and base in _PLAIN:
        return _PLAIN[base]
    if base in _AT_K and k.removesuffix("%").isdecimal():
        return partial(_AT_K[base], k=int(k[:-1]) / 100 if k.endswith("%") else int(k))
    known = [*_PLAIN, *(f"{base}@10" for base in _AT_K)]
    remedy = hint(name, known, f"choose one of {', '.join(known)}")
    raise UnknownName(f"there is no metric called {name!r}; {remedy}")


METRICS: dict[str, Metric] = {
    name: metric(name)
    for name in (
        *_PLAIN,
        "precision@10",
        "precision@5%",
        "best_rank@10",
        "worst_rank@10",
        "regret@1",
        "regret@10",
    )
}
"""The metrics that are reported by default; :func:`metric` gives any other k."""


def evaluate(
    y_true: ArrayLike, y_score: ArrayLike, names: Iterable[str] = tuple(METRICS)
) -> dict[str, float]:
    """The value of each named metric."""
    return {name: float(metric(name)(y_true, y_score)) for name in names}
