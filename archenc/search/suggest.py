"""Which architectures to train next, given those that were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import clone

from archenc.errors import InvalidParameter, InvalidTable
from archenc.files.values import as_labels, as_numbers
from archenc.graphs import ArchGraphs, as_graphs, concatenate
from archenc.graphs.hashing import sortable_keys, wl_hash
from archenc.heads.base import INTERVAL
from archenc.heads.scaling import VaryingColumns
from archenc.predictor import Predictor
from archenc.registry import as_space
from archenc.search.pareto import leading
from archenc.spaces.base import Space, checked_graphs

MOST_CANDIDATES = 500_000
SAMPLED = 10_000
"""Random architectures, and mutations of the best, that stand for a space too large to list."""
SAMPLED_BYTES = 2**26
"""Most bytes of adjacency matrices of random architectures, which are fewer where architectures are large."""
PARENTS = 20

Known = Callable[[ArchGraphs], np.ndarray]


@dataclass(frozen=True)
class Suggestions:
    """Architectures in the order in which to train them.

    Attributes:
        graphs: the architectures.
        positions: int64 (count,), where they stand among the candidates.
        score: float64 (count,), predicted labels; (count, M) where there are M > 1 objectives, the known ones
            last.
        deviation: as ``score``, standard deviations of the predictions, calibrated on architectures left out
            in turn; 0 for known ones.
        reasons: why each is there: ``"predicted best"``, with several objectives ``"predicted front 1"``, or
            ``"uncertain"``.
        nearest: int64 (count,), the trained architecture whose encoding is nearest.
        predictors: the fitted predictor of each column of labels.
    """

    graphs: ArchGraphs
    positions: np.ndarray
    score: np.ndarray
    deviation: np.ndarray
    reasons: tuple[str, ...]
    nearest: np.ndarray
    predictors: tuple[Predictor, ...]

    @property
    def low(self) -> np.ndarray:
        """Lower ends of the 80 percent intervals."""
        return self.score - INTERVAL * self.deviation

    @property
    def high(self) -> np.ndarray:
        """Upper ends of the 80 percent intervals."""
        return self.score + INTERVAL * self.deviation


def suggest(
    trained: Any,
    y: Any,
    count: int = 10,
    *,
    space: Space | str | None = None,
    notation: str | None = None,
    candidates: Any = None,
    explore: float = 0.0,
    known: Known | None = None,
    predictor: Predictor | None = None,
    random_state: int = 0,
) -> Suggestions:
    """The ``count`` architectures to train next: the highest predictions, or with ``explore`` a share of
    upper confidence bounds.

    Twins of trained architectures, and of each other, are never suggested (:func:`untrained`). Several
    objectives give the candidates that no other one is predicted to beat in all of them, then those that only
    these beat, and so on (:func:`archenc.search.pareto.leading`).

    Args:
        trained: n architectures; graphs, or with ``space`` whatever :func:`archenc.graphs.as_graphs` takes.
        y: (n,) labels, higher is better, or (n, T) for T objectives, each of which gets a predictor.
        count: how many to suggest.
        space: the search space, or its name, where the architectures are no graphs; by default the
            predictor's.
        notation: how numbers in architectures are read, one of the space's ``notations``.
        candidates: what to choose among; by default the whole space where it can be listed, else random
            architectures and mutations of the best ones.
        explore: share of the suggestions, from 0 to 1, that are chosen by the prediction + two deviations.
        known: further objectives that need no prediction: a function of graphs that gives (N, K) numbers,
            higher is better.
        predictor: a predictor, of which copies are fitted; by default ``Predictor("auto")``. One without
            deviations gives NaN for them.
        random_state: seed of the default predictor and of drawn candidates.

    Raises:
        InvalidParameter: fewer candidates than ``count``, a count below 1, a share that is none, or one of a
            predictor without deviations.
        InvalidTable: labels that are not one finite number for each architecture and objective.
        InvalidArchitecture: what cannot be read as architectures; candidates of another space.
    """
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise InvalidParameter(f"count is {count!r:.80}; give a whole number of at least 1")
    if not isinstance(explore, int | float | np.number) or not 0 <= explore <= 1:
        raise InvalidParameter(f"explore is {explore!r:.80}; give a share from 0 to 1")
    usual = usual_predictor(random_state) if predictor is None else predictor
    space = usual.space if space is None else space
    trained = as_graphs(trained, as_space(space), notation)
    labels = _columns(y, len(trained))
    pool = (
        candidate_pool(trained, labels[:, 0], random_state)
        if candidates is None
        else as_graphs(candidates, trained.space, notation)
    )
    at = untrained(checked_graphs(trained.space, pool), trained)
    if len(at) < count:
        remedy = f"ask for at most {len(at)}" if len(at) else "give others"
        raise InvalidParameter(
            f"only {len(at):,} of {len(pool):,} candidates are left that were not trained and are no twins; "
            f"{remedy}"
        )
    predictors = tuple(clone(usual).fit(trained, column) for column in labels.T)
    score, deviation, hope = _predictions(predictors, pool[at], known, needed=explore > 0)
    chosen, reasons = _choose(score, hope, int(count), explore)
    graphs, score, deviation = pool[at[chosen]], score[chosen], deviation[chosen]
    if score.shape[1] == 1:
        score, deviation = score[:, 0], deviation[:, 0]
    return Suggestions(
        graphs, at[chosen], score, deviation, reasons, _nearest(predictors[0], graphs, trained), predictors
    )


def usual_predictor(random_state: int) -> Predictor:
    """The predictor that :func:`suggest` uses unless it is given one."""
    return Predictor("auto", random_state=random_state)


# -- candidates ----------------------------------------------------------------------------------------------


def candidate_pool(trained: ArchGraphs, y: np.ndarray, seed: int) -> ArchGraphs:
    """Every architecture of the space where it can be listed, else random ones and mutations of the best
    trained ones.
    """
    space: Space = trained.space
    try:
        pool = space.enumerate()
    except InvalidParameter:
        pool = None
    if pool is not None and len(pool) <= MOST_CANDIDATES:
        return pool
    rng = np.random.default_rng(seed)
    sampled = max(1, min(SAMPLED, SAMPLED_BYTES // (space.cells * space.max_nodes**2)))
    parents = trained[np.argsort(-y, kind="stable")[:PARENTS]]
    mutants = [parents.with_features(None)]
    for _ in range(
        max(1, sampled // (2 * len(parents)))
    ):  # walks away from the best, one change after the other
        start = mutants[0] if rng.random() < 0.5 else mutants[-1]
        mutants.append(space.mutate(start, rng))
    return concatenate([space.sample(sampled, rng), *mutants[1:]])


def untrained(pool: ArchGraphs, trained: ArchGraphs) -> np.ndarray:
    """int64: positions in ``pool``, ascending, of architectures that are worth a training of their own.

    They have no isomorphic twin among the trained ones and among those before them, nor one that is the same
    when both are simplified (:meth:`archenc.spaces.base.Space.simplify`).
    """
    space: Space = pool.space
    positions = _new(sortable_keys(pool.hash()), sortable_keys(trained.hash()))
    if space.op_on == "edge" or space.none_op is not None or space.skip_op is not None:
        cut, known = (wl_hash(space.simplify(graphs)) for graphs in (pool[positions], trained))
        positions = positions[_new(sortable_keys(cut), sortable_keys(known))]
    return positions


def _new(found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Positions of the first of each value that is not a known one, in ascending order."""
    _, first = np.unique(found, return_index=True)
    first = np.sort(first)
    new: np.ndarray = first[~np.isin(found[first], known)]
    return new


# -- choice --------------------------------------------------------------------------------------------------


def _columns(y: Any, n: int) -> np.ndarray:
    """float64 (n, T)."""
    labels = as_labels(y)
    if labels.ndim not in (1, 2) or labels.size == 0 or len(labels) != n:
        raise InvalidTable(
            f"y has shape {labels.shape} for {n} architectures; give one label each, or a column for each "
            "objective"
        )
    return labels.reshape(len(labels), -1)


def _predictions(
    predictors: tuple[Predictor, ...], pool: ArchGraphs, known: Known | None, needed: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, deviations and hopes (N, M) of all objectives."""
    parts = [_distribution(predictor, pool, needed) for predictor in predictors]
    if known is not None:
        exact = as_numbers(known(pool), "known").reshape(len(pool), -1)
        parts.append((exact, np.zeros(exact.shape), exact))
    scores, deviations, hopes = (np.column_stack(columns) for columns in zip(*parts, strict=True))
    return scores, deviations, hopes


def _distribution(
    predictor: Predictor, pool: ArchGraphs, needed: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, their deviations, which are NaN where the head has none, and what is hoped for: two
    deviations above a prediction.

    The hope is in the units of the loss's targets. In those of accuracies, a cell that may be anything from
    bad to middling has so large a deviation that it would come first.

    Raises:
        InvalidParameter: deviations are ``needed`` and the head has none.
    """
    if needed or predictor.has_std:
        mean, deviation = predictor.raw_distribution(pool)
        return *predictor.in_label_units(mean, deviation), mean + 2 * deviation
    score = predictor.predict(pool)
    return score, np.full(len(score), np.nan), score


def _choose(
    score: np.ndarray, hope: np.ndarray, count: int, explore: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Positions of the chosen among the candidates, best first, and why each was chosen."""
    uncertain = round(count * explore)
    best, fronts = leading(score, count - uncertain)
    rest = np.setdiff1d(np.arange(len(score)), best)
    bold, _ = leading(hope[rest], uncertain)
    chosen = np.concatenate([best, rest[bold]])
    several = score.shape[1] > 1
    reasons = [
        *(f"predicted front {front}" if several else "predicted best" for front in fronts),
        *["uncertain"] * uncertain,
    ]
    order, _ = leading(score[chosen], count)
    return chosen[order], tuple(reasons[at] for at in order)


def _nearest(predictor: Predictor, graphs: ArchGraphs, trained: ArchGraphs) -> np.ndarray:
    ours, theirs = predictor.embed(graphs), predictor.embed(trained)
    columns = VaryingColumns(theirs)
    nearest: np.ndarray = cdist(columns.transform(ours), columns.transform(theirs)).argmin(1)
    return nearest


# -- honesty -------------------------------------------------------------------------------------------------

TOP = 5


@dataclass(frozen=True)
class Trust:
    """How well a fitted predictor ranked the architectures it was given, each predicted by a fit without it.

    Attributes:
        predictor: what it consists of.
        companions: those parts that took no part in what is measured.
        labels: how many there were.
        tau: Kendall's tau of these predictions; None where the predictor made none.
        hits: how many of the ``top`` best predicted are among the ``top`` best labels; None where that is not
            known.
        top: 5, or all where there are fewer.
        better_than_chance: whether tau is above 95 percent of those of unrelated numbers (Kendall 1938); None
            where it is not known.
    """

    predictor: str
    companions: str
    labels: int
    tau: float | None
    hits: int | None
    top: int
    better_than_chance: bool | None

    def __str__(self) -> str:
        begin = f"{self.predictor} on {self.labels} labels"
        if self.tau is None:
            return f"{begin}; how well it ranks was not measured"
        hits = "" if self.hits is None else f", top-{self.top} hit {self.hits} of {self.top}"
        without = f", without {self.companions}" if self.companions else ""
        return f"{begin}; left out in turn{without}: tau {self.tau:.2f}{hits}"


def trust(predictor: Predictor, y: np.ndarray) -> Trust:
    """What the report of a predictor, fitted on the labels ``y`` (n,), says about its ranks."""
    report, n, top = predictor.report_, len(y), min(TOP, len(y))
    members = [name for name, member in report.get("members", {}).items() if member.get("weight", 1) > 0]
    companions = list(report.get("companions", {}))
    parts = "+".join(str(report.get(part)) for part in ("encoder", "head", "loss"))
    name = " + ".join([*(members or [parts]), *companions])
    tau, unseen = report.get("out_of_fold_tau"), report.get("out_of_fold")
    hits = None if unseen is None or len(unseen) != n else _hits(np.asarray(unseen), y, top)
    chance = 1.645 * np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
    return Trust(name, " + ".join(companions), n, tau, hits, top, None if tau is None else bool(tau > chance))


def _hits(scores: np.ndarray, y: np.ndarray, top: int) -> int:
    return int((y[np.argsort(-scores, kind="stable")[:top]] >= np.sort(y)[-top]).sum())
