"""Search protocols and strategies of benchmarks, as ``searches.yaml`` holds them."""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from archenc.errors import InvalidParameter, UnknownName, hint
from archenc.files.documents import FileName, Name, Record, plain_values, read_yaml, record
from archenc.registry import STRATEGIES
from archenc.registry.rules import Count, Whole

FILE = Path(str(files("archenc.benchmarks"))) / "searches.yaml"

Queries = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 to 100,000")]


class Rung(Record):
    """A length of training, and the label after it."""

    epochs: Count
    label: Name


class SearchSetting(Record, kw_only=True, omit_defaults=True):
    """What decides a number.

    Attributes:
        name, version: together they name it for good.
        dataset, label: the table, and the label that strategies are told; higher is better.
        reported: the label of the best found that is reported; by default the same.
        against: another label, or a cost of the space, to be low at the same time.
        subset: a part of the table; the rest is left out.
        queries: trainings of a search.
        twins: whether isomorphic architectures are different ones, each with its own label.
        rungs: shorter trainings and the full one, in ascending order, for strategies that choose how long to
            train; a search may spend the epochs of ``queries`` full ones.
        continued: whether a longer training goes on from a shorter one, so that only the difference is spent.
    """

    name: FileName
    version: Whole
    dataset: FileName
    label: Name
    reported: Name | None = None
    against: Name | None = None
    subset: Name | None = None
    queries: Queries
    twins: bool = False
    rungs: tuple[Rung, ...] = ()
    continued: bool = False

    def __post_init__(self) -> None:
        lengths = [rung.epochs for rung in self.rungs]
        if lengths != sorted(set(lengths)) or (self.rungs and self.rungs[-1].label != self.label):
            raise ValueError("'rungs' have to ascend and to end with the label")


class SearchProtocol(SearchSetting, kw_only=True):
    """A :class:`SearchSetting` and what is run by default.

    Attributes:
        seeds: so many from 0 on.
        checkpoints: after how many queries the best found is reported.
        strategies: names in ``searches.yaml``.
    """

    seeds: Count
    checkpoints: tuple[Queries, ...]
    strategies: tuple[Name, ...]

    @property
    def bare(self) -> SearchSetting:
        """What decides a number."""
        return SearchSetting(**{name: getattr(self, name) for name in SearchSetting.__struct_fields__})

    @property
    def setting(self) -> dict[str, Any]:
        """The same as JSON values."""
        values: dict[str, Any] = plain_values(self.bare)
        return values


class Contender(Record, kw_only=True, omit_defaults=True):
    """A strategy of a benchmark.

    Attributes:
        name: what its row is called.
        strategy: the registered name.
        parameters: those that differ from its defaults.
        batch: architectures that it is asked for at once.
        encoding: an encoder's parameters, whose distances say which architectures are neighbours and
            which are drawn at random (:class:`archenc.search.embedded.Embedded`).
    """

    name: Name
    strategy: Name
    parameters: dict[Name, Any] = {}  # noqa: RUF012 - msgspec copies it
    batch: Count = 10
    encoding: dict[Name, Any] | None = None


@functools.cache
def _packaged() -> dict[str, Any]:
    return read_yaml(FILE)


def list_searches() -> list[str]:
    """Names of the search protocols."""
    return sorted(_packaged()["protocols"])


def load_search_protocol(name: str) -> SearchProtocol:
    """The search protocol of that name; raises :class:`UnknownName` where there is none."""
    content = _packaged()
    if name not in content["protocols"]:
        raise UnknownName(
            f"there is no search protocol called {name!r}; {hint(name, list_searches(), 'see bench list')}"
        )
    merged = {**content["defaults"], **content["protocols"][name], "name": name}
    return record(merged, SearchProtocol, FILE.name, "correct it", InvalidParameter)


def find_contender(name: str) -> Contender:
    """The strategy of that name in ``searches.yaml``, or a registered one with its defaults; raises
    :class:`UnknownName`.
    """
    entry = _packaged()["strategies"].get(name)
    if entry is None:
        STRATEGIES.get(name)
        entry = {"strategy": name}
    return record({**entry, "name": name}, Contender, FILE.name, "correct it", InvalidParameter)
