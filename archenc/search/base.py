"""The contract of a search strategy: what was trained in, what to train next out."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from archenc.errors import InvalidParameter
from archenc.registry.parameters import Checked
from archenc.search.candidates import Candidates


@dataclass(frozen=True)
class State:
    """All that a strategy is told: what was trained, what is being trained, and chance.

    A strategy is a function of it, so that a search that is read from a file goes on as if it had never
    stopped.

    Attributes:
        candidates: architectures by number; every number below is one of theirs.
        numbers: int64 (n,), the architectures whose trainings were told, in that order; one that was trained
            several times stands here as often.
        y: float64 (n, M), their M objectives, higher is better; NaN in the rows of trainings that failed.
        epochs: int64 (n,), the epochs of each training; 0 where no epochs are counted.
        pending: int64 (p,), those that were asked for and not told, in the order of asking.
        pending_epochs: int64 (p,), the epochs that were asked for.
        taken: those that are not to be asked for again.
        rng: what chance depends on; another one for each call.
        seed: the seed of the search.
    """

    candidates: Candidates
    numbers: np.ndarray
    y: np.ndarray
    epochs: np.ndarray
    pending: np.ndarray
    pending_epochs: np.ndarray
    taken: frozenset[int] | set[int]
    rng: np.random.Generator
    seed: int

    @property
    def count(self) -> int:
        """How many architectures were asked for or told."""
        return len(self.numbers) + len(self.pending)

    def trained(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers (m,) of architectures whose training did not fail, in the order in which they were
        first told, and the means (m, M) of their objectives.
        """
        good = np.isfinite(self.y).all(axis=1)
        numbers, y = self.numbers[good], self.y[good]
        different, first, which = np.unique(numbers, return_index=True, return_inverse=True)
        means = np.zeros((len(different), self.y.shape[1]))
        np.add.at(means, which, y)
        means /= np.bincount(which, minlength=len(different))[:, None]
        order = np.argsort(first)
        return different[order], means[order]

    def longest(self) -> State:
        """The same with the longest trainings alone."""
        rows = self.epochs == self.epochs.max(initial=0)
        return replace(self, numbers=self.numbers[rows], y=self.y[rows], epochs=self.epochs[rows])

    def draw(self, count: int, unless: Iterable[int] = ()) -> list[int]:
        """Random architectures that are neither taken nor in ``unless``."""
        taken = {*self.taken, *unless} if unless else self.taken
        return [int(number) for number in self.candidates.draw(count, self.rng, taken)]

    def fresh(self, numbers: Iterable[int]) -> list[int]:
        """Those that may be asked for, each once, in their order."""
        different = dict.fromkeys(int(number) for number in numbers)
        return [number for number in different if number >= 0 and number not in self.taken]


@dataclass(frozen=True)
class Told:
    """A training that was told: the architecture's number, its objectives, NaN if it failed, its epochs, and
    whether it was asked for.
    """

    number: int
    y: tuple[float, ...]
    epochs: int
    asked: bool


@dataclass(frozen=True)
class Proposal:
    """What to train next.

    Attributes:
        numbers: architectures, by number, at most as many as were asked for.
        epochs: for how many epochs to train each; empty where no epochs are counted.
    """

    numbers: list[int]
    epochs: list[int] = field(default_factory=list)


class Strategy(Checked, ABC):
    """Says what to train next.

    A subclass has keyword parameters with defaults, which it stores under their names, and implements
    :meth:`propose`. It is found by name where its package declares it as an entry point of the group
    ``archenc.strategies``, and :func:`archenc.testing.check_strategy` checks its contract.

    Attributes:
        paper: authors, venue, year and section of the source.
        objectives: how many objectives it takes: ``"one"``, or ``"any"`` number of them.
        counts_epochs: whether it says for how many epochs to train, and learns from trainings of different
            lengths.
        revisits: whether it may ask for what is taken, as one does that trains the same architecture longer.
    """

    paper: ClassVar[str] = ""
    objectives: ClassVar[str] = "one"
    counts_epochs: ClassVar[bool] = False
    revisits: ClassVar[bool] = False

    @abstractmethod
    def propose(self, state: State, count: int) -> list[int] | Proposal:
        """The numbers of up to ``count`` architectures to train next, none of them taken or twice.

        Where they are fewer, :class:`archenc.search.Search` draws the others at random.
        """

    def first_epochs(self) -> int:
        """For how many epochs a new architecture is trained; 0 where no epochs are counted."""
        return 0

    def parameters(self) -> dict[str, Any]:
        """The parameters it was made with, as JSON values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def check(self, candidates: Candidates) -> None:
        """Raise :class:`InvalidParameter` where the strategy cannot search these candidates."""

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({given})"


def listed_only(strategy: str, candidates: Candidates) -> None:
    """Raise :class:`InvalidParameter` unless all candidates are known from the start."""
    if not candidates.listed:
        raise InvalidParameter(
            f"the strategy {strategy!r} needs a list, and the space {candidates.space.name!r} is too large "
            "for one; give candidates=..."
        )
