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
from pathlib import Path
from typing import Any

import numpy as np

import archenc
from archenc.benchmarks.jobs import Failure, Job
from archenc.benchmarks.runs import Machine, read_record, run_id, stored_runs
from archenc.benchmarks.search_protocols import Contender, SearchProtocol, SearchSetting
from archenc.dataset import ArchDataset
from archenc.dataset.loading import load_dataset
from archenc.dataset.split_rule import SplitRule
from archenc.errors import CorruptFile, DataNotFound, InvalidParameter
from archenc.files.documents import (
    Digest,
    FileName,
    Name,
    Record,
    Seconds,
    Text,
    plain_values,
    record,
)
from archenc.files.machine import machine, versions
from archenc.files.trusted import write_json
from archenc.registry import STRATEGIES
from archenc.registry.rules import Number, Part, Seed, Whole
from archenc.search.candidates import Listed
from archenc.search.pareto import hypervolume
from archenc.search.search import Search

PREFIX = "search-"
SEEDS_PER_JOB = 5
"""Seeds that one process searches with, so that the table is prepared once for them."""

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


class SearchRun(Record, omit_defaults=True):
    """A run: what it depends on, the queried rows of the table in their order, the improvements, the seconds
    of the strategy, and how it was made.

    ``hypervolume``, of a search against something, is that of the queried rows as a share of that of the
    table, above the worst of both in the table and with each scaled to its range.
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
    hypervolume: Part | None = None

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
class SearchJob(Job):
    """Runs of one strategy by several seeds; the size is the number of queries."""

    protocol: SearchProtocol  # type: ignore[assignment]
    method: Contender  # type: ignore[assignment]

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
            some = tuple(seeds[start : start + SEEDS_PER_JOB])
            yield SearchJob(protocol, strategy, protocol.queries, some, folder, line)


@dataclass(frozen=True)
class Ground:
    """The table of a protocol: the architectures by row, both labels, the rows' ranks, and the objectives
    (N, M) that strategies are told.
    """

    candidates: Listed
    rows: np.ndarray
    y: np.ndarray
    reported: np.ndarray
    ranks: np.ndarray
    objectives: np.ndarray
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
    objectives = y[:, None] if setting.against is None else _scaled(y, _against(data, setting.against)[rows])
    return Ground(candidates, rows, y, reported[rows], ranks, objectives, facts)


def _against(data: ArchDataset, name: str) -> np.ndarray:
    return data.labels[name] if name in data.labels else data.space.costs(data.graphs)[name]


def _scaled(y: np.ndarray, against: np.ndarray) -> np.ndarray:
    """(N, 2): the label and what is to be low, both from 0, the worst, to 1, the best."""
    both = np.stack([y, -against.astype(np.float64)], axis=1)
    return np.asarray((both - both.min(axis=0)) / np.ptp(both, axis=0))


def run_job(job: SearchJob) -> list[Failure]:
    """Compute the runs of a job and write a file for each; a run that raises is reported."""
    failures = []
    for seed in job.seeds:
        try:
            write_json(job.path(seed), compute(job, seed))
        except OSError:
            raise  # a full disk or a missing permission stops everything
        except Exception as error:
            failures.append(Failure.of(job, seed, error))
    return failures


def compute(job: SearchJob, seed: int) -> dict[str, Any]:
    """Search, and give the content of the run's file."""
    key = job.key(seed)
    table = ground(
        record(job.protocol.setting, SearchSetting, "the protocol", "correct it", InvalidParameter)
    )
    strategy = STRATEGIES.create(job.method.strategy, **job.method.parameters)
    search = Search(strategy, table.candidates, random_state=seed)
    queried: list[int] = []
    start = time.perf_counter()
    while len(queried) < job.protocol.queries:
        left = job.protocol.queries - len(queried)
        first = getattr(strategy, "initial", 0) - len(queried)
        batch = search.ask_numbers(min(left, first if first > 0 else job.method.batch))
        search.tell_numbers(batch, table.objectives[batch])
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
        **_volume(table.objectives, queried),
    }


def _volume(objectives: np.ndarray, queried: list[int]) -> dict[str, float]:
    if objectives.shape[1] == 1:
        return {}
    found, whole = (hypervolume(rows, np.zeros(2)) for rows in (objectives[queried], objectives))
    return {"hypervolume": min(1.0, found / whole)}


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
