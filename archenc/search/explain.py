"""Why a predictor prefers some architectures: what its scores depend on, and what its best ones share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from archenc.errors import InvalidArchitecture, InvalidParameter, InvalidTable, NotFitted
from archenc.files.values import as_labels
from archenc.graphs import ArchGraphs, as_graphs, concatenate
from archenc.metrics import kendall_tau
from archenc.predictor import Predictor
from archenc.predictor.fitted import final_labels
from archenc.registry.rules import Seed, Share, checked
from archenc.search.candidates import whole_space
from archenc.search.choices import RARE, Part, exchanged, has_places, parts_of
from archenc.search.explanation import Explanation, Importance
from archenc.search.rules import choice_rules
from archenc.search.suggest import SAMPLED, SAMPLED_BYTES
from archenc.spaces.base import Space

REPEATS = 5
MOST_PREDICTED, LEAST_ROWS = 100_000, 200
"""Predictions for all exchanges together, but each is made among so many architectures at least."""
MOST_COMPARED = 20_000
"""Architectures among which scores are compared with what they have."""
TIED = 1e-2
"""Scores that differ by less than this share of their standard deviation count as equal."""
ALIKE = 0.9
"""Of two parts whose columns are so much correlated the less important one is left out."""


def explain(
    predictor: Predictor,
    graphs: Any = None,
    *,
    y: Any = None,
    share: float = 0.01,
    random_state: int = 0,
) -> Explanation:
    """Why a fitted predictor prefers some architectures.

    **Importance.** An operation or a place is *exchanged* among architectures
    (:func:`archenc.search.choices.exchanged`), five times at random; its importance is the mean loss of
    Kendall's tau with the labels or, without labels, with the undisturbed scores (permutation importance:
    Breiman, Random Forests, Machine Learning 2001, section 10; as scikit-learn defines it). So what the
    predictor does not look at has importance 0. A place is exchanged among the architectures that have an
    operation there, so that their edges stay valid.

    Where an operation is taken away another one stands, so that an operation's importance has in it what that
    one is worth.

    Where nothing can be exchanged without a change of something else - motifs, links, numbers, operations in
    spaces of free wirings - the count is *compared* with the scores: its importance is the magnitude of
    Kendall's tau-b between the two. It says what goes together with high scores, not why. NASBOWL (Ru et
    al., ICLR 2021, section 3) takes the mean derivative of its Gaussian process by the count of a motif
    instead, which other predictors do not have. Of parts whose columns are nearly the same the most important
    stays.

    **Rules.** What holds of the best architectures more often than by chance
    (:func:`archenc.search.rules.choice_rules`).

    What is looked at: :func:`archenc.search.choices.parts_of`. Links, motifs and numbers do not depend on how
    isomorphic architectures are written; places do, as they are places of what is written.

    Args:
        predictor: a fitted one.
        graphs: N architectures, in any form that :func:`archenc.graphs.as_graphs` takes; by default the whole
            space where it can be listed, else 10,000 random ones.
        y: (N,) labels, higher is better, for the agreement that exchanges cost; by default the scores.
        share: which share of the architectures counts as the best.
        random_state: seed of what is drawn.

    Raises:
        NotFitted: a predictor without a fit.
        InvalidParameter: no predictor, a share that is not between 0 and 1, no seed.
        InvalidTable: architectures of another space, all with the same score, or not one finite label each.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> graphs = space.sample(100, seed=0)
        >>> y = space.costs(graphs)["flops"]  # stands for accuracies
        >>> predictor = archenc.Predictor("op-count", "ridge", "mse").fit(graphs, y)
        >>> why = archenc.explain(predictor)
        >>> why.importances[0].name, why.importances[0].prefers
        ('nor_conv_3x3', 'more')
    """
    share = checked("explain", "share", share, Share)
    seed = checked("explain", "random_state", random_state, Seed)
    batch = _architectures(predictor, graphs, seed)
    scores = final_labels(predictor.predict(batch))
    if np.ptp(scores) == 0:
        raise InvalidTable(
            f"the predictor gives all of {len(batch):,} architectures the same score, so that it prefers "
            "none; give other architectures, or train another predictor"
        )
    best = _best(scores, share)
    parts = parts_of(batch, best)
    subject = _Subject(predictor, batch, scores, np.random.default_rng(seed))
    labels = None if y is None else _labels(y, len(batch))
    agreement = None if labels is None else kendall_tau(labels, subject.steps)
    importances = tuple(_importances(subject, parts, subject.steps if labels is None else labels))
    rules = choice_rules(parts, best) if len(best) < len(batch) else ()
    return Explanation(batch, scores, share, best, agreement, importances, rules)


def _architectures(predictor: Predictor, given: Any, seed: int) -> ArchGraphs:
    if not isinstance(predictor, Predictor):
        raise InvalidParameter(f"{predictor!r:.80} is no predictor; give a fitted archenc.Predictor")
    if not hasattr(predictor, "head_"):
        raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
    space: Space = predictor.space_
    if given is not None:
        graphs = as_graphs(given, space, predictor.fitted_params_["notation"]).to("cpu")
        if not len(graphs):
            raise InvalidArchitecture("there is no architecture to explain; give some, or none at all")
        return graphs
    listed = whole_space(space, False)
    count = max(1, min(SAMPLED, SAMPLED_BYTES // (space.cells * space.max_nodes**2)))
    graphs = space.sample(count, seed) if listed is None else listed.all
    return space.simplify(graphs) if predictor.simplified_ else graphs


def _labels(y: Any, count: int) -> np.ndarray:
    labels = as_labels(y)
    if labels.shape != (count,) or not np.isfinite(labels).all() or np.ptp(labels) == 0:
        raise InvalidTable(
            f"y of shape {labels.shape} is no ranking of {count:,} architectures; give one finite label "
            "each, not all the same"
        )
    return labels


def _best(scores: np.ndarray, share: float) -> np.ndarray:
    """int64, best first: the best share, and all that are tied with its last one but for rounding."""
    order = np.argsort(-scores, kind="stable")
    last = scores[order[max(1, round(share * len(scores))) - 1]]
    best: np.ndarray = order[scores[order] >= last - 1e-9 * np.ptp(scores)]
    return best


# -- importance ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Subject:
    """A predictor and what it predicts.

    Attributes:
        predictor: a fitted one.
        graphs: N architectures.
        scores: (N,), its predictions.
        rng: what chance depends on.
    """

    predictor: Predictor
    graphs: ArchGraphs
    scores: np.ndarray
    rng: np.random.Generator

    def coarse(self, scores: np.ndarray) -> np.ndarray:
        """Scores in steps that tell something, so that noise of the last digits orders nothing."""
        steps: np.ndarray = np.round(scores / (TIED * self.scores.std()))
        return steps

    @property
    def steps(self) -> np.ndarray:
        return self.coarse(self.scores)

    def predict(self, graphs: ArchGraphs) -> np.ndarray:
        return self.coarse(final_labels(self.predictor.predict(graphs)))

    def some(self, count: int) -> np.ndarray:
        """Positions, ascending, of that many architectures drawn at random, or of all."""
        return np.sort(self.rng.permutation(len(self.graphs))[:count])


def _importances(subject: _Subject, parts: Sequence[Part], reference: np.ndarray) -> Iterator[Importance]:
    """By kind and importance, without parts that are nearly the same as a more important one."""
    moved = ("operation", "place") if has_places(subject.graphs) else ()
    count = sum(part.kind in moved for part in parts)
    rows = subject.some(max(LEAST_ROWS, MOST_PREDICTED // (REPEATS * max(count, 1))))
    compared = subject.some(MOST_COMPARED)
    for kind in dict.fromkeys(part.kind for part in parts):
        found = []
        for part in (part for part in parts if part.kind == kind):
            losses = _losses(subject, part, rows, reference[rows]) if kind in moved else None
            prefers, column = _preference(subject, part, compared)
            made = _importance(part, prefers, column, losses, _tau(subject.steps[compared], column[compared]))
            found.append((made, column[compared]))
        found.sort(key=lambda pair: -pair[0].value)
        yield from (each for each, _ in (found if kind in moved else _different(found)))


def _losses(subject: _Subject, part: Part, rows: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
    """(REPEATS,): the loss of agreement by each exchange among ``rows``; None where the space has not all of
    the architectures that are made.
    """
    graphs, values = subject.graphs[rows], part.values[rows]
    able = np.flatnonzero(values >= 0)  # of a place, those that have an operation there
    made = []
    for _ in range(REPEATS):
        partner = np.arange(len(rows))
        partner[able] = subject.rng.permutation(able)
        made.append(exchanged(graphs, part, partner))
    changed = concatenate(made)
    try:
        graphs.space.validate(changed)
    except InvalidArchitecture:
        return None
    before = _tau(reference, subject.steps[rows])
    after = [_tau(reference, scores) for scores in subject.predict(changed).reshape(REPEATS, -1)]
    return before - np.array(after)


def _preference(subject: _Subject, part: Part, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """What gets high scores in ``rows``, and the column (N,) that says how much of it there is."""
    values, steps = part.values[rows], subject.steps[rows]
    if part.kind != "place":
        return ("more" if _tau(steps, values) >= 0 else "fewer"), part.values
    options, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(which.ravel(), stats.rankdata(steps)) / counts
    usual = (options >= 0) & (counts >= RARE * len(rows))
    k = int(options[np.where(usual, means, -1.0).argmax()])
    return (part.options[k] if k >= 0 else "nothing"), part.values == k


def _importance(
    part: Part, prefers: str, column: np.ndarray, losses: np.ndarray | None, tau: float
) -> Importance:
    share = float((column > 0).mean())
    if losses is None:
        return Importance(part.kind, part.name, abs(tau), 0.0, "compared", prefers, share, part.tree)
    value, deviation = float(losses.mean()), float(losses.std())
    return Importance(part.kind, part.name, value, deviation, "exchanged", prefers, share)


def _different(
    found: Sequence[tuple[Importance, np.ndarray]],
) -> Iterator[tuple[Importance, np.ndarray]]:
    columns = np.array([column - column.mean() for _, column in found])
    columns /= np.linalg.norm(columns, axis=1, keepdims=True) + np.finfo(float).tiny
    alike = np.abs(columns @ columns.T)
    kept: list[int] = []
    for at, pair in enumerate(found):
        if not (alike[at, kept] >= ALIKE).any():
            kept.append(at)
            yield pair


def _tau(reference: np.ndarray, scores: np.ndarray) -> float:
    """Kendall's tau-b, 0 where one of the two is constant."""
    return float(np.nan_to_num(kendall_tau(reference, scores)))
