"""Bayesian optimisation over any encoding."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm

from archenc.predictor import Predictor
from archenc.registry.rules import Count, NotNegative
from archenc.search.base import State, Strategy
from archenc.search.models import best_first, can_learn, checked_predictor, fitted, gaussian_process, pool

Acquisition = Literal["ei", "ucb", "thompson"]
Batch = Literal["believer", "penalisation", "best"]
SHORT = 256
"""The highest acquisitions, among which those of a batch are chosen."""


class BayesianOptimisation(Strategy):
    """Bayesian optimisation: what is most worth a training by the predictor's distribution.

    ``initial`` random architectures come first. Then, at each asking, the predictor is fitted on everything
    that was trained, and the acquisition of candidates is, with their means m and deviations s in the units
    of the loss's targets and the best target b:

    * ``"ei"``: the expected improvement s (z Phi(z) + phi(z)) with z = (m - b) / s (Jones, Schonlau, Welch:
        Efficient Global Optimization, J. Global Optimization 1998, section 4.1);
    * ``"ucb"``: m + ``beta`` s (Srinivas et al., Gaussian Process Optimization in the Bandit Setting, ICML
        2010);
    * ``"thompson"``: a draw of each candidate's own distribution, independent of the others (White et al.,
        BANANAS, AAAI 2021, section 4).

    A batch is chosen one by one among the best. ``"believer"`` adds each chosen one with its mean as if it
    had been trained, and fits again (Kriging believer; Ginsbourger, Le Riche, Carraro: Kriging Is Well-Suited
    to Parallelize Optimization, 2010, section 3.1). ``"penalisation"`` lowers the acquisition around it, as
    far as a standardised distance of encodings tells (after Gonzalez et al., Batch Bayesian Optimization via
    Local Penalization, AISTATS 2016, with 1 - exp(-d^2 / 2) for the ball of a Lipschitz constant).
    ``"best"`` takes the best ones as they are.

    Args:
        predictor: a :class:`archenc.Predictor` whose head gives deviations, or its parameters; None for a
            Gaussian process on GRAF-plus (:func:`archenc.search.models.gaussian_process`).
        acquisition: see above.
        batch: see above.
        initial: random architectures before the first fit.
        pool: how many are scored at an asking.
        beta: of ``"ucb"``.
    """

    paper: ClassVar[str] = (
        "Jones, Schonlau, Welch: Efficient Global Optimization, J. Global Optimization 1998"
    )

    def __init__(
        self,
        predictor: Predictor | dict[str, Any] | None = None,
        acquisition: Acquisition = "ei",
        batch: Batch = "penalisation",
        initial: Count = 10,
        pool: Count = 50_000,
        beta: NotNegative = 1.0,
    ) -> None:
        self.predictor = checked_predictor(predictor)
        self.acquisition = acquisition
        self.batch = batch
        self.initial = initial
        self.pool = pool
        self.beta = beta

    def propose(self, state: State, count: int) -> list[int]:
        numbers, means = state.trained()
        y = means[:, 0]
        if min(count, self.initial - state.count) == count or not can_learn(y):
            return state.draw(count)
        some = self.some(state, numbers, y)
        if not len(some):
            return []
        known, told = numbers, y
        if self.batch == "believer" and len(state.pending):
            known, told = self._believed(state, known, told, state.pending)
        scores, _, model = self._acquisitions(state, known, told, some)
        some = np.array(best_first(some, scores, max(SHORT, count)), dtype=np.int64)
        if self.batch == "best":
            return [int(at) for at in some[:count]]
        if self.batch == "penalisation":
            encodings = model.embed(state.candidates.graphs(np.append(some, state.pending)))
            highest = np.sort(scores)[::-1][: len(some)]
            return _penalised(some, highest - highest[-1], encodings, count)
        return self._one_by_one(state, known, told, some, count)

    def some(self, state: State, numbers: np.ndarray, y: np.ndarray) -> np.ndarray:
        """int64: the candidates whose acquisition is asked for."""
        return pool(state, numbers, y, self.pool)

    def model(self, state: State) -> dict[str, Any]:
        """The parameters of the predictor."""
        return self.predictor or gaussian_process(state.candidates.space)

    def _acquisitions(
        self, state: State, numbers: np.ndarray, y: np.ndarray, some: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Predictor]:
        """The acquisitions and the means (labels' units) of ``some``, and the predictor."""
        model = fitted(self.model(state), state, numbers, y)
        mean, deviation = model.raw_distribution(state.candidates.graphs(some))
        best = float(model.labels_.forward(y).max())
        believed, _ = model.in_label_units(mean, deviation)
        return acquire(self.acquisition, mean, deviation, best, self.beta, state.rng), believed, model

    def _believed(
        self, state: State, numbers: np.ndarray, y: np.ndarray, more: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The trainings with those in progress, as if they had gone as expected."""
        model = fitted(self.model(state), state, numbers, y)
        more = np.setdiff1d(more, numbers)
        believed = model.predict(state.candidates.graphs(more)) if len(more) else np.zeros(0)
        return np.concatenate([numbers, more]), np.concatenate([y, believed])

    def _one_by_one(
        self, state: State, numbers: np.ndarray, y: np.ndarray, some: np.ndarray, count: int
    ) -> list[int]:
        chosen: list[int] = []
        while len(chosen) < min(count, len(some)):
            left = np.setdiff1d(some, chosen, assume_unique=True)
            scores, means, _ = self._acquisitions(state, numbers, y, left)
            at = int(np.argmax(scores))
            chosen.append(int(left[at]))
            numbers, y = np.append(numbers, left[at]), np.append(y, means[at])
        return chosen


def acquire(
    kind: Acquisition,
    mean: np.ndarray,
    deviation: np.ndarray,
    best: float,
    beta: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The acquisitions (N,) of :class:`BayesianOptimisation`."""
    assert kind in get_args(Acquisition)
    if kind == "ucb":
        return mean + beta * deviation
    if kind == "thompson":
        return mean + deviation * rng.standard_normal(len(mean))
    deviation = np.maximum(deviation, 1e-12)
    z = (mean - best) / deviation
    improvement: np.ndarray = deviation * (z * norm.cdf(z) + norm.pdf(z))
    return improvement


def _penalised(some: np.ndarray, scores: np.ndarray, encodings: np.ndarray, count: int) -> list[int]:
    """The highest scores (S,), from 0 up, lowered around each chosen one and those that are being trained.

    Args:
        some: (S,) the candidates.
        scores: (S,) their acquisitions.
        encodings: (S + p, dim) theirs, and those of p trainings in progress.
        count: how many.
    """
    scale = encodings.std(axis=0)
    columns = encodings[:, scale > 1e-6] / scale[scale > 1e-6]
    columns = columns / max(1.0, np.sqrt(columns.shape[1]))
    chosen: list[int] = []
    left = scores + 1e-12 * max(1.0, scores[0])
    for taken in range(len(some), len(columns)):
        left = left * _far(columns, taken)[: len(some)]
    for _ in range(min(count, len(some))):
        at = int(np.argmax(left))
        chosen.append(at)
        left = left * _far(columns, at)[: len(some)]
        left[chosen] = -1.0
    return [int(some[at]) for at in chosen]


def _far(columns: np.ndarray, at: int) -> np.ndarray:
    """(R,): 0 where rows are equal to one of them, towards 1 far from it."""
    distance = cdist(columns[[at]], columns)[0]
    far: np.ndarray = 1 - np.exp(-(distance**2) / 2)
    return far
