"""Run files, and the tables that are computed from them and from nothing else.

A run is one (protocol, method, size, seed). Its file is named by the SHA-256 of what the run depends on, so a
finished run is recognised by its name, and a damaged or edited one by its content. Collected files hold many
runs, one a line (:mod:`archenc.benchmarks.collected`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

import archenc
from archenc.benchmarks.methods import Content, Method
from archenc.benchmarks.protocol import Protocol, Setting, TrainSize
from archenc.errors import ArchencError, CorruptFile, DataNotFound, InvalidTable
from archenc.files.documents import (
    Digest,
    FileName,
    Name,
    Record,
    Seconds,
    Text,
    canonical_json,
    parse_json,
    read_json,
    record,
)
from archenc.files.trusted import files_below, read_bytes
from archenc.metrics import smaller_is_better
from archenc.registry.rules import Number, Part, Seed, Whole

MAX_RUN_BYTES, MAX_COLLECTED_BYTES = 2**20, 2**28
COLLECTED = re.compile(r"[^.].*\.jsonl")
"""Names of collected files."""
COMMITTED = Path(str(files("archenc.benchmarks"))) / "results"
"""The runs that archenc comes with."""
R = TypeVar("R", bound=Record)


# -- run files -----------------------------------------------------------------------------------------------


class Key(Record):
    """What a run depends on."""

    protocol: Setting
    method: Content
    size: TrainSize
    seed: Seed
    archenc: FileName


class DatasetFacts(Record, omit_defaults=True):
    """The data that a run saw; ``test_digest`` is that of the data with the label that is scored, if it is
    another one.
    """

    architectures: Whole
    digest: Digest
    duplicates: Name
    test_digest: Digest | None = None


class SplitFacts(Record):
    """The split, with the numbers of architectures to draw from and to test on."""

    name: Name
    pool: Whole
    test: Whole
    digest: Digest


class Times(Record, omit_defaults=True):
    """Wall times of one fit and of one prediction of the test set, and the processors' time of the fit."""

    fit: Seconds
    predict: Seconds
    fit_cpu: Seconds | None = None


class Machine(Record):
    """What computed a run; systems do not always know their processor or their cores."""

    cpu: Text
    cores: Whole | None
    threads: Whole


class Run(Record, omit_defaults=True):
    """A run: what it depends on, what came out (None for a metric that is not defined), and how it was made.

    ``coverage`` is the share of test labels in the interval that is to hold 80 percent, of a predictor with
    calibrated deviations.
    """

    run: Name
    key: Key
    metrics: dict[Name, Number | None]
    epochs_averaged: Whole
    dataset: DatasetFacts
    split: SplitFacts
    seconds: Times
    versions: dict[Name, Name]
    machine: Machine
    command: Text
    coverage: Part | None = None

    def __post_init__(self) -> None:
        if set(self.metrics) != set(self.key.protocol.metrics):
            raise CorruptFile("'metrics' are not those of the protocol")


def run_key(protocol: Protocol, method: Method, size: int, seed: int) -> dict[str, Any]:
    """What a run depends on, as JSON values."""
    return {
        "protocol": protocol.setting,
        "method": method.content,
        "size": size,
        "seed": seed,
        "archenc": archenc.__version__,
    }


def run_id(key: Mapping[str, Any]) -> str:
    """The name of a run: the first 16 hexadecimal digits of the SHA-256 of its key's canonical JSON."""
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()[:16]


def read_run(path: Path) -> Run:
    """Read one run file; raises :class:`CorruptFile` for one that is damaged, incomplete or under a wrong
    name.
    """
    return read_record(path, Run)


def read_record(path: Path, kind: type[R], prefix: str = "") -> R:
    """Read a file that is called by what it depends on; raises like :func:`read_run`.

    Args:
        path: the file, called by the run's name.
        kind: its shape; a record with the fields ``run``, the name, and ``key``.
        prefix: what stands before the hash in the names of such runs.
    """
    where, remedy = f"the run file {path} is damaged or was edited", "delete it and run the benchmark again"
    return _checked(read_json(path, MAX_RUN_BYTES), kind, path.stem, prefix, where, remedy)


def _checked(content: Any, kind: type[R], name: str, prefix: str, where: str, remedy: str) -> R:
    """The run of that name in a file's content; raises :class:`CorruptFile` that says where."""
    found = record(content, kind, where, remedy)
    if not prefix + run_id(content["key"]) == name == content["run"]:
        raise CorruptFile(f"{where}, as its name is not that of its key; {remedy}")
    return found


def read_collected(path: Path, kind: type[R], prefix: str = "") -> Iterator[R]:
    """The runs of a kind in a collected file, in its order; lines of other kinds are passed over.

    Raises:
        DataNotFound: there is no such file.
        CorruptFile: a line is damaged.
    """
    for at, line in enumerate(read_bytes(path, MAX_COLLECTED_BYTES).splitlines(), start=1):
        where, remedy = (
            f"line {at} of {path} is damaged or was edited",
            "restore the file, or delete the line",
        )
        if len(line) > MAX_RUN_BYTES:
            raise CorruptFile(f"{where}, as it is longer than {MAX_RUN_BYTES:,} bytes; {remedy}")
        content = parse_json(line, f"line {at} of {path}", remedy)
        name = content.get("run") if isinstance(content, dict) else None
        if not isinstance(name, str):
            raise CorruptFile(f"{where}, as it names no run; {remedy}")
        if name.rpartition("-")[0] == prefix.rstrip("-"):
            yield _checked(content, kind, name, prefix, where, remedy)


def stored_runs(place: Path, kind: type[R], prefix: str = "") -> list[R]:
    """The runs of a kind in a collected file, or in all run files and collected files under a folder, each
    once and in a fixed order; of one that lies in several, that of its own file.

    Raises:
        CorruptFile: one is damaged.
        InvalidParameter: one is a symbolic link out of the folder.
    """
    single = re.compile(rf"{prefix}[0-9a-f]{{16}}\.json")
    collected = [place] if place.is_file() else files_below(place, COLLECTED)
    found = [run for path in collected for run in read_collected(path, kind, prefix)]
    if place.is_dir():
        found += [read_record(path, kind, prefix) for path in files_below(place, single)]
    return list({run.run: run for run in found}.values())  # type: ignore[attr-defined]


def read_runs(place: Path) -> list[Run]:
    """All runs of :func:`stored_runs`; raises :class:`DataNotFound` where there is none."""
    runs = stored_runs(place, Run)
    if not runs:
        raise DataNotFound(
            f"there are no run files in {place}; make some by: archenc bench run PROTOCOL --runs {place}"
        )
    return runs


def finished(path: Path, read: Callable[[Path], Any] = read_run) -> tuple[bool, str | None]:
    """Whether a run's file is there and whole, and if it is there but not whole, a sentence that says so."""
    if not path.exists():
        return False, None
    try:
        read(path)
    except ArchencError:
        return False, f"the run file {path} is damaged and is computed again"
    return True, None


# -- tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard: a method at a training size.

    Attributes:
        setting: what the protocol fixes.
        method: name, encoder, head, loss, simplify and parameters.
        size: number of training architectures.
        version: of archenc.
        runs: the runs of all seeds, by seed.
    """

    setting: Setting
    method: Content
    size: int
    version: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.key.seed for run in self.runs)

    def values(self, metric: str) -> list[float]:
        """The metric of each run, NaN where it is not defined."""
        return [math.nan if (value := run.metrics[metric]) is None else value for run in self.runs]

    def mean(self, metric: str) -> float:
        return fmean(self.values(metric))

    def std(self, metric: str) -> float:
        """Standard deviation over seeds with n - 1 in the denominator; NaN for a single run."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan

    def seconds(self, part: str) -> float:
        """Mean seconds of ``"fit"`` or ``"predict"``."""
        return fmean(getattr(run.seconds, part) for run in self.runs)

    @property
    def command(self) -> str:
        """What computes exactly this row."""
        return " ".join([self.runs[0].command, "--seeds", ",".join(map(str, self.seeds))])


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """Group runs by protocol, archenc version, method and size.

    Raises:
        InvalidTable: runs that cannot stand in one table: of two states of the data, or of two methods that
            share a name.
    """
    groups: dict[tuple[str, str, str, int], dict[int, Run]] = {}
    seen: dict[tuple[str, ...], str] = {}
    for run in runs:
        key, name = run.key, run.key.method.name
        setting, method = canonical_json(key.protocol), canonical_json(key.method)
        data = run.dataset.digest + (run.dataset.test_digest or "") + run.split.digest
        _one(seen, ("data", setting), data, f"the runs of {key.protocol.name} saw different data")
        _one(
            seen, ("method", setting, key.archenc, name), method, f"two different methods are called {name!r}"
        )
        groups.setdefault((setting, key.archenc, name, key.size), {})[key.seed] = run
    return [_row([group[seed] for seed in sorted(group)]) for _, group in sorted(groups.items())]


def _one(seen: dict[tuple[str, ...], str], what: tuple[str, ...], value: str, complaint: str) -> None:
    if seen.setdefault(what, value) != value:
        raise InvalidTable(f"{complaint}; keep their run files in different folders")


def _row(runs: list[Run]) -> Row:
    key = runs[0].key
    return Row(key.protocol, key.method, key.size, key.archenc, tuple(runs))


@dataclass(frozen=True)
class Leaderboard:
    """The rows of one protocol and one archenc version, best method first.

    Methods are ordered by the mean of the protocol's first metric at the largest size that all of them have,
    or if there is none, at each one's largest; equal ones by name. Whether more is better is known from
    :func:`archenc.metrics.smaller_is_better`.
    """

    setting: Setting
    version: str
    rows: tuple[Row, ...]

    @property
    def metric(self) -> str:
        """The metric that orders the methods."""
        return self.setting.metrics[0]

    @property
    def smaller_is_better(self) -> bool:
        """Whether the best method is the one with the smallest metric."""
        return smaller_is_better(self.metric)

    @property
    def sizes(self) -> list[int]:
        return sorted({row.size for row in self.rows})

    @property
    def methods(self) -> list[str]:
        """Names, best first."""
        by_method: dict[str, dict[int, Row]] = {}
        for row in self.rows:
            by_method.setdefault(row.method.name, {})[row.size] = row
        common = set.intersection(*(set(sizes) for sizes in by_method.values()))
        sign = 1 if self.smaller_is_better else -1

        def order(name: str) -> tuple[float, str]:
            value = by_method[name][max(common or by_method[name])].mean(self.metric)
            return (sign * value if math.isfinite(value) else math.inf, name)

        return sorted(by_method, key=order)

    def cell(self, method: str, size: int) -> Row | None:
        """The row of a method at a size, if it was run."""
        return next((row for row in self.rows if row.method.name == method and row.size == size), None)


def leaderboards(runs: Iterable[Run]) -> list[Leaderboard]:
    """One leaderboard for each protocol and archenc version, by name."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows_of(runs):
        groups.setdefault((canonical_json(row.setting), row.version), []).append(row)
    boards = [Leaderboard(rows[0].setting, version, tuple(rows)) for (_, version), rows in groups.items()]
    boards = [Leaderboard(b.setting, b.version, tuple(sorted(b.rows, key=_position(b)))) for b in boards]
    return sorted(boards, key=lambda board: (board.setting.name, board.setting.version, board.version))


def _position(board: Leaderboard) -> Any:
    place = {name: at for at, name in enumerate(board.methods)}
    return lambda row: (place[row.method.name], row.size)
