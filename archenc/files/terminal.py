"""Tables that fit a terminal, with the best values marked."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from archenc.files.reports import text_table
from archenc.files.text import visible

SHORT = 24
"""Characters that a name keeps at least."""
DEVIATIONS = "deviations and numbers of runs"
"""What numbers such as ``0.612 ± 0.013 (3)`` can do without."""
_MEAN = re.compile(r"([-+]?[\d.,]+)(?: ± [-\d.,]+)?(?: \(\d+\))?")


@dataclass(frozen=True)
class Terminal:
    """What a table is shown on.

    Attributes:
        width: its columns; None for any number of them.
        bold: whether it shows bold text.
    """

    width: int | None = None
    bold: bool = False


ANYWHERE = Terminal()
"""What is no terminal: a file or another program, for which there is room for everything."""


def this_terminal() -> Terminal:
    """The terminal that standard output goes to.

    Nothing is bold where ``NO_COLOR`` is set, on a terminal that calls itself dumb, and on Windows, where old
    ones are.
    """
    if not sys.stdout.isatty():
        return ANYWHERE
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or sys.platform == "win32"
    return Terminal(shutil.get_terminal_size().columns, not plain)


@dataclass(frozen=True)
class Table:
    """A table that can do with less room.

    Attributes:
        header, lines: texts; the first column holds names, of which the middle may be cut.
        best: line and column of the cells that are marked: bold, or by a star where nothing can be.
        expendable: what may be left out, the first one first: columns, and :data:`DEVIATIONS`.
    """

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    best: Collection[tuple[int, int]] = ()
    expendable: Sequence[int | str] = ()

    def text(self, terminal: Terminal) -> tuple[str, str]:
        """The table, for :func:`archenc.files.text.say_styled`, and a sentence about what was left out of it,
        empty if nothing was.
        """
        gone: list[int | str] = []
        for one in (None, *self.expendable):
            gone += [] if one is None else [one]
            columns = [column for column in range(len(self.header)) if column not in gone]
            header, lines, bold = self._part(columns, DEVIATIONS in gone, terminal.bold)
            room = _room(header, lines, terminal.width)
            if room >= min(SHORT, _width(header, lines, 0)):
                break
        lines = [[_cut(line[0], max(room, SHORT)), *line[1:]] for line in lines]
        names = [one if isinstance(one, str) else visible(self.header[one]) for one in gone]
        note = f"left out for want of width: {'; '.join(names)}" if names else ""
        return text_table(header, lines, bold), note

    def _part(
        self, columns: list[int], means: bool, bold: bool
    ) -> tuple[list[str], list[list[str]], set[tuple[int, int]]]:
        """Header and lines of some columns, of numbers the means alone, and what is bold in them."""

        def cell(line: int, column: int) -> str:
            text = visible(self.lines[line][column])
            match = _MEAN.fullmatch(text) if means else None
            star = " *" if (line, column) in self.best and not bold else ""
            return (text if match is None else match[1]) + star

        header = [visible(self.header[column]) for column in columns]
        lines = [[cell(line, column) for column in columns] for line in range(len(self.lines))]
        marked = {(line, columns.index(column)) for line, column in self.best if column in columns}
        return header, lines, marked if bold else set()


def by_gaps(lines: Sequence[Sequence[str]], columns: Sequence[int]) -> list[int]:
    """Columns in the order in which they can be done without: first those with most empty cells."""
    return sorted(columns, key=lambda column: (-sum(not line[column] for line in lines), column))


def _room(header: Sequence[str], lines: Sequence[Sequence[str]], width: int | None) -> int:
    """What is left for the first column."""
    others = sum(2 + _width(header, lines, column) for column in range(1, len(header)))
    return sys.maxsize if width is None else width - others


def _width(header: Sequence[str], lines: Sequence[Sequence[str]], column: int) -> int:
    return max(len(line[column]) for line in (header, *lines))


def _cut(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[len(text) - (most - half - 1) :]}"
