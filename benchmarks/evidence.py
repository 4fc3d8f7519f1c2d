"""What the committed runs say about a search space and a number of labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archenc.benchmarks.reports.overview import Benchmark, benchmarks_between, standings
from archenc.benchmarks.reports.rows import SPACES, kind_of_dataset
from archenc.benchmarks.runs import COMMITTED, Leaderboard, leaderboards, read_runs

REACH = 2.5
"""Training sizes up to so many times more or fewer labels are near."""
Relation = Literal["dataset", "space", "kind", "none"]
"""What benchmarks have in common with the space that is asked about."""


@dataclass(frozen=True)
class MethodEvidence:
    """What benchmarks say of one method.

    Attributes:
        method: its name.
        normalised_tau: mean over benchmarks of Kendall's tau by that of the best method there.
        low, high: its 95 percent interval.
        benchmarks, of: on how many of how many benchmarks it was run.
        fit_cpu_seconds: of one fit.
        seconds_per_10000: of scoring 10,000 architectures.
    """

    method: str
    normalised_tau: float
    low: float
    high: float
    benchmarks: int
    of: int
    fit_cpu_seconds: float
    seconds_per_10000: float

    @property
    def seconds(self) -> float:
        """Of a fit and 10,000 scores."""
        return self.fit_cpu_seconds + self.seconds_per_10000

    @property
    def common(self) -> bool:
        """Whether it was run on at least half of the benchmarks."""
        return 2 * self.benchmarks >= self.of

    @classmethod
    def of_standing(cls, line: dict[str, Any]) -> MethodEvidence:
        """From a record of :func:`archenc.benchmarks.reports.overview.standings`."""
        return cls(
            line["method"],
            normalised_tau=float(line["normalised_tau"]),
            low=float(line["normalised_tau_low"]),
            high=float(line["normalised_tau_high"]),
            benchmarks=line["benchmarks"],
            of=line["of"],
            fit_cpu_seconds=float(line["fit_cpu_seconds"]),
            seconds_per_10000=float(line["seconds_per_10000"]),
        )


@dataclass(frozen=True)
class Evidence:
    """Which benchmarks tell something about a space, and what they say.

    Attributes:
        relation: of the space and the benchmarks: they are of its data set, of the space itself, of spaces of
            its kind, or of other spaces, as there is nothing nearer.
        benchmarks: the nearest ones.
        others: further ones of the kind.
        methods: what the nearest ones say, those run on at least half of them first, the best first.
    """

    relation: Relation
    benchmarks: tuple[Benchmark, ...]
    others: tuple[Benchmark, ...]
    methods: tuple[MethodEvidence, ...]


def find_evidence(space: str, kind: str, labels: int, dataset: str | None = None) -> Evidence:
    """The evidence of the committed runs for a number of labels.

    Args:
        space: name of a search space.
        kind: its key in :data:`archenc.benchmarks.reports.rows.KINDS`.
        labels: of the training set.
        dataset: name of a data set of the space.
    """
    boards = leaderboards(read_runs(COMMITTED))
    relations: dict[Relation, Callable[[str], bool]] = {
        "dataset": lambda name: name == dataset,
        "space": lambda name: SPACES.get(name) == space,
        "kind": lambda name: kind_of_dataset(name) == kind,
        "none": lambda name: True,
    }
    related: dict[Relation, list[Benchmark]] = {
        relation: near([board for board in boards if belongs(board.setting.dataset)], labels)
        for relation, belongs in relations.items()
    }
    relation = next(name for name, found in related.items() if found)
    nearest = related[relation]
    names = {one.name for one in nearest}
    others = [one for one in related["kind"] if one.name not in names]
    methods = map(MethodEvidence.of_standing, standings(nearest))
    return Evidence(relation, tuple(nearest), tuple(others), tuple(methods))


def near(boards: Sequence[Leaderboard], labels: int) -> list[Benchmark]:
    """The benchmarks with a training size near a number of labels, or where there is none, near the size that
    comes closest; at each its size that most methods were run at.
    """
    sizes = {row.size for board in boards for row in board.rows}
    for size in sorted({labels} | sizes, key=lambda size: abs(math.log(size / labels))):
        found = benchmarks_between(boards, size, math.ceil(size / REACH), int(size * REACH))
        if found:
            return found
    return []


def is_near(size: int, labels: int) -> bool:
    """Whether runs with ``size`` labels tell something of runs with ``labels``."""
    return labels / REACH <= size <= labels * REACH


def choose(found: Sequence[MethodEvidence], minutes: float | None) -> MethodEvidence | None:
    """The method to use: the best within the time that was run on at least half of the benchmarks, but
    ``auto`` where the best is within its interval, as it also holds on spaces that no benchmark has.
    """
    fitting = [one for one in found if one.common and fits(one.seconds, minutes)]
    if not fitting:
        return None
    auto = next((one for one in fitting if one.method == "auto"), None)
    return auto if auto is not None and auto.high >= fitting[0].normalised_tau else fitting[0]


def fits(seconds: float, minutes: float | None) -> bool:
    """Whether a fit and 10,000 scores take no longer than that."""
    return minutes is None or seconds <= 60 * minutes
