"""What ``archenc suggest`` and ``archenc rank`` are given: a file of results, where its architectures come
from, what is wanted of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from archenc.dataset import ArchDataset
from archenc.dataset.loading import load_dataset
from archenc.dataset.rows import parse_rows, read_architectures, read_rows
from archenc.errors import InvalidParameter, InvalidTable, UnknownName, hint
from archenc.files.documents import Name, Record, read_json, read_yaml, record
from archenc.files.text import listed
from archenc.graphs import ArchGraphs
from archenc.registry import create_space
from archenc.spaces import Space, from_config

COSTS = {"params": "parameters", "parameters": "parameters", "flops": "flops"}
"""What users call the numbers of :meth:`archenc.spaces.base.Space.costs`."""


# -- objectives ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Objective:
    """A number that is to be high or low.

    Attributes:
        name: a column of the results, or a cost of the space.
        sign: 1 where it is to be high, -1 where low.
    """

    name: str
    sign: float


def parse_objectives(text: str) -> list[Objective]:
    """``"acc:max,params:min"``, in which ``:max`` can be left out; raises :class:`InvalidParameter` for
    anything else.
    """
    found = []
    for part in text.split(","):
        name, colon, goal = part.strip().rpartition(":")
        name, goal = (name, goal) if colon else (goal, "max")
        if not name or goal not in ("max", "min"):
            raise InvalidParameter(
                f"--objective {text!r:.120} has the part {part!r:.60}; write NAME:max or NAME:min, with "
                "commas between"
            )
        found.append(Objective(name, 1.0 if goal == "max" else -1.0))
    if len({objective.name for objective in found}) < len(found):
        raise InvalidParameter(f"--objective {text!r:.120} names something twice; name it once")
    return found


# -- sources -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where architectures come from.

    Attributes:
        space: reads architectures as the files write them.
        pool: the candidates; None for those of the space.
        names: what the candidates are called in files, where that is not the space's text of them.
        column: the usual column of architectures in a table.
        notation: how numbers in architectures are read (:func:`archenc.graphs.as_graphs`).
    """

    space: Space
    pool: ArchGraphs | None = None
    names: Sequence[str] | None = None
    column: Literal["arch", "model"] = "arch"
    notation: str | None = None

    def restricted(self, file: Path | None) -> Source:
        """The same with the architectures of a file as candidates."""
        if file is None:
            return self
        rows = read_architectures(file, self.column)
        names = [str(value) for _, value in rows] if self.names is not None else None
        return replace(self, pool=parse_rows(file, self.space, rows, self.notation), names=names)


def find_source(
    space: str | None, dataset: str | None, models: Path | None, runs: Path, notation: str | None = None
) -> Source:
    """The source that one of three options names, the ``notation`` being that of a space."""
    if [space, dataset, models].count(None) != 2:
        raise InvalidParameter(
            "it is not clear what the architectures are; give one of --space NAME, --space FILE, --dataset "
            "NAME and --models FOLDER"
        )
    if space is not None:
        return Source(read_space(space), notation=notation)
    if notation is not None:
        raise InvalidParameter(
            "--notation says how numbers are read in a space; give it with --space, or leave it out"
        )
    if dataset is not None:
        graphs = load_dataset(dataset).graphs.with_features(None)
        return Source(graphs.space, graphs)
    assert models is not None
    from archenc.spaces.traced.model_files import ModelFiles

    files = ModelFiles(models, None)
    names = files.names()
    graphs = files.parse(names)
    files.chosen = graphs.space  # type: ignore[assignment]  # what it gave is an OperationSpace
    return Source(
        files, graphs, names, "arch" if any("arch" in row for _, row in read_rows(runs)[:1]) else "model"
    )


class _Definition(Record):
    name: Name
    parameters: dict[str, object]


def read_space(text: str) -> Space:
    """A registered space, or that which a file defines by a registered name and parameters, as
    :meth:`Space.config` gives them.
    """
    path = Path(text)
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        return create_space(text)
    content = read_json(path) if path.suffix.lower() == ".json" else read_yaml(path)
    definition = record(content, _Definition, f"the space file {path}", "write a 'name' and 'parameters'")
    return from_config({"name": definition.name, "parameters": definition.parameters})


# -- results -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """What was trained.

    Attributes:
        path: the file.
        columns: all its columns, in order.
        column: that of the architectures.
        graphs: n architectures, one of each isomorphism class.
        lines: int64 (n,), the line of the file of each, that of the first where several were averaged.
        labels: float64 (n, T), of each predicted objective, times its sign.
        predicted: these objectives.
        known: those that the space computes.
    """

    path: Path
    columns: tuple[str, ...]
    column: str
    graphs: ArchGraphs
    lines: np.ndarray
    labels: np.ndarray
    predicted: tuple[Objective, ...]
    known: tuple[Objective, ...]

    def costs(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, K): the known objectives of architectures, times their signs."""
        values = graphs.space.costs(graphs)
        return np.stack([objective.sign * values[COSTS[objective.name]] for objective in self.known], axis=1)


def read_results(path: Path, source: Source, wanted: list[Objective] | None) -> Results:
    """The results in a CSV or JSONL file; isomorphic architectures are one with the mean of their labels.

    Args:
        path: the file.
        source: what its architectures are.
        wanted: the objectives; None for the only column of numbers.

    Raises:
        DataNotFound, InvalidTable, UnknownName: what is wrong with the file, in which line, and what to do.
    """
    rows = read_rows(path)
    columns = tuple(dict.fromkeys(name for _, row in rows for name in row))
    predicted, known = _resolved(path, columns, source, wanted)
    data: ArchDataset = load_dataset(
        "table",
        path=path,
        space=source.space,
        arch=source.column,
        labels=[objective.name for objective in predicted] or None,
        missing="keep",
        duplicates="keep",
        notation=source.notation,
    )
    if not predicted:
        predicted = (_only_label(path, data),)
    lines = np.array([line for line, _ in rows])
    for objective in predicted:
        _check_complete(path, lines, data.labels[objective.name], objective.name)
    first = np.sort(np.unique(data.twins(), return_index=True)[1])
    data = data.deduplicated("mean")
    if len(data) < 2:
        raise InvalidTable(
            f"{path} holds {len(data)} different trained architecture; at least 2 are needed to tell what is "
            "better"
        )
    labels = np.stack([objective.sign * data.labels[objective.name] for objective in predicted], axis=1)
    return Results(path, columns, source.column, data.graphs, lines[first], labels, predicted, known)


def _resolved(
    path: Path, columns: tuple[str, ...], source: Source, wanted: list[Objective] | None
) -> tuple[tuple[Objective, ...], tuple[Objective, ...]]:
    """The objectives that are columns, and those that the space computes."""
    wanted = wanted or []
    for name in (objective.name for objective in wanted):
        if columns and name not in columns and name not in COSTS:
            remedy = hint(name, [*columns, *COSTS], f"choose among {listed([*columns, 'params', 'flops'])}")
            raise UnknownName(f"{path} has no column {name!r:.60}; {remedy}")
    predicted = tuple(
        objective for objective in wanted if objective.name in columns or objective.name not in COSTS
    )
    known = tuple(objective for objective in wanted if objective not in predicted)
    if known and not predicted:
        raise InvalidParameter(f"--objective names no column of {path}; name one that is to be predicted")
    if known:
        space = source.space if source.pool is None else source.pool.space
        space.costs(space.sample(1))  # raises where they are not known
    return predicted, known


def _only_label(path: Path, data: ArchDataset) -> Objective:
    if not data.label:
        raise UnknownName(
            f"{path} has several columns of numbers; say which one to maximise by --objective NAME, such as "
            f"{listed(data.labels)}"
        )
    return Objective(data.label, 1.0)


def _check_complete(path: Path, lines: np.ndarray, values: np.ndarray, name: str) -> None:
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise InvalidTable(
            f"{path}, line {lines[missing[0]]}: no number in the column {name!r}; fill it in or drop the row"
        )
