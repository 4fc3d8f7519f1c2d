"""The contract of a search strategy."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, concatenate
from archenc.graphs.hashing import sortable_keys
from archenc.registry import STRATEGIES, create_space
from archenc.search.base import Strategy
from archenc.search.search import Search, create_search, load_search
from archenc.spaces.base import Space
from archenc.testing.assertions import assert_raises, equal, resolve


def check_strategy(
    entry: str | type[Strategy], space: Space | str = "nasbench201", **parameters: Any
) -> None:
    """Asking for what is new and nothing twice, the same by the same seed, failed and foreign trainings, a
    search that goes on from a file, a list of candidates to its end.

    Args:
        entry: its name, or its class, which is registered.
        space: where it searches.
        parameters: of the strategy, small ones for a quick check.
    """
    strategy: type[Strategy] = resolve(STRATEGIES, entry)
    assert strategy.paper, "the class attribute 'paper' is not set"
    made = strategy(**parameters)
    assert strategy(**json.loads(json.dumps(made.parameters()))).parameters() == made.parameters(), (
        "parameters() is not what makes the strategy again"
    )
    where = create_space(space) if isinstance(space, str) else space

    def search(seed: int = 0, **options: Any) -> Search:
        return create_search(strategy(**parameters), where, random_state=seed, **options)

    _check_new(search(), made.revisits)
    assert equal(_asked(search()), _asked(search())), "the same seed asks for other architectures"
    assert not equal(_asked(search()), _asked(search(1))), "two seeds ask for the same architectures"
    _check_trainings_of_others(search(), where)
    _check_resumed(search())
    if not made.revisits:
        _check_list(where.sample(30, seed=5), lambda few: search(candidates=few))


def worth(graphs: ArchGraphs) -> np.ndarray:
    """Labels that are equal for isomorphic architectures, (N,)."""
    ops = graphs.ops.double().reshape(len(graphs), -1)
    total: np.ndarray = (ops.sum(1) + (ops**2).sum(1) / 10).numpy()
    return total


def _run(search: Search, rounds: int, count: int = 5) -> list[ArchGraphs]:
    """What is asked for; every seventh training fails, and every round is told when the next was asked."""
    batches: list[ArchGraphs] = []
    for _ in range(rounds):
        batches.append(search.ask(count))
        for batch in batches[-2:-1]:
            y = worth(batch)
            y[len(search.history) % 7 :: 7] = np.nan
            search.tell(batch, y)
    return batches


def _asked(search: Search) -> ArchGraphs:
    return concatenate(_run(search, 6))


def _check_new(search: Search, revisits: bool) -> None:
    batches = _run(search, 6)
    assert all(len(batch) == 5 for batch in batches), "ask(5) gave another number of architectures"
    for batch in batches if revisits else [concatenate(batches)]:
        keys = sortable_keys(batch.hash())
        assert len(np.unique(keys)) == len(batch), "an architecture, or its twin, was asked for twice"


def _check_trainings_of_others(search: Search, space: Space) -> None:
    """Results that were never asked for are learnt from and not asked for."""
    others = space.sample(20, seed=11)
    search.tell(others, worth(others))
    search.tell(others[:2], worth(others[:2]) + 1)
    asked = _asked(search)
    if not search.strategy.revisits:
        known = np.isin(sortable_keys(asked.hash()), sortable_keys(others.hash()))
        assert not known.any(), "it asked for what it had been told"
    search.tell(search.pending, np.full(len(search.pending), np.nan))
    assert len(search.ask(3)) == 3, "it does not go on where all trainings of a batch failed"


def _check_resumed(search: Search) -> None:
    _run(search, 4)
    with TemporaryDirectory() as folder:
        again = load_search(search.save(Path(folder) / "search.json"))
    assert equal(search.ask(5), again.ask(5)), "read from a file, the search goes on in another way"


def _check_list(few: ArchGraphs, search: Any) -> None:
    begun = search(few)
    different = len(np.unique(sortable_keys(few.hash())))
    seen: list[bytes] = []
    while len(seen) < different:
        batch = begun.ask(min(7, different - len(seen)))
        begun.tell(batch, worth(batch))
        seen += sortable_keys(batch.hash()).tolist()
    assert set(seen) == set(sortable_keys(few.hash()).tolist()), "it left the list of candidates"
    assert_raises(InvalidParameter, lambda: begun.ask(1), "ask(1) at the end of the candidates")
