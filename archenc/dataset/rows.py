"""Tables that others wrote: the rows of a CSV or JSONL file, or the lines of a text, with their numbers, read
within bounds.

Reading stops where a bound is passed, so that a small compressed file costs no more than a table of the
allowed size. Text is UTF-8, with or without a byte order mark, and each kind of file can be compressed
(``.gz``). There are at most :data:`MAX_LINES` lines of :data:`MAX_LINE_BYTES` bytes, :data:`MAX_BYTES` bytes
after unpacking, :data:`MAX_COLUMNS` columns with names of up to :data:`MAX_NAME` characters, and
:data:`MAX_VALUES` values; a cell of a CSV file has at most 131,072 characters, which is the limit of Python's
reader.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archenc.errors import DataNotFound, InvalidArchitecture, InvalidTable
from archenc.files.documents import parse_json

if TYPE_CHECKING:
    from archenc.graphs import ArchGraphs
    from archenc.spaces.base import Space

Row = tuple[int, dict[str, Any]]
"""Line number, from 1, and the row's values by column."""

MAX_BYTES = 2**28
MAX_LINES = 1_000_000
MAX_LINE_BYTES = 2**20
MAX_COLUMNS = 1_000
MAX_NAME = 200
MAX_VALUES = 2**24
"""Of all rows together; those inside of lists and objects count too."""


# -- lines ---------------------------------------------------------------------------------------------------


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank, without white space around it.

    Raises:
        DataNotFound: the file cannot be read.
        InvalidTable: the line at which a bound is passed, or which is not UTF-8.
    """
    with _lines(path) as lines:
        return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a file, which may be compressed, as text."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            yield _decoded(path, iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""))
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidTable(
            f"the file {path} is not a whole gzip file ({type(error).__name__}); compress it again"
        ) from None
    except OSError as error:
        raise DataNotFound(
            f"the file {path} cannot be read ({error.strerror or error}); check its path and permissions"
        ) from None


def _decoded(path: Path, lines: Iterable[bytes]) -> Iterator[str]:
    total = 0
    for number, line in enumerate(lines, start=1):
        total += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise InvalidTable(
                f"{path}, line {number}: the line is longer than {MAX_LINE_BYTES:,} bytes; write one "
                "architecture a line"
            )
        if total > MAX_BYTES:
            raise InvalidTable(
                f"{path}, line {number}: the table is larger than {MAX_BYTES:,} bytes; split it"
            )
        if number > MAX_LINES:
            raise InvalidTable(
                f"{path}, line {number}: the table has more than {MAX_LINES:,} lines; split it"
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InvalidTable(
                f"{path}, line {number}: the text is not UTF-8; save the file in that encoding"
            ) from None


# -- rows ----------------------------------------------------------------------------------------------------


def table_kind(path: Path) -> str:
    """``".csv"``, ``".jsonl"``, or another suffix of a file by its name, compressed or not."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[:-1][-1:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def read_rows(path: Path) -> list[Row]:
    """All rows of a ``.csv`` or ``.jsonl`` file, either of them also as ``.gz``.

    Raises:
        DataNotFound: the file cannot be read.
        InvalidTable: what is wrong with it and in which line.
    """
    kind = table_kind(path)
    if kind not in (".csv", ".jsonl"):
        raise InvalidTable(
            f"the file {path} is neither CSV nor JSONL by its name; give a .csv, .jsonl, .csv.gz or "
            ".jsonl.gz file"
        )
    rows, values = [], 0
    with _lines(path) as lines:
        for line, row in _csv_rows(path, lines) if kind == ".csv" else _json_rows(path, lines):
            values += _size(row)
            if values > MAX_VALUES:
                raise InvalidTable(
                    f"{path}, line {line}: the table has more than {MAX_VALUES:,} values; split it"
                )
            rows.append((line, row))
    return rows


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    rows = csv.reader(lines, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            if not row:
                continue
            if not header:
                header = [name.strip() for name in row]
                _check_columns(path, rows.line_num, header)
                continue
            if len(row) != len(header):
                raise InvalidTable(
                    f"{path}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}; "
                    "give every row one field for each column, and quote fields with commas"
                )
            yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InvalidTable(
            f"{path}, line {rows.line_num}: not valid CSV ({error}); repair this line"
        ) from None


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}, line {number}: this", "repair this line", InvalidTable)
        if not isinstance(row, dict):
            raise InvalidTable(
                f"{path}, line {number}: a JSON {type(row).__name__} instead of an object; write one object "
                "a line"
            )
        _check_columns(path, number, list(row))
        yield number, row


def _check_columns(path: Path, line: int, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise InvalidTable(
            f"{path}, line {line}: {len(names):,} columns, more than {MAX_COLUMNS:,}; leave some out"
        )
    for name, times in Counter(names).items():
        if name and times > 1:
            raise InvalidTable(
                f"{path}, line {line}: the column {name!r:.60} occurs twice; rename one of them"
            )
        if len(name) > MAX_NAME:
            raise InvalidTable(
                f"{path}, line {line}: the name {name!r:.60} of a column is longer than {MAX_NAME} "
                "characters; shorten it"
            )


def _size(value: Any) -> int:
    """Of a JSON value: it and all that is in it."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


# -- architectures -------------------------------------------------------------------------------------------


def read_architectures(path: Path, column: str = "arch") -> list[tuple[int, Any]]:
    """The numbered lines of a file of architectures: one a line, or a column of a CSV or JSONL table;
    compressed (``.gz``) or not.

    Raises:
        DataNotFound: the file cannot be read.
        InvalidTable: the line without an architecture, or at which a bound is passed; a file that holds none.
    """
    found: list[tuple[int, Any]] = []
    if table_kind(path) not in (".csv", ".jsonl"):
        found += read_lines(path)
    else:
        for line, row in read_rows(path):
            if row.get(column) in (None, ""):
                remedy = "fill it, or name the column so"
                raise InvalidTable(
                    f"{path}, line {line}: there is no architecture in a column {column!r}; {remedy}"
                )
            found.append((line, row[column]))
    if not found:
        raise InvalidTable(f"{path} holds no architecture; write one a line")
    return found


def parse_architectures(path: Path, space: Space, notation: str | None = None) -> ArchGraphs:
    """The architectures of a file as graphs: :func:`read_architectures`, then :func:`parse_rows`."""
    return parse_rows(path, space, read_architectures(path), notation)


def parse_rows(
    path: Path, space: Space, rows: Sequence[tuple[int, Any]], notation: str | None = None
) -> ArchGraphs:
    """The architectures of numbered lines, numbers being read by ``notation``
    (:func:`archenc.graphs.as_graphs`).

    Raises:
        InvalidTable: the first line that holds none of the space.
        InvalidParameter: a notation that the space does not have.
    """
    from archenc.graphs import as_graphs
    from archenc.spaces.base import is_whole

    architectures = [architecture for _, architecture in rows]
    if space.notations:  # a number is an architecture here, however many lines there are
        architectures = [str(item) if is_whole(item) else item for item in architectures]
    try:
        return as_graphs(architectures, space, notation)
    except InvalidArchitecture as error:
        reason = error
    good, bad = 0, len(architectures)  # the first `good` can be read, the first `bad` cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            as_graphs(architectures[:middle], space, notation)
            good = middle
        except InvalidArchitecture as error:
            bad, reason = middle, error
    try:
        as_graphs(
            architectures[good] if isinstance(architectures[good], str) else [architectures[good]],
            space,
            notation,
        )
    except InvalidArchitecture as error:
        reason = error
    text = reason.called("").lstrip(":, ")
    text = (
        text if len(text) <= 300 else f"{text[:150]} ... {text[-150:]}"
    )  # it may quote a cell of any length
    raise InvalidTable(f"{path}, line {rows[good][0]}: {text}")
