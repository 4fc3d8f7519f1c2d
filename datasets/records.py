"""The rows of a user's CSV or JSONL file, with their line numbers, read within bounds."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from archenc.errors import DataNotFound, InvalidTable

Record = tuple[int, dict[str, Any]]
"""Line number, from 1, and the row's values by column."""

MAX_LINE_BYTES = 2**20
MAX_TABLE_BYTES = 2**30  # after decompression


def read_records(path: Path) -> list[Record]:
    """All rows of a ``.csv`` or ``.jsonl`` file, either of them also as ``.gz``.

    Raises:
        DataNotFound: the file cannot be read.
        InvalidTable: what is wrong with it and in which line.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    kind = "".join(suffixes[:-1][-1:] if compressed else suffixes[-1:])
    if kind not in (".csv", ".jsonl"):
        raise InvalidTable(f"the file {path} is neither CSV nor JSONL by its name; give a .csv, .jsonl, .csv.gz or .jsonl.gz file")
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as stream:
            lines = _lines(path, stream)
            return list(_csv_records(path, lines) if kind == ".csv" else _json_records(path, lines))
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidTable(f"the file {path} is not a whole gzip file ({type(error).__name__}); compress it again") from None
    except OSError as error:
        raise DataNotFound(f"the file {path} cannot be read ({error.strerror or error}); check its path and permissions") from None


def _lines(path: Path, stream: BinaryIO | gzip.GzipFile) -> Iterator[str]:
    total = 0
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        total += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise InvalidTable(f"{path}, line {number}: the line is longer than {MAX_LINE_BYTES:,} bytes; write one architecture a line")
        if total > MAX_TABLE_BYTES:
            raise InvalidTable(f"{path}, line {number}: the table is larger than {MAX_TABLE_BYTES:,} bytes; split it")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InvalidTable(f"{path}, line {number}: the text is not UTF-8; save the file in that encoding") from None


def _csv_records(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    rows = csv.reader(lines, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            if not row:
                continue
            if not header:
                header = _checked_header(path, [name.strip() for name in row])
                continue
            if len(row) != len(header):
                raise InvalidTable(
                    f"{path}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}; "
                    "give every row one field for each column, and quote fields with commas"
                )
            yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InvalidTable(f"{path}, line {rows.line_num}: not valid CSV ({error}); repair this line") from None


def _checked_header(path: Path, header: list[str]) -> list[str]:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InvalidTable(f"{path}, line 1: the column {twice!r} occurs twice; rename one of them")
    return header


def _json_records(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidTable(f"{path}, line {number}: not valid JSON ({reason}); repair this line") from None
        if not isinstance(record, dict):
            raise InvalidTable(f"{path}, line {number}: a JSON {type(record).__name__} instead of an object; write one object a line")
        yield number, record
