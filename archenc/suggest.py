"""Which architectures to train next, given those that were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm

from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, concatenate
from archenc.hashing import keys
from archenc.predictor import Predictor
from archenc.scaling import VaryingColumns
from archenc.spaces.base import Space
from archenc.spaces.definition import whole_number
from archenc.text import shown
from archenc.values import as_numbers

MOST_CANDIDATES = 500_000
SAMPLED = 10_000
"""Random architectures, and mutations of the best, that stand for a space too large to list; fewer where their graphs are large."""
BYTES_SAMPLED = 2**28
"""Most bytes of the adjacency matrices of either."""
PARENTS = 20
INTERVAL = float(norm.ppf(0.9))
"""Deviations to either side that hold 80 percent of a normal distribution."""


@dataclass(frozen=True)
class Suggestions:
    """Architectures in the order in which to train them.

    Attributes:
        graphs: the architectures.
        score: float64 (count,), predicted labels.
        deviation: float64 (count,), standard deviations of the predictions, calibrated on architectures left out in turn.
        reasons: why each is there: ``"predicted best"``, ``"uncertain"``.
        nearest: int64 (count,), the trained architecture whose encoding is nearest.
        predictor: the fitted predictor.
    """

    graphs: ArchGraphs
    score: np.ndarray
    deviation: np.ndarray
    reasons: tuple[str, ...]
    nearest: np.ndarray
    predictor: Predictor

    @property
    def low(self) -> np.ndarray:
        """Lower ends of the 80 percent intervals."""
        return self.score - INTERVAL * self.deviation

    @property
    def high(self) -> np.ndarray:
        """Upper ends of the 80 percent intervals."""
        return self.score + INTERVAL * self.deviation


def suggest(
    trained: ArchGraphs,
    y: np.ndarray,
    count: int = 10,
    *,
    candidates: ArchGraphs | None = None,
    explore: float = 0.0,
    predictor: Predictor | None = None,
    random_state: int = 0,
) -> Suggestions:
    """The ``count`` architectures to train next: the highest predictions, or with ``explore`` a share of upper confidence bounds.

    Isomorphic twins of trained architectures, and of each other, are never suggested.

    Args:
        trained: n architectures.
        y: (n,) labels, higher is better.
        count: how many to suggest.
        candidates: what to choose among; by default the whole space where it can be listed, else random architectures and mutations of the
            best ones.
        explore: share of the suggestions, from 0 to 1, that are chosen by prediction + two deviations.
        predictor: a predictor to fit; by default ``Predictor("auto")``.
        random_state: seed of the predictor and of drawn candidates.

    Raises:
        InvalidParameter: fewer candidates than ``count``, or a count or share that is none.
        InvalidTable: what :meth:`archenc.Predictor.fit` raises it for.
    """
    count = whole_number("suggest", "count", count, 1, MOST_CANDIDATES)
    if not isinstance(explore, int | float) or not 0 <= explore <= 1:
        raise InvalidParameter(f"explore is {shown(explore)}; give a share from 0 to 1")
    predictor = Predictor("auto", random_state=random_state) if predictor is None else predictor
    predictor.fit(trained, y)
    y = as_numbers(y, "y")
    pool = candidate_pool(trained, y, random_state) if candidates is None else candidates
    pool = without_twins(pool, trained)
    if len(pool) < count:
        raise InvalidParameter(f"only {len(pool)} candidates are left that were not trained; ask for at most {len(pool)}")
    score, deviation = predictor.predict(pool, return_std=True)
    uncertain = round(count * explore)
    best = np.argsort(-score, kind="stable")[: count - uncertain]
    bound = score + 2 * deviation
    bound[best] = -np.inf
    chosen = np.concatenate([best, np.argsort(-bound, kind="stable")[:uncertain]])
    chosen = chosen[np.argsort(-score[chosen], kind="stable")]
    reasons = tuple("predicted best" if at in best else "uncertain" for at in chosen)
    graphs = pool[chosen]
    return Suggestions(graphs, score[chosen], deviation[chosen], reasons, _nearest(predictor, graphs, trained), predictor)


def candidate_pool(trained: ArchGraphs, y: np.ndarray, seed: int) -> ArchGraphs:
    """Every architecture of the space where it can be listed, else random ones and mutations of the best trained ones."""
    space: Space = trained.space
    try:
        pool = space.enumerate()
    except InvalidParameter:
        pool = None
    if pool is not None and len(pool) <= MOST_CANDIDATES:
        return pool
    rng, sampled = np.random.default_rng(seed), min(SAMPLED, BYTES_SAMPLED // (space.cells * space.max_nodes**2))
    parents = trained[np.argsort(-y, kind="stable")[:PARENTS]]
    mutants = [parents.with_features(None)]
    for _ in range(max(1, sampled // (2 * len(parents)))):  # walks away from the best, one change after the other
        start = mutants[0] if rng.random() < 0.5 else mutants[-1]
        mutants.append(space.mutate(start, rng))
    return concatenate([space.sample(max(1, sampled), rng), *mutants[1:]])


def without_twins(pool: ArchGraphs, trained: ArchGraphs) -> ArchGraphs:
    """The architectures of ``pool``, one of each isomorphism class, that have no twin among the trained ones."""
    found, known = keys(pool.hash()), keys(trained.hash())
    _, first = np.unique(found, return_index=True)
    first = np.sort(first)
    return pool[first[~np.isin(found[first], known)]]


def _nearest(predictor: Predictor, graphs: ArchGraphs, trained: ArchGraphs) -> np.ndarray:
    ours, theirs = predictor.embed(graphs), predictor.embed(trained)
    columns = VaryingColumns(theirs)
    nearest: np.ndarray = cdist(columns.transform(ours), columns.transform(theirs)).argmin(1)
    return nearest


def honesty(predictor: Predictor, n: int) -> tuple[str, bool]:
    """One sentence on how well the predictor ranked architectures left out in turn, and whether that is better than chance."""
    if "out_of_fold_tau" not in predictor.report_:
        return f"{predictor.report_['head']} on {n} labels; not tried on architectures left out", True
    tau = predictor.report_["out_of_fold_tau"]
    chance = 1.64 * np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))  # the 95th percentile of tau without any relation (Kendall 1938)
    members = " + ".join(name for name, member in predictor.report_["members"].items() if member["weight"] > 0)
    return f"{members} on {n} labels; left out in turn: tau {tau:.2f}", bool(tau > chance)
