"""A user's own table of architectures and labels: CSV or JSONL, one architecture a line."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import archenc
from archenc.dataset import ArchDataset, Duplicates, Provenance, averaged_graphs, group_means
from archenc.dataset.rows import Row, parse_rows, read_rows
from archenc.errors import InvalidParameter, InvalidTable, hint
from archenc.files.documents import parse_json
from archenc.files.trusted import sha256
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Name, checked
from archenc.spaces.base import Space
from archenc.spaces.traced.model_files import ModelFiles
from archenc.spaces.traced.space import OperationSpace


def load(
    *,
    path: str | os.PathLike[str],
    space: Space | str,
    arch: str = "arch",
    adjacency: str = "adjacency",
    operations: str = "operations",
    labels: Sequence[str] | str | None = None,
    label: str | None = None,
    architecture_features: Sequence[str] | str | None = None,
    missing: Literal["error", "keep"] = "error",
    duplicates: Literal["error", "keep", "mean"] = "error",
    name: str | None = None,
    notation: str | None = None,
) -> ArchDataset:
    """Read architectures and their labels from ``.csv``, ``.jsonl``, ``.csv.gz`` or ``.jsonl.gz`` (UTF-8).

    How large a table can be is said in :mod:`archenc.dataset.rows`: a million lines and a thousand columns,
    for example.

    Args:
        path: the file. CSV has a header line; JSONL has one object a line.
        space: the architectures' space, or its registered name.
        arch: column of the architecture as the space writes it (:meth:`archenc.spaces.base.Space.parse`).
        adjacency: where there is no column ``arch``: column of the adjacency matrix, as a list of lists (JSON
            text in a CSV cell).
        operations: the column of the operations that goes with it, a list of names.
        labels: columns of labels; None for every other column whose first value is a number.
        label: the selected label; None selects the only one, or none of several.
        architecture_features: columns of side information, such as parameters, zero-cost scores or accuracies
            after few epochs (:meth:`archenc.graphs.ArchGraphs.with_architecture_features`); an empty cell is
            a gap, NaN.
        missing: ``"error"`` refuses an empty or NaN label; ``"keep"`` reads it as NaN.
        duplicates: what isomorphic architectures in several rows are: an ``"error"``, rows of their own
            (``"keep"``), or one row with the ``"mean"`` of their labels and side information, at the place of
            the first.
        name: what the data set is called; None for the file's name.
        notation: how numbers in architectures are read, one of the space's ``notations``, as ``"naslib"``;
            None for its default.

    Raises:
        DataNotFound: the file cannot be read.
        InvalidTable: what is wrong, in which line, and what to do.
        InvalidParameter: an option that does not exist.
    """
    for option, value, known in (
        ("missing", missing, ("error", "keep")),
        ("duplicates", duplicates, ("error", "keep", "mean")),
    ):
        if value not in known:
            raise InvalidParameter(f"{option} is {value!r:.80} for a table; choose one of {', '.join(known)}")
    for option, given in {"arch": arch, "adjacency": adjacency, "operations": operations}.items():
        checked("the data set 'table'", option, given, Name)
    for option, optional in {"label": label, "name": name, "notation": notation}.items():
        checked("the data set 'table'", option, optional, Name | None)
    checked("the data set 'table'", "labels", labels, Name | list[Name] | None)
    checked("the data set 'table'", "architecture_features", architecture_features, Name | list[Name] | None)
    side = (
        [architecture_features]
        if isinstance(architecture_features, str)
        else list(architecture_features or [])
    )
    file = given_path("the data set 'table'", "path", path)
    space = space if isinstance(space, Space) else archenc.create_space(space)
    rows = read_rows(file)
    if not rows:
        raise InvalidTable(f"the table {file} has no rows; give a header and at least one architecture")

    columns = list(rows[0][1])
    sources = [arch] if arch in columns else [adjacency, operations]
    if any(source not in columns for source in sources):
        found = f"{', '.join(map(repr, columns[:8])):.160}"
        raise InvalidTable(
            f"{file}, line {rows[0][0]}: no column {arch!r}, nor {adjacency!r} and {operations!r}, among "
            f"{found}; "
            "name the column of the architectures"
        )
    _check_columns(file, rows, columns, side)
    names = _label_columns(file, rows, columns, [*sources, *side], labels)
    graphs = parse_rows(file, space, [(row[0], _architecture(file, row, sources)) for row in rows], notation)
    table = {column: np.array([_label(file, row, column, missing) for row in rows]) for column in names}
    if side:
        graphs = graphs.with_architecture_features(
            [[_label(file, row, column, "keep") for column in side] for row in rows]
        )
    graphs, table, found_duplicates = _resolve_duplicates(file, rows, graphs, table, duplicates)
    return ArchDataset(
        name=name or file.name.split(".")[0],
        graphs=graphs,
        labels=table,
        label=label or (names[0] if len(names) == 1 else ""),
        descriptions={column: f"column {column!r} of {file.name}" for column in names},
        duplicates=found_duplicates,
        provenance=Provenance(source=file.name, files={str(file): sha256(file)}),
        architecture_features=tuple(side),
    )


def given_path(owner: str, name: str, value: Any) -> Path:
    """The path that a parameter gives; raises :class:`InvalidParameter` for what is none."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value):
        raise InvalidParameter(f"{owner} got {name} = {value!r:.80}; give a path")
    return Path(value)


# -- labels --------------------------------------------------------------------------------------------------


def _check_columns(file: Path, rows: list[Row], columns: list[str], names: Sequence[str]) -> None:
    for column in names:
        if column not in columns:
            remedy = hint(column, columns, f"choose among {', '.join(map(repr, columns[:8])):.160}")
            raise InvalidTable(f"{file}, line {rows[0][0]}: no column {column!r}; {remedy}")


def _label_columns(
    file: Path, rows: list[Row], columns: list[str], others: list[str], labels: Sequence[str] | str | None
) -> list[str]:
    if labels is not None:
        names = [labels] if isinstance(labels, str) else list(labels)
        _check_columns(file, rows, columns, names)
    else:
        names = [
            column
            for column in columns
            if column and column not in others and _starts_with_number(rows, column)
        ]
    if not names:
        raise InvalidTable(f"{file}, line {rows[0][0]}: no column of numbers that could be a label; add one")
    return names


def _starts_with_number(rows: list[Row], column: str) -> bool:
    for _, values in rows:
        try:
            value = _number(values.get(column))
        except ValueError:
            return False
        if not math.isnan(value):
            return True
    return False


def _number(value: Any) -> float:
    """The number in a cell, NaN for an empty one; raises ValueError for anything else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or (isinstance(value, str) and "_" in value)
    ):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:
        raise ValueError from None
    if math.isinf(number):
        raise ValueError
    return number


def _label(file: Path, row: Row, column: str, missing: str) -> float:
    line, values = row
    try:
        number = _number(values.get(column))
    except ValueError:
        text = f"{values[column]!r:.40}"
        raise InvalidTable(
            f"{file}, line {line}: {text} in the column {column!r} is not a finite number; correct it"
        ) from None
    if math.isnan(number) and missing == "error":
        raise InvalidTable(
            f"{file}, line {line}: no number in the column {column!r}; fill it in, or pass missing='keep' to "
            "read it as NaN"
        )
    return number


# -- architectures -------------------------------------------------------------------------------------------


def _architecture(file: Path, row: Row, sources: list[str]) -> Any:
    line, values = row
    cells = []
    for column in sources:
        cell = values.get(column)
        if cell is None or cell == "":
            raise InvalidTable(
                f"{file}, line {line}: no architecture in the column {column!r}; fill it in or drop the row"
            )
        cells.append(cell)
    if len(cells) == 1:
        return cells[0]
    return dict(zip(("adjacency", "ops"), (_json_cell(file, line, cell) for cell in cells), strict=True))


def _json_cell(file: Path, line: int, cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return parse_json(
        cell, f"{file}, line {line}: {cell!r:.40}", "write a list such as [[0, 1], [0, 0]]", InvalidTable
    )


def _resolve_duplicates(
    file: Path, rows: list[Row], graphs: ArchGraphs, labels: dict[str, np.ndarray], policy: str
) -> tuple[ArchGraphs, dict[str, np.ndarray], Duplicates]:
    _, first, group = np.unique(graphs.hash(), axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[group] != np.arange(len(graphs)))
    if not again.size:
        return graphs, labels, "none"
    if policy == "keep":
        return graphs, labels, "kept"
    if policy == "error":
        row = again[0]
        raise InvalidTable(
            f"{file}, line {rows[row][0]}: the architecture of line {rows[first[group[row]]][0]} again "
            "(isomorphic); "
            "drop one of them, or pass duplicates='keep' or duplicates='mean'"
        )
    order = np.argsort(first)
    averaged = {column: group_means(values, group)[order] for column, values in labels.items()}
    return averaged_graphs(graphs, first, group), averaged, "averaged"


# -- networks -----------------------------------------------------------------------------------------------


def load_models(
    *,
    folder: str | os.PathLike[str],
    table: str | os.PathLike[str] = "accuracies.csv",
    model: str = "model",
    space: OperationSpace | None = None,
    labels: list[str] | str | None = None,
    label: str | None = None,
    missing: Literal["error", "keep"] = "error",
    duplicates: Literal["error", "keep", "mean"] = "error",
    name: str | None = None,
) -> ArchDataset:
    """Read ONNX models and their labels (:func:`archenc.spaces.from_onnx`; no other kind of model file is
    free of code).

    Args:
        folder: where the models are.
        table: the CSV or JSONL file of labels, relative to ``folder`` or absolute; one model a line.
        model: column of the model's file name, relative to ``folder``.
        space: the space of the graphs, for example that of a trained predictor; None for one that is just
            large enough.
        labels: as in :func:`archenc.datasets.table.load`, and so are ``label`` and ``missing``.
        label: the selected label.
        missing: what an empty label is.
        duplicates: what models with the same graph and sizes are, as in :func:`archenc.datasets.table.load`.
        name: what the data set is called; None for the folder's name.

    Raises:
        DataNotFound: the table cannot be read, or the package ``onnx`` is not installed.
        InvalidTable: what is wrong, in which line, and what to do.
    """
    owner = "the data set 'models'"
    place = given_path(owner, "folder", folder)
    files = ModelFiles(place, space)
    dataset = load(
        path=place / given_path(owner, "table", table),
        space=files,
        arch=model,
        labels=labels,
        label=label,
        missing=missing,
        duplicates=duplicates,
        name=name or place.resolve().name,
    )
    checksums = {str(place / file): sha256(place / file) for file in files.drawings}
    provenance = Provenance(source=dataset.provenance.source, files={**dataset.provenance.files, **checksums})
    return replace(dataset, provenance=provenance)
