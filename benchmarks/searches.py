"""How many trainings a search strategy needs, tried on whole tables.

A search protocol fixes a table, the label that a strategy is told, the label that is reported, and the number
of queries; ``searches.yaml`` holds the protocols and the strategies. Each query costs a look-up. A run is one
(protocol, strategy, seed); its JSON file holds every query and each improvement, and the tables
(:mod:`archenc.benchmarks.reports.searches`) are computed from these files.
"""

from __future__ import annotations

import functools
import json
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
    canonical_json,
    plain_values,
    record,
)
from archenc.files.machine import machine, versions
from archenc.files.trusted import write_json
from archenc.pretraining.weights import load_pretrained
from archenc.registry import STRATEGIES, create_encoder
from archenc.registry.rules import Number, Part, Seed, Whole
from archenc.search.candidates import Embedded, Listed, bare
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

    Where epochs are counted, only full trainings improve anything, and the query is the number of full
    trainings, begun ones included, that would have taken as many epochs.
    """

    query: Whole
    label: Number
    reported: Number
    rank: Whole


class SearchRun(Record, omit_defaults=True):
    """A run: what it depends on, the queried rows of the table in their order, the improvements, the seconds
    of the strategy, and how it was made.

    ``epochs`` are those of each row where the protocol has several lengths of training. ``hypervolume``, of a
    search against something, is that of the queried rows as a share of that of the table, above the worst of
    both in the table and with each scaled to its range.
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
    epochs: tuple[Whole, ...] = ()
    hypervolume: Part | None = None

    def __post_init__(self) -> None:
        setting = self.key.protocol
        whole = len(self.rows) == (len(self.epochs) if setting.rungs else setting.queries)
        if not whole or not self.steps:
            raise CorruptFile("'rows' are not as many as the queries of the protocol")

    def at(self, query: int) -> Step:
        """The best found within so many queries; of none, the first that was found."""
        return next((step for step in reversed(self.steps) if step.query <= query), self.steps[0])

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
    (N, M) that strategies are told, by epochs where the protocol has several lengths of training.
    """

    candidates: Listed
    rows: np.ndarray
    y: np.ndarray
    reported: np.ndarray
    ranks: np.ndarray
    objectives: np.ndarray
    by_epochs: dict[int, np.ndarray]
    facts: SearchTable


@functools.lru_cache(maxsize=1)
def ground(setting: SearchSetting) -> Ground:
    """What a search is made on; kept for the next job of the process."""
    data = load_dataset(setting.dataset, label=setting.label)
    rows = SplitRule("all", subset=setting.subset).apply(data, setting.reported).pool
    reported = data.labels[setting.reported or setting.label]
    candidates = Listed(bare(data.graphs[rows]), twins=setting.twins)
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
    by_epochs = {rung.epochs: data.labels[rung.label][rows, None] for rung in setting.rungs}
    return Ground(candidates, rows, y, reported[rows], ranks, objectives, by_epochs, facts)


@functools.lru_cache(maxsize=2)
def _embedded(setting: SearchSetting, encoding: str) -> Embedded:
    """The candidates, near each other by an encoding, whose parameters are given as JSON."""
    candidates, given = ground(setting).candidates, json.loads(encoding)
    encoder = (
        load_pretrained(given["pretrained"])
        if "pretrained" in given
        else create_encoder(given.pop("encoder"), space=candidates.space, **given)
    )
    return Embedded(candidates.all, encoder, twins=setting.twins)


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
    setting = record(job.protocol.setting, SearchSetting, "the protocol", "correct it", InvalidParameter)
    table, search = ground(setting), _search(job.method, setting, seed)
    start = time.perf_counter()
    queried, epochs = (_by_epochs if setting.rungs else _one_by_one)(search, job.method, setting)
    seconds = time.perf_counter() - start
    spent = _spent(setting, queried, epochs) if epochs else np.arange(1, len(queried) + 1)
    return {
        "run": job.path(seed).stem,
        "key": job.key(seed),
        "table": plain_values(table.facts),
        "rows": table.rows[queried].tolist(),
        "steps": _improvements(table, np.array(queried), spent, np.array(epochs)),
        "seconds": round(seconds, 6),
        "versions": versions(),
        "machine": machine(),
        "command": job.command,
        **({"epochs": epochs} if epochs else {}),
        **_volume(table.objectives, queried),
    }


def _search(method: Contender, setting: SearchSetting, seed: int) -> Search:
    given = dict(method.parameters)
    if setting.rungs and STRATEGIES.get(method.strategy).counts_epochs:
        given["epochs"] = [rung.epochs for rung in setting.rungs]
    candidates: Listed = ground(setting).candidates
    if method.encoding is not None:
        candidates = _embedded(setting, canonical_json(method.encoding))
    return Search(STRATEGIES.create(method.strategy, **given), candidates, random_state=seed)


def _one_by_one(search: Search, method: Contender, setting: SearchSetting) -> tuple[list[int], list[int]]:
    """The queried candidates, as many as the protocol says."""
    objectives = ground(setting).objectives
    queried: list[int] = []
    while len(queried) < setting.queries:
        batch = search.ask_numbers(min(setting.queries - len(queried), _batch(search, method, len(queried))))
        search.tell_numbers(batch, objectives[batch])
        queried += batch
    return queried, []


def _by_epochs(search: Search, method: Contender, setting: SearchSetting) -> tuple[list[int], list[int]]:
    """The queried candidates and the epochs of each, which are together at most those of the queries."""
    by_epochs = ground(setting).by_epochs
    full = max(by_epochs)
    queried: list[int] = []
    epochs: list[int] = []
    known: dict[int, int] = {}
    left = setting.queries * full
    while True:
        batch = search.ask_numbers(_batch(search, method, len(queried)))
        lengths = [length or full for _, length in search.asked[-len(batch) :]]
        for number, length in zip(batch, lengths, strict=True):
            left -= _taken(setting, known, number, length)
            if left < 0:
                return queried, epochs
            queried.append(number)
            epochs.append(length)
            search.tell_numbers([number], by_epochs[length][[number]], [length])


def _batch(search: Search, method: Contender, queried: int) -> int:
    """How many are asked for at once: first the random ones that a strategy begins with."""
    first = getattr(search.strategy, "initial", 0) - queried
    return first if first > 0 else method.batch


def _spent(setting: SearchSetting, queried: list[int], epochs: list[int]) -> np.ndarray:
    """int64: full trainings that would take as many epochs as all trainings up to each, rounded up."""
    known: dict[int, int] = {}
    used = [_taken(setting, known, *training) for training in zip(queried, epochs, strict=True)]
    spent: np.ndarray = -(-np.cumsum(used) // setting.rungs[-1].epochs)
    return spent


def _taken(setting: SearchSetting, known: dict[int, int], number: int, length: int) -> int:
    """The epochs that a training takes, when the longest one of each candidate before it is ``known``."""
    before = known.get(number, 0) if setting.continued else 0
    known[number] = length
    return length - before


def _volume(objectives: np.ndarray, queried: list[int]) -> dict[str, float]:
    if objectives.shape[1] == 1:
        return {}
    found, whole = (hypervolume(rows, np.zeros(2)) for rows in (objectives[queried], objectives))
    return {"hypervolume": min(1.0, found / whole)}


def _improvements(
    table: Ground, queried: np.ndarray, spent: np.ndarray, epochs: np.ndarray
) -> list[list[float]]:
    if len(epochs):  # shorter trainings say nothing of the label
        full = epochs == max(table.by_epochs)
        queried, spent = queried[full], spent[full]
    labels = table.y[queried]
    best = np.maximum.accumulate(labels)
    at = np.flatnonzero(np.concatenate([[True], best[1:] > best[:-1]]))
    return [
        [
            int(spent[query]),
            float(labels[query]),
            float(table.reported[queried[query]]),
            int(table.ranks[queried[query]]),
        ]
        for query in at
    ]
