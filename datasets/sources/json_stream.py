"""Large JSON files of many records, read one record at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from archenc.errors import CorruptFile, DataNotFound

MAX_FILE_BYTES = 4 * 2**30
MAX_RECORD = 4 * 2**20
"""Most characters of one record."""

_CHUNK = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")


def read_records(path: Path, lists: Sequence[str], max_records: int) -> Iterator[Any]:
    """The records of a file that holds a list of them, or an object of such lists under the names ``lists``,
    in the order of the file.

    Raises:
        DataNotFound: the file cannot be read.
        CorruptFile: it is no such file, or has more than ``max_records`` records.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise CorruptFile(
                    f"the file {path} is larger than {MAX_FILE_BYTES:,} bytes; check that it is the right one"
                )
            for number, record in enumerate(_Reader(stream).records(lists)):
                if number == max_records:
                    raise CorruptFile(
                        f"the file {path} has more than {max_records:,} records; check that it is the right "
                        "one"
                    )
                yield record
    except OSError as error:
        raise DataNotFound(
            f"the file {path} cannot be read ({error.strerror}); check its path and permissions"
        ) from None
    except CorruptFile:
        raise
    except (ValueError, RecursionError) as error:
        raise CorruptFile(
            f"the file {path} is not a JSON list of records ({str(error).splitlines()[0]:.80}); get it again"
        ) from None


class _Reader:
    """A window over the text that moves on with what was read."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.text, self.at = stream, "", 0

    def records(self, lists: Sequence[str]) -> Iterator[Any]:
        if self.peek() == "[":
            yield from self.items()
        elif self.peek() == "{":
            for _ in self.separated("{", "}"):
                if self.value() not in lists or self.take() != ":":
                    raise ValueError(f"an object of other lists than {', '.join(lists)}")
                yield from self.items()
        if self.peek():
            raise ValueError(f"{self.peek()!r} where the file should end")

    def items(self) -> Iterator[Any]:
        for _ in self.separated("[", "]"):
            yield self.value()

    def separated(self, opening: str, closing: str) -> Iterator[None]:
        """One item for each value between two brackets, which must be read before the next is asked for."""
        if self.take() != opening:
            raise ValueError(f"no {opening!r} where a list should begin")
        if self.peek() == closing:
            self.take()
            return
        while True:
            yield None
            mark = self.take()
            if mark == closing:
                return
            if mark != ",":
                raise ValueError(f"{mark!r} between two records")

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches anywhere
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self) -> str:
        mark = self.peek()
        self.at += len(mark)
        return mark

    def value(self) -> Any:
        """The next JSON value; the window grows until it holds all of it."""
        self.peek()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
            except ValueError:
                if len(self.text) - self.at > MAX_RECORD or not self.more():
                    raise
                continue
            whole = end < len(self.text) and self.text[end] in " \t\r\n,:]}"
            if not whole and len(self.text) - self.at <= MAX_RECORD and self.more():  # a number may go on
                continue
            self.at = end
            return value

    def more(self) -> bool:
        """Read as much again as there is, or the first bit; False at the end of the file."""
        self.text = self.text[self.at :]
        self.at = 0
        piece = self.stream.read(max(_CHUNK, len(self.text)))
        self.text += piece
        return bool(piece)
