"""How many trainings a search strategy needs, tried on whole tables.

A search protocol fixes a table, the label that a strategy is told, the label that is reported, and the number
of queries; ``searches.yaml`` holds the protocols and the strategies. Each query costs a look-up. A run is one
(protocol, strategy, seed); its JSON file holds every query and each improvement, and the tables
(:mod:`archenc.benchmarks.reports.searches`) are computed from these files.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

import archenc
from archenc.benchmarks.jobs import Failure
from archenc.benchmarks.runs import Machine, read_record, run_id, stored_runs
from archenc.dataset.loading import load_dataset
from archenc.dataset.split_rule import SplitRule
from archenc.errors import CorruptFile, DataNotFound, InvalidParameter, UnknownName, hint
from archenc.files.documents import (
    Digest,
    FileName,
    Name,
    Record,
    Seconds,
    Text,
    plain_values,
    read_yaml,
    record,
)
from archenc.files.machine import machine, versions
from archenc.files.trusted import write_json
from archenc.registry import STRATEGIES
from archenc.registry.rules import Count, Number, Seed, Whole
from archenc.search.candidates import Listed
from archenc.search.search import Search

PREFIX = "search-"
FILE = Path(str(files("archenc.benchmarks"))) / "searches.yaml"
SEEDS_PER_JOB = 5
"""Seeds that one process searches with, so that the table is prepared once for them."""

Queries = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 to 100,000")]


# -- protocols -----------------------------------------------------------------------------------------------


class SearchSetting(Record, kw_only=True, omit_defaults=True):
    """What decides a number.

    Attributes:
        name, version: together they name it for good.
        dataset, label: the table, and the label that strategies are told; higher is better.
        reported: the label of the best found that is reported; by default the same.
        subset: a part of the table; the rest is left out.
        queries: trainings of a search.
        twins: whether isomorphic architectures are different ones, each with its own label.
    """

    name: FileName
    version: Whole
    dataset: FileName
    label: Name
    reported: Name | None = None
    subset: Name | None = None
    queries: Queries
    twins: bool = False


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
    """

    name: Name
    strategy: Name
    parameters: dict[Name, Any] = {}  # noqa: RUF012 - msgspec copies it
    batch: Count = 10


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


# -- run files -----------------------------------------------------------------------------------------------


class SearchKey(Record):
    """What a run depends on."""

    protocol: SearchSetting
    strategy: Contender
    seed: Seed
    archenc: FileName


class SearchTable(Record):
    """The data: its digest with the label, architectures, the best label, the lowest label of the ten best,
    of the best thousandth, and the highest that is reported.
    """

    digest: Digest
    architectures: Whole
    best: Number
    top10: Number
    top_thousandth: Number
    best_reported: Number


class Step(Record, array_like=True):
    """An improvement: at which query, from 1; the label that the strategy was told; the reported one; the
    rank of the former in the table, from 1.
    """

    query: Whole
    label: Number
    reported: Number
    rank: Whole


class SearchRun(Record):
    """A run: what it depends on, the queried rows of the table in their order, the improvements, the seconds
    of the strategy, and how it was made.
    """

    run: Name
    key: SearchKey
    table: SearchTable
    rows: tuple[Whole, ...]
    steps: tuple[Step, ...]
    seconds: Seconds
    versions: dict[Name, Name]
    machine: Machine
    command: Text

    def __post_init__(self) -> None:
        if len(self.rows) != self.key.protocol.queries or not self.steps:
            raise CorruptFile("'rows' are not as many as the queries of the protocol")

    def at(self, query: int) -> Step:
        """The best found within so many queries."""
        return next(step for step in reversed(self.steps) if step.query <= query)

    def reached(self, label: float) -> int | None:
        """The query that found a label as high as this, or None."""
        return next((step.query for step in self.steps if step.label >= label), None)


def read_search(path: Path) -> SearchRun:
    """Read one run file; raises :class:`CorruptFile` for one that is damaged or under a wrong name."""
    return read_record(path, SearchRun, PREFIX)


def read_searches(place: Path) -> list[SearchRun]:
    """All such runs in a collected file or under a folder; raises :class:`DataNotFound` where there is
    none.
    """
    runs = stored_runs(place, SearchRun, PREFIX)
    if not runs:
        raise DataNotFound(
            f"there are no runs of searches in {place}; make some by: archenc bench run search-nasbench201 "
            f"--runs {place}"
        )
    return runs


# -- computing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchJob:
    """Runs of one strategy by several seeds; what :mod:`archenc.benchmarks.jobs` plans with."""

    protocol: SearchProtocol
    method: Contender
    seeds: tuple[int, ...]
    folder: Path
    command: str

    @property
    def size(self) -> int:
        """Queries of a run."""
        return self.protocol.queries

    def key(self, seed: int) -> dict[str, Any]:
        """What a run depends on, as JSON values."""
        return {
            "protocol": self.protocol.setting,
            "strategy": plain_values(self.method),
            "seed": seed,
            "archenc": archenc.__version__,
        }

    def path(self, seed: int) -> Path:
        """The run's file."""
        return self.folder / f"{PREFIX}{run_id(self.key(seed))}.json"

    @staticmethod
    def read(path: Path) -> SearchRun:
        return read_search(path)


def jobs_of(
    protocol: SearchProtocol,
    strategies: Iterable[Contender],
    seeds: Sequence[int],
    folder: Path,
    command: str,
) -> Iterator[SearchJob]:
    """Jobs of a few seeds each; ``command`` is the command line up to the choice of strategies."""
    for strategy in strategies:
        for start in range(0, len(seeds), SEEDS_PER_JOB):
            line = f"{command} --methods {strategy.name}"
            yield SearchJob(protocol, strategy, tuple(seeds[start : start + SEEDS_PER_JOB]), folder, line)


@dataclass(frozen=True)
class Ground:
    """The table of a protocol: the architectures by row, both labels, and the rows' ranks."""

    candidates: Listed
    rows: np.ndarray
    y: np.ndarray
    reported: np.ndarray
    ranks: np.ndarray
    facts: SearchTable


@functools.lru_cache(maxsize=1)
def ground(setting: SearchSetting) -> Ground:
    """What a search is made on; kept for the next job of the process."""
    data = load_dataset(setting.dataset, label=setting.label)
    rows = SplitRule("all", subset=setting.subset).apply(data, setting.reported).pool
    reported = data.labels[setting.reported or setting.label]
    graphs = data.graphs[rows].with_features(None).with_architecture_features(None)
    candidates = Listed(graphs, twins=setting.twins)
    y, order = data.y[rows], np.sort(data.y[rows[candidates.numbers]])
    facts = SearchTable(
        data.digest,
        len(order),
        float(order[-1]),
        float(order[-min(10, len(order))]),
        float(order[-max(1, len(order) // 1000)]),
        float(reported[rows[candidates.numbers]].max()),
    )
    ranks = 1 + len(order) - np.searchsorted(order, y, side="right")
    return Ground(candidates, rows, y, reported[rows], ranks, facts)


def run_job(job: SearchJob) -> list[Failure]:
    """Compute the runs of a job and write a file for each; a run that raises is reported."""
    failures = []
    for seed in job.seeds:
        try:
            write_json(job.path(seed), compute(job, seed))
        except OSError:
            raise  # a full disk or a missing permission stops everything
        except Exception as error:
            failures.append(Failure.of(job, seed, error))  # type: ignore[arg-type]
    return failures


def compute(job: SearchJob, seed: int) -> dict[str, Any]:
    """Search, and give the content of the run's file."""
    key = job.key(seed)
    table = ground(
        record(job.protocol.setting, SearchSetting, "the protocol", "correct it", InvalidParameter)
    )
    strategy = STRATEGIES.create(job.method.strategy, **job.method.parameters)
    search = Search(strategy, table.candidates, random_state=seed)
    start, queried = time.perf_counter(), []
    while len(queried) < job.protocol.queries:
        left = job.protocol.queries - len(queried)
        first = getattr(strategy, "initial", 0) - len(queried)
        batch = search.ask_numbers(min(left, first if first > 0 else job.method.batch))
        search.tell_numbers(batch, table.y[batch])
        queried += batch
    seconds = time.perf_counter() - start
    return {
        "run": job.path(seed).stem,
        "key": key,
        "table": plain_values(table.facts),
        "rows": table.rows[queried].tolist(),
        "steps": _improvements(table, np.array(queried)),
        "seconds": round(seconds, 6),
        "versions": versions(),
        "machine": machine(),
        "command": job.command,
    }


def _improvements(table: Ground, queried: np.ndarray) -> list[list[float]]:
    labels = table.y[queried]
    best = np.maximum.accumulate(labels)
    at = np.flatnonzero(np.concatenate([[True], best[1:] > best[:-1]]))
    return [
        [
            int(query) + 1,
            float(labels[query]),
            float(table.reported[queried[query]]),
            int(table.ranks[queried[query]]),
        ]
        for query in at
    ]
