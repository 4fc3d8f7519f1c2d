"""Unlike estimators on one encoding, brought to one scale by what they predict for architectures they have
not seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from archenc.errors import CorruptFile, InvalidParameter
from archenc.files.documents import Record, record
from archenc.files.sealed import saved_arrays, under
from archenc.heads.base import COVERAGE, INTERVAL, EstimatorHead, SquaredErrorHead
from archenc.losses import Loss
from archenc.metrics import kendall_tau
from archenc.registry import HEADS
from archenc.registry.rules import Count, NotNegative, Positive, Seed

DEFAULT_MEMBERS: Mapping[str, Mapping[str, Any]] = {"grouped-gp": {}, "xgboost": {}}
CLEARLY = 0.02
"""By how much the tau of a single member must be higher than what it replaces; less is noise of the
out-of-fold predictions.
"""
LEAST_TO_CHOOSE = 78
"""Labels from which out-of-fold predictions tell reliably whether a member is better left out."""


class _Numbers(Record):
    """What the out-of-fold predictions gave; lists hold a number for each member, ``tau`` that of the mixture
    behind them.
    """

    centre: list[float]
    spread: list[Positive]
    weights: list[NotNegative]
    slope: float
    intercept: float
    factor: NotNegative
    tau: list[float]
    seconds: list[NotNegative]

    def of_members(self) -> list[list[float]]:
        """The lists that have a number for each member."""
        return [self.centre, self.spread, self.weights, self.tau[:-1], self.seconds]


class _Held(Record):
    numbers: _Numbers
    members: dict[str, dict[str, Any]]


class MixtureHead(SquaredErrorHead):
    """The mean of several estimators' scores, each standardised by its out-of-fold predictions on the
    training set.

    Every member predicts each training architecture from a fit without it (``folds``-fold cross-validation,
    Stone, JRSS B 1974). These predictions give each member its scale; say, from 78 labels on, whether a
    single member ranks better; and calibrate the result by the line of least squares. Residuals from that
    line, over the predicted deviations, give the factor that makes the 80 percent interval cover 80 percent
    of them (split conformal prediction with normalised residuals, Lei et al., JASA 2018, section 5.2, on
    out-of-fold instead of held-out residuals).

    Args:
        members: the keyword parameters of each member by its head's name; the first must predict deviations.
        combine: ``"mean"`` of all members, or ``"best"``, which is the first. From 78 labels on, a single
            member that ranks clearly better takes their place.
        folds: parts of the cross-validation.
        random_state: seed of folds and members.

    Attributes:
        report_: members, weights, out-of-fold Kendall's tau of each and of the mixture, seconds of each; and
            what the mixture predicts for each training architecture without its label.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.mixture import MixtureHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> head = MixtureHead(random_state=0).fit(encodings, encodings[:, 0].astype(float), MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    paper = "no paper: this package's own"
    has_std = True
    calibrated = True

    members_: dict[str, Any]
    numbers_: _Numbers
    unseen_: np.ndarray

    def __init__(
        self,
        *,
        members: dict[str, dict[str, Any]] | None = None,
        combine: Literal["mean", "best"] = "mean",
        folds: Count = 5,
        random_state: Seed | None = None,
    ) -> None:
        wanted = DEFAULT_MEMBERS if members is None else members
        factories = {name: HEADS.get(name) for name in wanted}
        if not wanted or not all(issubclass(factory, EstimatorHead) for factory in factories.values()):
            raise InvalidParameter(
                f"the head 'mixture' got the members {', '.join(wanted) or 'none'}; give heads that are "
                "estimators"
            )
        if not next(iter(factories.values())).has_std:
            raise InvalidParameter(
                f"the first member of the head 'mixture' is {next(iter(wanted))!r}; give one with "
                "deviations, such as 'gp'"
            )
        self.members = members
        self.combine = combine
        self.folds = folds
        self.random_state = random_state

    def _build(self) -> dict[str, Any]:
        wanted = DEFAULT_MEMBERS if self.members is None else self.members
        seed = 0 if self.random_state is None else self.random_state
        return {name: HEADS.create(name, **{"random_state": seed, **given}) for name, given in wanted.items()}

    # -- fitting ---------------------------------------------------------------------------------------------

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> MixtureHead:
        self.members_ = self._build()
        unseen, deviations, seconds = self._out_of_fold(encodings, targets, loss)
        centre, spread = unseen.mean(1), unseen.std(1)
        spread = np.where(spread > 0, spread, 1.0)
        standardised = (unseen - centre[:, None]) / spread[:, None]
        weights = self._weights(standardised, targets)
        mixed = weights @ standardised
        slope, intercept = _line(mixed, targets)
        self.unseen_ = intercept + slope * mixed
        residuals = np.abs(targets - self.unseen_)
        ratios = np.sort(residuals / deviations)
        factor = ratios[min(len(ratios), math.ceil(COVERAGE * (len(ratios) + 1))) - 1] / INTERVAL
        self.numbers_ = _Numbers(
            centre=centre.tolist(),
            spread=spread.tolist(),
            weights=weights.tolist(),
            slope=slope,
            intercept=intercept,
            factor=float(factor),
            tau=[_tau(targets, scores) for scores in (*unseen, mixed)],
            seconds=seconds,
        )
        for member in self.members_.values():
            member.fit(encodings, targets, loss)
        return self

    def _out_of_fold(
        self, encodings: np.ndarray, targets: np.ndarray, loss: Loss
    ) -> tuple[np.ndarray, np.ndarray, list[float]]:
        """Predictions (M, n) by each member without the architecture's own label, deviations (n,) by the
        first, seconds of each member.
        """
        unseen, deviations, seconds = np.empty((len(self.members_), len(targets))), np.empty(len(targets)), []
        for at, member in enumerate(self.members_.values()):
            start = time.perf_counter()
            for held_out in self._folds(encodings):
                rest = np.setdiff1d(np.arange(len(targets)), held_out)
                member.fit(encodings[rest], targets[rest], loss)
                if at == 0:
                    unseen[at, held_out], deviations[held_out] = member.predict_distribution(
                        encodings[held_out]
                    )
                else:
                    unseen[at, held_out] = member.predict(encodings[held_out])
            seconds.append(round(time.perf_counter() - start, 3))
        return unseen, np.maximum(deviations, 1e-9), seconds

    def _folds(self, encodings: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of each fold; equal encodings, such as one architecture trained with several seeds, are in the
        same one.
        """
        architecture = _numbered(encodings)
        if not architecture.any():  # a single one: its labels are all there is to learn from
            architecture = np.arange(len(encodings))
        order = np.random.RandomState(self.random_state or 0).permutation(architecture.max() + 1)
        folds = np.array_split(order, min(self.folds, len(order)))
        return (np.flatnonzero(np.isin(architecture, fold)) for fold in folds)

    def _weights(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(M,): those that ``combine`` says, or from :data:`LEAST_TO_CHOOSE` labels on of a single member
        that ranks clearly better.
        """
        single = np.eye(len(scores))
        usual = single[0] if self.combine == "best" else np.full(len(scores), 1 / len(scores))
        best = max(single, key=lambda weights: _tau(targets, weights @ scores))
        better = _tau(targets, best @ scores) - _tau(targets, usual @ scores)
        return best if len(targets) >= LEAST_TO_CHOOSE and better > CLEARLY else usual

    @property
    def report_(self) -> dict[str, Any]:
        """What was done."""
        self._check_fitted()
        names = list(self.members_)
        *taus, mixed = self.numbers_.tau
        members = zip(names, self.numbers_.weights, taus, self.numbers_.seconds, strict=True)
        return {
            "members": {
                name: {"weight": w, "out_of_fold_tau": tau, "seconds": s} for name, w, tau, s in members
            },
            "out_of_fold_tau": mixed,
            "out_of_fold": self.unseen_.tolist(),
        }

    # -- using -----------------------------------------------------------------------------------------------

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        return self._mix([member.predict(encodings) for member in self.members_.values()])

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._check_fitted()
        first, *others = self.members_.values()
        scores, deviations = first.predict_distribution(encodings)
        return self._mix(
            [scores, *(member.predict(encodings) for member in others)]
        ), self.numbers_.factor * deviations

    def _mix(self, scores: list[np.ndarray]) -> np.ndarray:
        held = self.numbers_
        standardised = (np.stack(scores) - np.array(held.centre)[:, None]) / np.array(held.spread)[:, None]
        mixed: np.ndarray = held.intercept + held.slope * (np.array(held.weights) @ standardised)
        return mixed

    # -- keeping ---------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        states = {name: member.state() for name, member in self.members_.items()}
        arrays = {f"{name}.{key}": array for name, (held, _) in states.items() for key, array in held.items()}
        arrays["unseen"] = self.unseen_
        return arrays, {
            "numbers": msgspec.to_builtins(self.numbers_),
            "members": {name: values for name, (_, values) in states.items()},
        }

    def takes(self, dim: int) -> bool:
        return all(member.takes(dim) for member in self.members_.values())

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> MixtureHead:
        held = record(values, _Held, "the saved mixture", "train and save again")
        members = self._build()
        if members.keys() != held.members.keys() or any(
            len(column) != len(members) for column in held.numbers.of_members()
        ):
            raise CorruptFile(
                "the saved mixture has other members than its parameters name; train and save again"
            )
        self.members_ = {
            name: member.restore(under(name, arrays), held.members[name]) for name, member in members.items()
        }
        self.numbers_ = held.numbers
        own = {name: array for name, array in arrays.items() if "." not in name}
        (self.unseen_,) = saved_arrays(own, {"unseen": ((None,), "f")})
        return self


def _numbered(rows: np.ndarray) -> np.ndarray:
    """int64 (n,): a number from 0 that equal rows of (n, dim) share, in the order of their first
    appearance.
    """
    _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    rank: np.ndarray = np.argsort(np.argsort(first))[number.ravel()]
    return rank


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the line of least squares through (x, y); rising at least a little, so that
    ranks are kept.
    """
    variance = float(x.var())
    slope = max(float(np.cov(x, y, bias=True)[0, 1]) / variance, 1e-6) if variance > 0 else 1.0
    return slope, float(y.mean() - slope * x.mean())


def _tau(targets: np.ndarray, scores: np.ndarray) -> float:
    """Kendall's tau, 0 where it is not defined."""
    tau = float(kendall_tau(targets, scores)) if np.ptp(targets) > 0 and np.ptp(scores) > 0 else 0.0
    return tau if np.isfinite(tau) else 0.0
