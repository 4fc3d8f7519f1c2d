"""Raw public files as values: CSV, JSON, zipped JSON and zipped pickles of numbers, read within bounds."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from archenc.datasets.sources.unpickle import load_numbers
from archenc.errors import CorruptFile, DataNotFound
from archenc.files import documents
from archenc.files.trusted import check_members, read_bytes

MAX_BYTES = 32 * 2**20
"""The largest raw file, and the most that one inflates to."""
MAX_FILES = 1_000
"""In one of them."""


def corrupt(path: Path, what: str) -> CorruptFile:
    """The error for a raw file in which something is wrong."""
    return CorruptFile(f"the file {path}: {what}; get it again")


# -- CSV -----------------------------------------------------------------------------------------------------


def read_csv(path: Path, header: Sequence[str], rows: int) -> dict[str, list[str]]:
    """The columns of a CSV file by name, as text.

    Raises:
        CorruptFile: it is not CSV in UTF-8 with just this header and so many rows.
    """
    try:
        lines = csv.reader(io.StringIO(read_bytes(path, MAX_BYTES).decode("utf-8"), newline=""), strict=True)
        found = next(lines, [])
        if found != list(header):
            raise corrupt(
                path, f"its columns are {', '.join(found):.120} instead of {', '.join(header):.120}"
            )
        table = list(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise corrupt(path, f"it is not CSV ({error})") from None
    if len(table) != rows:
        raise corrupt(path, f"it has {len(table):,} rows instead of {rows:,}")
    if wrong := next((line for line, row in enumerate(table, start=2) if len(row) != len(header)), 0):
        raise corrupt(path, f"line {wrong} has another number of fields than the header")
    return (
        dict(zip(header, map(list, zip(*table, strict=True)), strict=True))
        if rows
        else {name: [] for name in header}
    )


def floats(path: Path, table: dict[str, list[str]], column: str, *, blank: bool = False) -> np.ndarray:
    """A column of numbers as float64; with ``blank`` also infinities, and NaN for empty fields."""
    text = ["nan" if blank and not value else value for value in table[column]]
    try:
        numbers = np.array(text, dtype=np.str_).astype(np.float64)
    except ValueError as error:
        raise corrupt(
            path, f"the column {column!r} holds something other than numbers ({error!s:.80})"
        ) from None
    if not blank and not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise corrupt(
            path, f"{text[row]!r:.40} in the column {column!r}, line {row + 2}, is not a finite number"
        )
    return numbers


def ascii_array(path: Path, texts: Sequence[str]) -> np.ndarray:
    """Texts as an array of bytes."""
    try:
        return np.array(texts, dtype=np.bytes_)
    except UnicodeEncodeError:
        raise corrupt(path, "it holds letters beyond ASCII") from None


# -- JSON ----------------------------------------------------------------------------------------------------


def parse_json(path: Path, content: bytes) -> Any:
    """The value of a JSON text in UTF-8."""
    return documents.parse_json(content, f"the file {path}: it", "get it again")


def json_object(path: Path, value: Any, where: str) -> dict[str, Any]:
    """``value``, if it is a JSON object."""
    if not isinstance(value, dict):
        raise corrupt(path, f"{where} is a {type(value).__name__} instead of an object")
    return value


def json_floats(path: Path, values: Sequence[Any], where: str) -> np.ndarray:
    """JSON numbers as float64, all of them finite."""
    if wrong := [value for value in values if type(value) not in (int, float)]:
        raise corrupt(path, f"{wrong[0]!r:.40} in {where} is not a number")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        numbers = np.array([np.inf])
    if not np.isfinite(numbers).all():
        raise corrupt(path, f"{where} holds a number that is not finite")
    return numbers


def tuples(path: Path, texts: Sequence[Any], length: int, below: int) -> np.ndarray:
    """Texts such as ``"(4, 0, 3, 1, 4, 3)"`` as uint8 (N, length), each number less than ``below``, which is
    at most 10.
    """
    form = re.compile(rf"\([0-{below - 1}](?:, [0-{below - 1}]){{{length - 1}}}\)")
    if wrong := [text for text in texts if not (isinstance(text, str) and form.fullmatch(text))]:
        raise corrupt(path, f"{wrong[0]!r:.60} is no tuple of {length} numbers below {below}")
    characters = np.array(texts, dtype=f"S{3 * length}").view(np.uint8).reshape(len(texts), 3 * length)
    numbers: np.ndarray = characters[:, 1::3] - np.uint8(ord("0"))
    return numbers


# -- files of folders and archives ---------------------------------------------------------------------------


def read_files(
    place: Path, form: re.Pattern[str], *, max_bytes: int, max_files: int, max_total: int
) -> Iterator[tuple[str, bytes]]:
    """The files in a zip file or a folder whose names have a form, one after another; names become no paths.

    Args:
        place: the zip file or the folder.
        form: of a whole name, with the folders on the way and ``/`` between them.
        max_bytes: the largest size of one file, inflated.
        max_files: how many there may be.
        max_total: the most that a zip file's members of this form inflate to together.

    Returns:
        Name and content of each, sorted by name.

    Raises:
        DataNotFound: a file cannot be read.
        CorruptFile: the zip file is damaged, or a bound is passed; sizes are compared before anything is
            inflated.
    """
    if place.is_dir():
        found = (
            path
            for path in place.rglob("*")
            if form.fullmatch(path.relative_to(place).as_posix()) and path.is_file()
        )
        paths = sorted(islice(found, max_files + 1))
        _check_number(place, len(paths), max_files)
        for path in paths:
            yield path.relative_to(place).as_posix(), read_bytes(path, max_bytes)
        return
    try:
        with zipfile.ZipFile(place) as archive:
            members = sorted(
                (info for info in archive.infolist() if form.fullmatch(info.filename)),
                key=lambda info: info.filename,
            )
            _check_number(place, len(members), max_files)
            check_members(members, max_total, place)
            if large := next((info for info in members if info.file_size > max_bytes), None):
                raise corrupt(place, f"{large.filename!r:.80} is larger than {max_bytes:,} bytes")
            for info in members:
                with archive.open(info) as stream:
                    yield (
                        info.filename,
                        stream.read(max_bytes + 1),
                    )  # a number, so that no more is inflated than was declared
    except CorruptFile:
        raise
    except OSError as error:
        raise DataNotFound(
            f"the file {place} cannot be read ({error.strerror}); check its path and permissions"
        ) from None
    except Exception as error:  # a damaged archive can fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise corrupt(place, f"it is not a whole zip file ({reason:.80})") from None


def _check_number(place: Path, number: int, most: int) -> None:
    if number > most:
        raise corrupt(place, f"it holds more than {most:,} files of results")


def _zipped(path: Path, form: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    return read_files(path, form, max_bytes=MAX_BYTES, max_files=MAX_FILES, max_total=MAX_BYTES)


def naslib_accuracies(
    path: Path, space: str, tasks: Sequence[str], operations: int, rows: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The ``val_accuracy`` of each task in a zip file of NASLib's blocks
    ``zen/benchmark--SPACE--TASK--START.json``.

    Returns:
        For each task the six operations, uint8 (rows, 6), each architecture once, and the values, float64
        (rows,).
    """
    records: dict[str, list[dict[str, Any]]] = {task: [] for task in tasks}
    form = re.compile(rf"zen/benchmark--{space}--([\w-]+?)--\d+\.json")
    for name, content in _zipped(path, form):
        block = parse_json(path, content)
        task = form.sub(r"\1", name)
        if task not in records or not isinstance(block, list):
            raise corrupt(path, f"{name} is not a list of results of one of {', '.join(tasks)}")
        records[task] += (json_object(path, record, f"an entry of {name}") for record in block)
    found = {}
    for task, results in records.items():
        cells = tuples(path, [result.get("arch") for result in results], 6, operations)
        if len(cells) != rows or len(np.unique(cells, axis=0)) != rows:
            raise corrupt(
                path,
                f"{task} has {len(np.unique(cells, axis=0)):,} architectures in {len(cells):,} entries "
                f"instead of {rows:,}",
            )
        found[task] = (
            cells,
            json_floats(path, [result.get("val_accuracy") for result in results], f"val_accuracy of {task}"),
        )
    return found


def torch_numbers(path: Path, rows: int) -> np.ndarray:
    """The list of numbers in a PyTorch zip file as float64 (rows,)."""
    pickles = [content for _, content in _zipped(path, re.compile(r"archive/data\.pkl"))]
    lists = [
        load_numbers(content, path) for content in pickles if len(content) < 10 * rows + 1_000
    ]  # 9 bytes a float
    if len(lists) != 1 or len(lists[0]) != rows:
        raise corrupt(path, f"it does not hold one list of {rows:,} numbers")
    return json_floats(path, lists[0], "the list")
