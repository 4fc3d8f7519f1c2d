"""One object for every strategy: ask what to train, tell how it went, in any order, and go on another day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture, InvalidParameter, InvalidTable
from archenc.files.values import as_frame, as_numbers
from archenc.graphs import ArchGraphs, as_graphs
from archenc.registry import STRATEGIES, as_space
from archenc.registry.rules import Seed, checked
from archenc.search.base import Proposal, State, Strategy, Told
from archenc.search.candidates import Candidates, candidates_of
from archenc.search.pareto import leading
from archenc.search.saved import Saved, read_search, save_search
from archenc.spaces.base import Space, is_whole


@dataclass(frozen=True)
class History:
    """The trainings of a search, in the order in which they were told.

    Attributes:
        graphs: n architectures; one that was trained several times stands here as often.
        y: float64 (n,), or (n, M) of M > 1 objectives; NaN for trainings that failed.
        epochs: int64 (n,), 0 where no epochs are counted.
        asked: bool (n,), whether the search had asked for it.
    """

    graphs: ArchGraphs
    y: np.ndarray
    epochs: np.ndarray
    asked: np.ndarray

    def __len__(self) -> int:
        return len(self.graphs)

    def to_frame(self) -> Any:
        """A pandas DataFrame: the columns ``arch`` (text), ``y`` or ``y0`` to ``y{M - 1}``, ``epochs`` and
        ``asked``; raises :class:`DataNotFound` where pandas is not installed.
        """
        values = (
            {"y": self.y} if self.y.ndim == 1 else {f"y{at}": column for at, column in enumerate(self.y.T)}
        )
        texts = self.graphs.space.format(self.graphs)
        return as_frame({"arch": texts, **values, "epochs": self.epochs, "asked": self.asked})


class Search:
    """A search in progress; :func:`create_search` makes one.

    Any number of architectures can be asked for before earlier ones are told, and anything of the space can
    be told, whether it was asked for or not, and again. An architecture that was asked for or told is not
    asked for again, nor is an isomorphic one, except by strategies that train the same one longer. The state
    is the list of what was asked and told: :meth:`save` writes it as JSON, and a search that was read from it
    asks for the same as if it had never stopped.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> search = archenc.create_search("evolution", space, population_size=20, random_state=0)
        >>> for _ in range(3):
        ...     batch = search.ask(10)
        ...     search.tell(batch, space.costs(batch)["flops"])  # stands for accuracies
        >>> graphs, y = search.best(5)
        >>> len(search.history), bool(y[0] == search.history.y.max())
        (30, True)
    """

    def __init__(
        self,
        strategy: Strategy,
        candidates: Candidates,
        *,
        start: ArchGraphs | None = None,
        random_state: int = 0,
    ) -> None:
        strategy.check(candidates)
        self.strategy, self.candidates, self.random_state = strategy, candidates, int(random_state)
        self.asked: list[tuple[int, int]] = []
        self.told: list[Told] = []
        self.start = [] if start is None else self._starting(start)

    @property
    def space(self) -> Space:
        return self.candidates.space

    # -- ask and tell ----------------------------------------------------------------------------------------

    def ask(self, count: int = 1) -> ArchGraphs:
        """``count`` architectures to train next; one fit of a model, whatever the count.

        Raises:
            InvalidParameter: a count below 1, or more than there are left.
        """
        return self.candidates.graphs(np.array(self.ask_numbers(count), dtype=np.int64))

    def ask_numbers(self, count: int = 1) -> list[int]:
        """:meth:`ask` by the numbers of the candidates."""
        if not is_whole(count) or not 1 <= count <= 10**6:
            raise InvalidParameter(f"count is {count!r:.80}; give a whole number of at least 1")
        state = self.state()
        numbers = state.fresh(self.start)[:count]
        epochs = [self.strategy.first_epochs()] * len(numbers)
        if len(numbers) < count:
            proposal = self._proposal(state, numbers, count - len(numbers))
            numbers, epochs = numbers + proposal.numbers, epochs + proposal.epochs
        self.asked += list(zip(numbers, epochs, strict=True))
        self.candidates.forget_all_but({*state.taken, *self.start, *numbers})
        return numbers

    def _proposal(self, state: State, start: list[int], count: int) -> Proposal:
        """What the strategy proposes, beside the starting points that are asked for with it, and random
        architectures where these are too few.
        """
        if start:
            state = self.state(start)
        made = self.strategy.propose(state, count)
        numbers, epochs = (made.numbers, made.epochs) if isinstance(made, Proposal) else (made, [])
        numbers, epochs = numbers[:count], epochs[:count] or [0] * len(numbers[:count])
        if len(numbers) < count:
            drawn = state.draw(count - len(numbers), numbers)
            numbers, epochs = numbers + drawn, epochs + [self.strategy.first_epochs()] * len(drawn)
        if len(numbers) < count:
            left = len(start) + len(numbers)
            remedy = f"ask for at most {left}" if left else "the search is at its end"
            raise InvalidParameter(
                f"only {left} architectures are left that were not asked for or told; {remedy}"
            )
        return Proposal(numbers, epochs)

    def epochs(self, graphs: Any) -> np.ndarray:
        """int64 (n,): for how many epochs architectures that were asked for are to be trained; 0 where the
        strategy leaves that open.
        """
        wanted = dict(self.asked)
        return np.array(
            [wanted.get(int(at), 0) for at in self.candidates.meet(as_graphs(graphs, self.space))],
            dtype=np.int64,
        )

    def tell(self, graphs: Any, y: Any, epochs: Any = None) -> None:
        """Say how trainings went.

        Args:
            graphs: n architectures of the space, whether they were asked for or not, in any form that
                :func:`archenc.graphs.as_graphs` takes.
            y: (n,), or (n, M) for M objectives, higher is better; NaN for a training that failed.
            epochs: (n,) how many epochs they were trained for, or one number for all; by default as many as
                were asked for.

        Raises:
            InvalidArchitecture: what is no architecture of the space.
            InvalidTable: not one value for each, infinite ones, or another number of objectives than before.
        """
        self.tell_numbers(self.candidates.meet(as_graphs(graphs, self.space)), y, epochs)

    def tell_numbers(self, numbers: Any, y: Any, epochs: Any = None) -> None:
        """:meth:`tell` by the numbers of the candidates."""
        values = as_numbers(y, "y")
        values = values.reshape(1) if values.ndim == 0 else values
        if values.ndim not in (1, 2) or len(values) != len(numbers) or values.shape[1:] == (0,):
            raise InvalidTable(
                f"y has shape {values.shape} for {len(numbers)} architectures; give one value each, or a "
                "column for each objective"
            )
        rows = values.reshape(len(values), -1)
        if np.isinf(rows).any():
            raise InvalidTable("a value of y is infinite; give NaN for a training that failed")
        self._check_objectives(rows.shape[1])
        wanted = dict(self.asked)
        lengths = self._lengths(epochs, np.asarray(numbers), wanted)
        self.told += [
            Told(int(number), tuple(map(float, row)), length, int(number) in wanted)
            for number, row, length in zip(numbers, rows, lengths, strict=True)
        ]

    def _lengths(self, epochs: Any, numbers: np.ndarray, wanted: dict[int, int]) -> list[int]:
        if epochs is None:
            return [wanted.get(int(number), 0) for number in numbers]
        given = as_numbers(epochs, "epochs")
        if given.shape not in ((), numbers.shape) or (given < 0).any() or (given % 1 != 0).any():
            raise InvalidTable(
                f"epochs of shape {given.shape} do not fit {len(numbers)} architectures; give whole numbers, "
                "one each or one for all"
            )
        return [int(length) for length in np.broadcast_to(given, numbers.shape)]

    def _check_objectives(self, columns: int) -> None:
        if self.told and len(self.told[0].y) != columns:
            raise InvalidTable(
                f"y has {columns} objectives and earlier trainings have {len(self.told[0].y)}; give the same"
            )
        if columns > 1 and self.strategy.objectives == "one":
            raise InvalidTable(
                f"y has {columns} objectives and the strategy takes one; give one column, or choose the "
                "strategy 'nsga2'"
            )

    def _starting(self, graphs: ArchGraphs) -> list[int]:
        numbers = self.candidates.find(graphs)
        if len(unknown := np.flatnonzero(numbers < 0)):
            text = self.space.format(graphs[unknown[:1]])[0]
            raise InvalidArchitecture(
                f"start[{unknown[0]}], {text:.80}, is none of the candidates; give one of them, or make the "
                "search without candidates"
            )
        return [int(number) for number in numbers]

    # -- what is known ---------------------------------------------------------------------------------------

    def state(self, with_start: list[int] | None = None) -> State:
        """What the strategy is told at this moment, with starting points that are about to be asked for."""
        asked = [*self.asked, *((number, 0) for number in with_start or [])]
        pending = self._pending(asked)
        columns = len(self.told[0].y) if self.told else 1
        return State(
            self.candidates,
            np.array([each.number for each in self.told], dtype=np.int64),
            np.array([each.y for each in self.told], dtype=np.float64).reshape(-1, columns),
            np.array([each.epochs for each in self.told], dtype=np.int64),
            np.array([number for number, _ in pending], dtype=np.int64),
            np.array([epochs for _, epochs in pending], dtype=np.int64),
            {number for number, _ in asked} | {each.number for each in self.told},
            np.random.default_rng([self.random_state, len(asked), len(self.told)]),
            self.random_state,
        )

    def _pending(self, asked: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if self.strategy.counts_epochs:
            done = {(each.number, each.epochs) for each in self.told}
            return [each for each in asked if each not in done]
        known = {each.number for each in self.told}
        return [each for each in asked if each[0] not in known]

    @property
    def pending(self) -> ArchGraphs:
        """The architectures that were asked for and not told, in the order of asking."""
        return self.candidates.graphs(self.state().pending)

    @property
    def history(self) -> History:
        """All that was told."""
        state = self.state()
        y = state.y[:, 0] if state.y.shape[1] == 1 else state.y
        asked = np.array([each.asked for each in self.told], dtype=bool)
        return History(self.candidates.graphs(state.numbers), y, state.epochs, asked)

    def best(self, count: int = 1) -> tuple[ArchGraphs, np.ndarray]:
        """The best trained architectures, and their values (n,) or (n, M): means of what was told of each.

        Of several objectives whole fronts come one after the other
        (:func:`archenc.search.pareto.leading`). Where epochs are counted, only the longest trainings count.

        Raises:
            InvalidParameter: a count below 1.
            InvalidTable: no training was told that did not fail.
        """
        if not is_whole(count) or count < 1:
            raise InvalidParameter(f"count is {count!r:.80}; give a whole number of at least 1")
        state = self.state()
        numbers, values = (state.longest() if self.strategy.counts_epochs else state).trained()
        if not len(numbers):
            raise InvalidTable("no training was told that did not fail; tell one first")
        at, _ = leading(values, min(count, len(values)))
        return self.candidates.graphs(numbers[at]), values[at, 0] if values.shape[1] == 1 else values[at]

    def save(self, path: str | Path) -> Path:
        """Write the search as a JSON file, whole or not at all; :func:`load_search` reads it."""
        state = (self.random_state, self.start, self.asked, self.told)
        return save_search(Saved(self.strategy, self.candidates, *state), path)

    def __repr__(self) -> str:
        pending = len(self._pending(self.asked))
        return f"Search({self.strategy!r}, {self.space.name}: {len(self.told)} told, {pending} pending)"


def create_search(
    strategy: str | Strategy,
    space: Space | str,
    *,
    candidates: Any = None,
    start: Any = None,
    twins: bool = False,
    random_state: int = 0,
    **parameters: Any,
) -> Search:
    """A search by a strategy, such as ``create_search("evolution", "nasbench201", population_size=20)``.

    Args:
        strategy: its name (``archenc.list_strategies()``), or a strategy.
        space: the search space, or its name.
        candidates: what to choose among, in any form that :func:`archenc.graphs.as_graphs` takes, or as
            :class:`archenc.search.candidates.Embedded`; by default all architectures of the space.
        start: own starting points, which are asked for first.
        twins: whether an isomorphic twin of what was asked for or told may be asked for; only of candidates
            that can be listed.
        random_state: seed; the same one asks for the same.
        parameters: of the strategy.

    Raises:
        UnknownName: there is no strategy, or no space, of that name.
        InvalidParameter: a parameter that the strategy does not have, or candidates that it cannot search.
        InvalidArchitecture: candidates or starting points that are none of the space.
    """
    made = _strategy(strategy, parameters)
    where = as_space(space)
    if not isinstance(where, Space):
        raise InvalidParameter(f"{space!r:.80} is no search space; give one, or its name")
    seed = checked("the search", "random_state", random_state, Seed)
    pool = candidates_of(where, candidates, twins)
    return Search(made, pool, start=None if start is None else as_graphs(start, where), random_state=seed)


def _strategy(strategy: str | Strategy, parameters: dict[str, Any]) -> Strategy:
    if isinstance(strategy, str):
        return STRATEGIES.create(strategy, **parameters)
    if not isinstance(strategy, Strategy):
        raise InvalidParameter(f"{strategy!r:.80} is no strategy; give one, or its name")
    if parameters:
        raise InvalidParameter(
            f"the parameter {next(iter(parameters))!r} came beside a finished strategy; give it to that one"
        )
    return strategy


def load_search(path: str | Path, candidates: Any = None) -> Search:
    """Read what :meth:`Search.save` wrote; the search goes on as if it had never stopped.

    Args:
        path: the file.
        candidates: the list that the search was made with, if it was made with one.

    Raises:
        DataNotFound, CorruptFile: there is no such file, or one that cannot be rebuilt.
        InvalidParameter: the candidates are missing, or others.
    """
    saved = read_search(path, candidates)
    search = Search(saved.strategy, saved.candidates, random_state=saved.random_state)
    search.start, search.asked, search.told = saved.start, saved.asked, saved.told
    return search
