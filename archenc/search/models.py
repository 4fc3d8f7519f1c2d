"""What strategies with a model share: which architectures it scores, and how it is fitted on what was
trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from archenc.errors import InvalidParameter
from archenc.predictor import Predictor
from archenc.search.base import State
from archenc.spaces.base import Space

Score = Callable[[np.ndarray], np.ndarray]
"""The scores of architectures, by number; higher is more worth a training."""

PARENTS = 20
"""Trained architectures whose neighbours are scored where not all candidates are."""


def checked_predictor(given: Any, default: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The parameters of a predictor, or None for the default of a space; raises :class:`InvalidParameter`.

    Args:
        given: a :class:`archenc.Predictor` that need not be fitted, its parameters, or None.
        default: for None.
    """
    if given is None:
        return default
    if isinstance(given, Predictor):
        usual = Predictor().get_params(deep=False)
        checked = given.checked_parameters()
        return {
            name: checked[name]
            for name, value in given.get_params(deep=False).items()
            if value != usual[name] and name not in ("random_state", "space")
        }
    if isinstance(given, dict) and all(isinstance(name, str) for name in given):
        Predictor(**given).checked_parameters()
        return dict(given)
    raise InvalidParameter(f"{given!r:.80} is no predictor; give one, or its parameters by name")


def gaussian_process(space: Space) -> dict[str, Any]:
    """The parameters of a Gaussian process on features of the graphs (GRAF-plus), which is fitted in
    milliseconds.
    """
    simplify = space.op_on == "edge" or space.none_op is not None or space.skip_op is not None
    return {"encoder": "graf-plus", "head": "gp", "loss": "mse", "simplify": simplify}


def can_learn(y: np.ndarray) -> bool:
    """Whether labels (n,) tell anything apart."""
    return len(y) > 1 and bool(np.ptp(y) > 0)


def fitted(parameters: dict[str, Any], state: State, numbers: np.ndarray, y: np.ndarray) -> Predictor:
    """A predictor, fitted on the architectures of these numbers and their labels (n,)."""
    predictor = Predictor(**parameters, random_state=state.seed)
    return predictor.fit(state.candidates.graphs(numbers), y)


def pool(state: State, numbers: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """int64: candidates to be scored, none of them taken: all of a list of up to ``size``; else that many
    random ones, and the neighbours of the best trained.

    Args:
        state: of the search.
        numbers: (n,) trained architectures.
        y: (n,) their labels.
        size: how many are scored at most, but for the neighbours.
    """
    drawn = state.candidates.draw(size, state.rng, state.taken)
    if len(drawn) < size:
        return np.sort(drawn) if state.candidates.listed else drawn
    best = numbers[np.argsort(-y, kind="stable")[:PARENTS]]
    near = [at for parent in best for at in state.fresh(state.candidates.neighbours(int(parent)))]
    return np.array(list(dict.fromkeys([*drawn.tolist(), *near])), dtype=np.int64)


def evolved(state: State, score: Score, numbers: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """int64: candidates that an evolutionary search finds by their scores alone, none of them taken.

    It begins with the best trained and as many random architectures; in each generation the neighbours of
    the best by score are scored, until about ``size`` were.
    """
    parents = numbers[np.argsort(-y, kind="stable")[:PARENTS]].tolist()
    known: dict[int, float] = {}
    wave = list(dict.fromkeys([*parents, *state.draw(PARENTS)]))
    while wave and len(known) < size:
        known |= dict(zip(wave, score(np.array(wave, dtype=np.int64)).tolist(), strict=True))
        best = sorted(known, key=lambda number: -known[number])[:PARENTS]
        near = dict.fromkeys(at for parent in best for at in state.candidates.neighbours(parent).tolist())
        wave = [number for number in near if number not in known]
    return np.array(state.fresh(known), dtype=np.int64)


def best_first(numbers: np.ndarray, scores: np.ndarray, count: int) -> list[int]:
    """The ``count`` highest scored, best first; of equal ones the first."""
    return [int(at) for at in numbers[np.argsort(-scores, kind="stable")[:count]]]
