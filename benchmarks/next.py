"""What to train next, tried on whole tables: files of a few random architectures with their labels, and what
each method suggests for them.

The table knows the true label of every suggestion, so the loop of suggesting and training costs no training:
the suggested architectures join the file with their labels, and the method is asked again. The pool is every
labelled architecture of a protocol's data, both halves of its split. A run is one (protocol, plan, method,
file); its JSON file holds every suggestion, and the tables are computed from these files.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

import archenc
from archenc.benchmarks.jobs import Failure, Job
from archenc.benchmarks.methods import Content, Method
from archenc.benchmarks.protocol import Protocol, Setting, TrainSize
from archenc.benchmarks.runner import load
from archenc.benchmarks.runs import Machine, read_record, run_id, stored_runs
from archenc.dataset import ArchDataset
from archenc.dataset.splits import everything
from archenc.errors import CorruptFile, DataNotFound, InvalidParameter, InvalidTable
from archenc.files.documents import (
    Digest,
    FileName,
    Name,
    Record,
    Seconds,
    Text,
    canonical_json,
    plain_values,
)
from archenc.files.machine import machine, versions
from archenc.files.reports import markdown_table, number
from archenc.files.text import markdown
from archenc.files.trusted import write_json
from archenc.graphs.hashing import sortable_keys
from archenc.registry.rules import Number, Seed, Whole
from archenc.search.suggest import suggest

METHODS = ("auto", "gates+mlp+hinge", "graf-plus+xgboost+mse:simplify", "random")
FILES = tuple(range(20))
RANDOM = Method("random", "random")
"""Draws what to train next."""
PREFIX = "next-"

Hundred = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]


# -- run files -----------------------------------------------------------------------------------------------


class Plan(Record):
    """A file of so many ``trained`` architectures, then ``rounds`` times ``count`` suggestions, each trained
    before the next round.
    """

    trained: TrainSize
    count: Hundred
    rounds: Hundred

    @property
    def trainings(self) -> int:
        """Architectures that are trained at the end."""
        return self.trained + self.rounds * self.count


class Key(Record):
    """What a run depends on; ``file`` is the seed that draws the file and that the method gets."""

    protocol: Setting
    method: Content
    plan: Plan
    file: Seed
    archenc: FileName


class Table(Record):
    """The data: its digest, the digest of the split, the architectures in the pool, and the highest of their
    labels.
    """

    digest: Digest
    split: Digest
    architectures: Whole
    best: Number


class Round(Record):
    """Architectures in the order of their suggestion: rows of the data set, true labels, true ranks from 1 in
    the pool.

    The file itself is written in the same way, as what came before the first round.
    """

    rows: tuple[Whole, ...]
    labels: tuple[Number, ...]
    ranks: tuple[Whole, ...]
    seconds: Seconds


class NextRun(Record):
    """A run: what it depends on, the file it began with, what was suggested, and how it was made."""

    run: Name
    key: Key
    table: Table
    start: Round
    rounds: tuple[Round, ...]
    versions: dict[Name, Name]
    machine: Machine
    command: Text

    def __post_init__(self) -> None:
        plan = self.key.plan
        expected = [plan.trained, *[plan.count] * plan.rounds]
        for column in ("rows", "labels", "ranks"):
            if [len(getattr(part, column)) for part in (self.start, *self.rounds)] != expected:
                raise CorruptFile(f"the {column!r} are not as many as the plan says")


def read_next(path: Path) -> NextRun:
    """Read one run file; raises :class:`CorruptFile` for one that is damaged, incomplete or under a wrong
    name.
    """
    return read_record(path, NextRun, PREFIX)


def read_all(place: Path) -> list[NextRun]:
    """All such runs in a collected file or under a folder; raises :class:`DataNotFound` where there is none,
    :class:`CorruptFile` for a damaged one.
    """
    runs = stored_runs(place, NextRun, PREFIX)
    if not runs:
        raise DataNotFound(
            f"there are no runs of suggestions in {place}; make some by: archenc bench next PROTOCOL --runs "
            f"{place}"
        )
    return runs


# -- computing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NextJob(Job):
    """The runs of one method on files, which are the seeds of the job, by a plan."""

    plan: Plan

    def key(self, seed: int) -> dict[str, Any]:
        parts = {
            "protocol": self.protocol.setting,
            "method": self.method.content,
            "plan": plain_values(self.plan),
        }
        return {**parts, "file": seed, "archenc": archenc.__version__}

    def path(self, seed: int) -> Path:
        return self.folder / f"{PREFIX}{run_id(self.key(seed))}.json"

    @staticmethod
    def read(path: Path) -> NextRun:
        return read_next(path)


def jobs_of(
    protocol: Protocol,
    methods: Iterable[Method],
    files: Sequence[int],
    plan: Plan,
    folder: Path,
    command: str,
) -> Iterator[NextJob]:
    """One job for each method and file; ``command`` is the command line up to the choice of both."""
    for method in methods:
        for file in files:
            line = f"{command} --methods {shlex.quote(method.name)} --files {file}"
            yield NextJob(protocol, method, plan.trained, (file,), folder, line, plan)


def run_job(job: NextJob) -> list[Failure]:
    """Compute the runs of a job and write a file for each; a run that raises is reported."""
    failures = []
    for file in job.seeds:
        try:
            write_json(job.path(file), compute(job, file))
        except OSError:
            raise  # a full disk or a missing permission stops everything
        except Exception as error:
            failures.append(Failure.of(job, file, error))
    return failures


def compute(job: NextJob, file: int) -> dict[str, Any]:
    """Suggest and train in turn, and give the content of the run's file."""
    dataset, _, split = load(job.protocol)
    rows = np.union1d(split.pool, split.test)
    table, order = dataset[rows], np.sort(dataset.y[rows])

    def part(at: np.ndarray, seconds: float) -> dict[str, Any]:
        ranks = 1 + len(order) - np.searchsorted(order, table.y[at], side="right")
        return {
            "rows": rows[at].tolist(),
            "labels": table.y[at].tolist(),
            "ranks": ranks.tolist(),
            "seconds": round(seconds, 6),
        }

    trained = everything(len(table)).training_subset(job.plan.trained, file)
    parts, twins = [part(trained, 0.0)], sortable_keys(table.graphs.hash())
    for _ in range(job.plan.rounds):
        start = time.perf_counter()
        chosen = choose(job.method, table, twins, trained, job.plan.count, file)
        parts.append(part(chosen, time.perf_counter() - start))
        trained = np.concatenate([trained, chosen])
    path, key = job.path(file), job.key(file)
    return {
        "run": path.stem,
        "key": key,
        "table": {
            "digest": dataset.digest,
            "split": split.digest,
            "architectures": len(table),
            "best": float(order[-1]),
        },
        "start": parts[0],
        "rounds": parts[1:],
        "versions": versions(),
        "machine": machine(),
        "command": job.command,
    }


def choose(
    method: Method, table: ArchDataset, twins: np.ndarray, trained: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """int64 (count,): what to train next, best first, as positions in ``table``, given the architectures and
    labels of ``trained`` ones.

    Args:
        method: how; :data:`RANDOM`, or what is fitted for :func:`archenc.search.suggest.suggest`.
        table: the pool.
        twins: (N,), equal for isomorphic architectures.
        trained: positions whose labels are known.
        count: how many.
        seed: of the method.

    Raises:
        InvalidParameter: fewer architectures than ``count`` are left, isomorphic ones counted once.
    """
    _, first = np.unique(twins, return_index=True)
    left = np.sort(first[~np.isin(twins[first], twins[trained])])
    if len(left) < count:
        raise InvalidParameter(
            f"{len(left)} architectures are left and {count} are to be suggested; give fewer --rounds or a "
            "smaller --count"
        )
    if method == RANDOM:
        drawn: np.ndarray = np.random.default_rng([seed, len(trained)]).permutation(left)[:count]
        return drawn
    known, predictor = table[trained], method.predictor(seed)
    found = suggest(
        known.graphs, known.y, count, candidates=table.graphs[left], predictor=predictor, random_state=seed
    )
    suggested: np.ndarray = left[found.positions]
    return suggested


# -- tables --------------------------------------------------------------------------------------------------


def groups(runs: Iterable[NextRun]) -> list[list[NextRun]]:
    """The runs that stand in one table: of one protocol, plan and version; raises :class:`InvalidTable` where
    they saw different data.
    """
    found: dict[str, list[NextRun]] = {}
    for run in sorted(runs, key=lambda run: (run.key.protocol.name, run.key.file)):
        found.setdefault(canonical_json([run.key.protocol, run.key.plan, run.key.archenc]), []).append(run)
    for group in found.values():
        name = group[0].key.protocol.name
        if any(run.table != group[0].table for run in group):
            raise InvalidTable(
                f"the suggestions of {name} were made from different data; keep their run files in different "
                "folders"
            )
    return list(found.values())


def heading(group: list[NextRun]) -> str:
    """What a table is about, in a sentence."""
    key, table = group[0].key, group[0].table
    pool = f"{table.architectures:,} architectures, the best with {number(table.best, 2)}"
    return f"{key.protocol.dataset}, {key.protocol.label}: {pool} (archenc {key.archenc})"


def standings(group: list[NextRun]) -> tuple[list[str], list[list[str]]]:
    """The header, and a line for each method, the highest mean of the first suggestions first."""
    plan = group[0].key.plan
    count, trainings = plan.count, plan.trainings
    header = ["method", "files", f"mean of the {count}", "median rank", f"best of the {count}", "its rank"]
    header += [f"best after {trainings}, median", "quartiles", "its rank", "seconds a round"]
    by_method: dict[str, list[NextRun]] = {}
    for run in group:
        by_method.setdefault(canonical_json(run.key.method), []).append(run)
    lines = sorted((_line(runs) for runs in by_method.values()), key=lambda line: (-line[0], line[1]))
    return header, [line for _, line in lines]


def _line(runs: list[NextRun]) -> tuple[float, list[str]]:
    firsts = [run.rounds[0] for run in runs]
    means, bests = [fmean(first.labels) for first in firsts], [max(first.labels) for first in firsts]
    whole = [[run.start, *run.rounds] for run in runs]
    finals = [max(max(part.labels) for part in parts) for parts in whole]
    low, middle, high = (number(float(value), 2) for value in np.quantile(finals, [0.25, 0.5, 0.75]))
    return fmean(means), [
        runs[0].key.method.name,
        str(len(runs)),
        _moments(means),
        f"{median(rank for first in firsts for rank in first.ranks):,.0f}",
        _moments(bests),
        f"{median(min(first.ranks) for first in firsts):,.0f}",
        middle,
        f"{low} to {high}",
        f"{median(min(min(part.ranks) for part in parts) for parts in whole):,.0f}",
        number(fmean(part.seconds for run in runs for part in run.rounds), 1),
    ]


def _moments(values: list[float]) -> str:
    return number(fmean(values), 2) + (f" ± {number(stdev(values), 2)}" if len(values) > 1 else "")


PAGE = """# What to train next

A file holds a few random architectures of a table with their labels; each method sees the file and suggests
what to train next among all others. Of the first suggestions: their mean true label and the best of them,
with the standard deviation over files, and the medians of their true ranks in the whole table. Then the
suggestions join the file with their true labels and the method is asked again: the best architecture of
everything trained by then, its median and quartiles over files. All methods get the same files, and none is
offered an architecture that is isomorphic to a trained one. `archenc bench next` makes the runs, which lie
beside this page in the protocols' files.
"""


def next_markdown(runs: Iterable[NextRun]) -> str:
    """The page of all runs."""
    sections = [PAGE]
    for group in groups(runs):
        key = group[0].key
        plan = key.plan
        title = f"{key.protocol.name}: {plan.trained} trained, {plan.rounds} rounds of {plan.count}"
        sections.append(
            f"## {markdown(title)}\n\n{markdown(heading(group))}.\n\n{markdown_table(*standings(group))}\n"
        )
    return "\n".join(sections)
