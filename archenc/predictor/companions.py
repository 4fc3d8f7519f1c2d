"""Further predictors whose scores are averaged with a predictor's own ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from archenc.errors import InvalidParameter
from archenc.files.documents import Record, record
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Positive

NEIGHBOURS = 512
"""Mutations of the training architectures, on which scores are brought to one scale."""


class Fitted(Protocol):
    """What is asked of a fitted predictor."""

    fitted_params_: dict[str, Any]

    def predict(self, graphs: Any) -> np.ndarray: ...

    def raw_scores(self, graphs: ArchGraphs) -> np.ndarray: ...


class Scale(Record):
    """How scores of a companion become scores of the predictor: both have these means and deviations over the
    same architectures.
    """

    weight: Positive
    centre: float
    spread: Positive
    own_centre: float
    own_spread: Positive


@dataclass(frozen=True)
class Companion:
    """A fitted predictor beside another one, and how much it counts; the other one counts 1."""

    predictor: Fitted
    scale: Scale

    def scores(self, graphs: ArchGraphs) -> np.ndarray:
        """float64 (N,), on the scale of the other predictor."""
        held = self.scale
        scaled: np.ndarray = (self.predictor.predict(graphs) - held.centre) / held.spread
        return held.own_centre + held.own_spread * scaled


def fit(predictor: Any, graphs: ArchGraphs, y: np.ndarray, seed: int) -> list[Companion]:
    """Train the companions that the parameters of a predictor name, whose head is trained already.

    Unlike predictors have scores on unlike scales, and their spread over the training set says how well they
    remember it. So both are standardised by what they score among neighbours of the training set:
    architectures one change away, without labels.

    Args:
        predictor: with ``fitted_params_["companions"]``; its companions are of its class.
        graphs: the training set.
        y: (n,), its labels.
        seed: of the companions and the mutations.
    """
    wanted: Sequence[dict[str, Any]] = predictor.fitted_params_["companions"] or ()
    if not wanted or (y == y[0]).all():  # a ranking loss has nothing to learn from equal labels
        return []
    near = neighbours(graphs, seed)
    own = predictor.raw_scores(near)
    if own.ndim == 2:
        raise InvalidParameter(
            f"the head {predictor.fitted_params_['head']!r} learns several labels and has no place for "
            "companions"
        )
    return [
        _fit_one(type(predictor), {"random_state": seed + 1 + at, **parameters}, graphs, y, near, own)
        for at, parameters in enumerate(wanted)
    ]


def _fit_one(
    kind: Any, given: dict[str, Any], graphs: ArchGraphs, y: np.ndarray, near: ArchGraphs, own: np.ndarray
) -> Companion:
    weight = given.pop("weight", 1.0)
    unknown = sorted(given.keys() - set(kind._get_param_names()))
    if unknown:
        raise InvalidParameter(
            f"a companion of the predictor got {unknown[0]!r:.60}; give it parameters of a predictor and a "
            "'weight'"
        )
    companion = kind(**given).fit(
        graphs.with_architecture_features(None), y
    )  # a learned encoder has no place for side information
    scores = companion.predict(near)
    numbers = {"weight": weight, "centre": float(scores.mean()), "spread": _spread(scores)}
    numbers |= {"own_centre": float(own.mean()), "own_spread": _spread(own)}
    return Companion(
        companion, record(numbers, Scale, "the companion", "correct its weight", InvalidParameter)
    )


def neighbours(graphs: ArchGraphs, seed: int) -> ArchGraphs:
    """:data:`NEIGHBOURS` architectures one change away from given ones; these themselves where more is known
    of them than their graph.
    """
    if graphs.simplified or graphs.features is not None or graphs.architecture_features is not None:
        return graphs
    parents = graphs[np.arange(NEIGHBOURS) % len(graphs)]
    mutants: ArchGraphs = graphs.space.mutate(parents, np.random.default_rng(seed))
    return mutants


def _spread(scores: np.ndarray) -> float:
    deviation = float(scores.std())
    return deviation if deviation > 0 else 1.0


def mix(companions: Sequence[Companion], scores: np.ndarray, graphs: ArchGraphs) -> np.ndarray:
    """The weighted mean of a predictor's own scores (N,) and those of its companions."""
    total = 1.0 + sum(companion.scale.weight for companion in companions)
    mixed: np.ndarray = sum((each.scale.weight * each.scores(graphs) for each in companions), scores) / total
    return mixed
