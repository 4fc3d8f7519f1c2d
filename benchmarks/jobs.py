"""Planning: which runs of a protocol are missing, in portions computed together, and which failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from archenc.benchmarks.methods import Method
from archenc.benchmarks.protocol import Protocol
from archenc.benchmarks.runs import finished, read_run, run_id, run_key
from archenc.errors import ArchencError
from archenc.files.documents import Record
from archenc.metrics import metric


@dataclass(frozen=True)
class Job:
    """Runs that are computed together: the seeds of one method at one training size.

    Attributes:
        protocol, method: what is run.
        size: number of training architectures.
        seeds: of the runs.
        folder: where run files go.
        command: what a user types to get these runs, without the seeds.
    """

    protocol: Protocol
    method: Method
    size: int
    seeds: tuple[int, ...]
    folder: Path
    command: str

    def key(self, seed: int) -> dict[str, Any]:
        return run_key(self.protocol, self.method, self.size, seed)

    def path(self, seed: int) -> Path:
        """The run's file."""
        return self.folder / f"{run_id(self.key(seed))}.json"

    @staticmethod
    def read(path: Path) -> Record:
        """The run in a file; raises :class:`CorruptFile` for one that is not whole."""
        return read_run(path)


J = TypeVar("J", bound=Job)


def plan(
    protocol: Protocol,
    methods: Iterable[Method],
    sizes: Sequence[int],
    seeds: Sequence[int],
    folder: Path,
    command: str,
) -> list[Job]:
    """The jobs of every combination of methods, training sizes and seeds.

    Args:
        protocol: what is measured.
        methods: what is run, in every combination with
        sizes: training sizes, and
        seeds: seeds.
        folder: where run files are and go.
        command: the command line up to the choice of methods.

    Raises:
        UnknownName: the protocol has a metric that does not exist.
    """
    for name in protocol.metrics:
        metric(name)

    def line(method: Method, size: int) -> str:
        return f"{command} --methods {shlex.quote(method.name)} --sizes {size}"

    return [
        Job(protocol, one, size, tuple(seeds), folder, line(one, size)) for one in methods for size in sizes
    ]


def missing(jobs: Iterable[J], force: bool) -> tuple[list[J], list[str]]:
    """What is left of the jobs, the largest first, and a sentence for each damaged run file.

    Args:
        jobs: all that are wanted.
        force: compute finished runs again.
    """
    todo, warnings = [], []
    for job in jobs:
        states = {seed: finished(job.path(seed), job.read) for seed in job.seeds}
        warnings += [warning for _, warning in states.values() if warning is not None]
        left = tuple(seed for seed, (done, _) in states.items() if force or not done)
        if left:
            todo.append(replace(job, seeds=left))
    return sorted(todo, key=lambda job: -job.size * len(job.seeds)), warnings


@dataclass(frozen=True)
class Failure:
    """A run that failed."""

    method: str
    size: int
    seed: int
    reason: str

    @classmethod
    def of(cls, job: Job, seed: int, error: Exception) -> Failure:
        """The run of ``seed``, with what it failed of on one line."""
        text = " ".join(str(error).split())[:300]
        reason = text if isinstance(error, ArchencError) else f"{type(error).__name__}: {text}"
        return cls(job.method.name, job.size, seed, reason)


def summarise(failures: Iterable[Failure]) -> list[str]:
    """One sentence for each method and reason, with the sizes and seeds that failed."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.method, failure.reason), []).append(failure)

    def values(group: list[Failure], name: str) -> str:
        return ", ".join(map(str, sorted({getattr(failure, name) for failure in group})))

    return [
        f"{method} (size {values(group, 'size')}; seed {values(group, 'seed')}): {reason}"
        for (method, reason), group in sorted(groups.items())
    ]
