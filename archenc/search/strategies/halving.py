"""Successive halving over training epochs, with new architectures at random or by a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from archenc.errors import DataNotFound, InvalidArchitecture, InvalidParameter
from archenc.registry.rules import Count, Part
from archenc.search.base import Proposal, State, Strategy
from archenc.search.candidates import Candidates
from archenc.search.operators import from_vectors, to_vectors, vector_choices

Rungs = Annotated[
    Sequence[Count], Meta(min_length=2, max_length=20, description="a list of 2 to 20 numbers of epochs")
]
Factor = Annotated[int, Meta(ge=2, le=100, description="a whole number from 2 to 100")]
ATTEMPTS = 20
"""Proposals of the model for each architecture that is wanted, before a random one takes its place."""


class SuccessiveHalving(Strategy):
    """Successive halving (Jamieson, Talwalkar: Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS 2016), asynchronously (Li et al., A System for Massively Parallel Hyperparameter
    Tuning, MLSys 2020, algorithm 2).

    Of what was trained for the epochs of a rung, the best 1 / ``eta`` is trained for those of the next one,
    the highest rung first; where nothing is to be promoted, a new architecture begins on the lowest. Each
    training counts for itself: whether it continues an earlier one or begins anew is the user's. A training
    that failed counts as one and is never promoted.

    Args:
        epochs: r of each rung, ascending.
        eta: of how many one is promoted.
    """

    paper: ClassVar[str] = "Jamieson, Talwalkar, AISTATS 2016; Li et al., MLSys 2020"
    counts_epochs: ClassVar[bool] = True
    revisits: ClassVar[bool] = True

    def __init__(self, epochs: Rungs = (4, 12, 36, 108), eta: Factor = 3) -> None:
        if list(epochs) != sorted(set(epochs)):
            raise InvalidParameter(f"epochs are {list(epochs)}; give each number once, ascending")
        self.epochs = list(epochs)
        self.eta = eta

    def first_epochs(self) -> int:
        return self.epochs[0]

    def propose(self, state: State, count: int) -> Proposal:
        numbers, epochs = self._promoted(state, count)
        new = self.new(state, count - len(numbers), numbers)
        return Proposal([*numbers, *new], [*epochs, *[self.epochs[0]] * len(new)])

    def new(self, state: State, count: int, unless: list[int]) -> list[int]:
        """Up to ``count`` architectures that begin."""
        return state.draw(count, unless)

    def _promoted(self, state: State, count: int) -> tuple[list[int], list[int]]:
        found: dict[int, int] = {}
        for at in range(len(self.epochs) - 2, -1, -1):
            here = state.epochs == self.epochs[at]
            above = self.epochs[at + 1]
            begun = {*state.numbers[state.epochs >= above].tolist()}
            begun |= {*state.pending[state.pending_epochs >= above].tolist()}
            order = np.argsort(-np.nan_to_num(state.y[here, 0], nan=-np.inf), kind="stable")
            best = order[: int(here.sum()) // self.eta]
            good = [number for number in best if np.isfinite(state.y[here, 0][number])]
            for number in state.numbers[here][good].tolist():
                if len(found) < count and number not in begun and number not in found:
                    found[number] = above
        return list(found), list(found.values())


class BOHB(SuccessiveHalving):
    """BOHB (Falkner, Klein, Hutter: BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML
    2018): successive halving in which new architectures come from a model of the good ones, Optuna's
    tree-structured Parzen estimator, multivariate, over the places of a vector.

    The model is of the highest rung with enough trainings, L + 1 for vectors of length L, and a share of new
    architectures is drawn at random all the same.

    Deviations from the paper: the rungs are those of asynchronous successive halving in place of Hyperband's
    brackets; which share of the trainings counts as good is Optuna's choice. Only spaces whose architectures
    are vectors (:mod:`archenc.search.operators`) have such a model.

    Args:
        epochs, eta: as of :class:`SuccessiveHalving`.
        explore: the share drawn at random, rho of the paper.
    """

    paper: ClassVar[str] = "Falkner, Klein, Hutter: BOHB, ICML 2018"

    def __init__(self, epochs: Rungs = (4, 12, 36, 108), eta: Factor = 3, explore: Part = 1 / 3) -> None:
        super().__init__(epochs, eta)
        self.explore = explore

    def check(self, candidates: Candidates) -> None:
        _optuna()
        if vector_choices(candidates.space) is None:
            raise InvalidParameter(
                f"the strategy 'bohb' needs architectures that are vectors of choices, and those of "
                f"{candidates.space.name!r} are none; use 'successive-halving'"
            )

    def new(self, state: State, count: int, unless: list[int]) -> list[int]:
        choices = vector_choices(state.candidates.space)
        assert choices is not None
        rung = self._rung(state, len(choices))
        if rung is None or not count:
            return state.draw(count, unless)
        study, distributions = _study(state, rung, choices)
        found: dict[int, None] = {}
        for _ in range(ATTEMPTS * count):
            if len(found) >= count:
                break
            if state.rng.random() < self.explore:
                found |= dict.fromkeys(state.draw(1, [*unless, *found]))
                continue
            number = _number(state, study.ask(distributions).params)
            if number >= 0 and number not in state.taken and number not in unless:
                found[number] = None
        return list(found)

    def _rung(self, state: State, length: int) -> int | None:
        """The most epochs of which enough trainings tell something."""
        good = np.isfinite(state.y[:, 0])
        for epochs in reversed(self.epochs):
            if (good & (state.epochs == epochs)).sum() > length:
                return epochs
        return None


def _study(state: State, epochs: int, choices: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Optuna's study of the trainings of a rung, and the choices at each place."""
    optuna = _optuna()
    distributions = {
        str(place): optuna.distributions.CategoricalDistribution(list(range(int(count))))
        for place, count in enumerate(choices)
    }
    rows = np.flatnonzero((state.epochs == epochs) & np.isfinite(state.y[:, 0]))
    vectors = to_vectors(state.candidates.space, state.candidates.graphs(state.numbers[rows]))
    assert vectors is not None
    seed = int(state.rng.integers(2**31))
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=1, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={str(place): int(value) for place, value in enumerate(vector)},
                distributions=distributions,
                value=float(state.y[row, 0]),
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
    )
    return study, distributions


def _number(state: State, params: dict[str, int]) -> int:
    """The candidate of a vector; -1 where there is none."""
    vector = np.array([[params[str(place)] for place in range(len(params))]])
    space = state.candidates.space
    try:
        return int(state.candidates.find(space.validate(from_vectors(space, vector)))[0])
    except InvalidArchitecture:
        return -1


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise DataNotFound(
            "the strategy 'bohb' needs the package optuna, which is not installed; run: pip install "
            '"archenc[search]"'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it prints a line a study
    return optuna
