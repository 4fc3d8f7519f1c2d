"""Tables of runs for a terminal: as wide as it is, in the order and with the rows that are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from archenc.benchmarks.next import NextRun, heading, standings
from archenc.benchmarks.reports.estimates import metric_name
from archenc.benchmarks.reports.published import (
    DIFFERENCE,
    PublishedResult,
    comparison,
    published_results,
)
from archenc.benchmarks.reports.report import matrix, split_text
from archenc.benchmarks.runs import Leaderboard
from archenc.errors import InvalidParameter
from archenc.files.terminal import ANYWHERE, DEVIATIONS, Table, Terminal, by_gaps
from archenc.files.text import listed, visible


@dataclass(frozen=True)
class View:
    """What is shown of tables of runs, and how.

    Attributes:
        sort: ``"method"``, ``"seconds"``, a training size, or None for the usual order; where a table has no
            such size, its usual order.
        only: words of which a method's name must hold one; ``-WORD`` and ``!WORD`` leave out the methods that
            hold it.
        terminal: where it is shown.
    """

    sort: str | None = None
    only: tuple[str, ...] = ()
    terminal: Terminal = ANYWHERE

    @property
    def size(self) -> int | None:
        """The training size to sort by, if it is one."""
        text = "" if self.sort is None else self.sort.removeprefix("n=")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None

    def check(self, methods: Iterable[str | tuple[str, ...]], sizes: Collection[int]) -> None:
        """Raise :class:`InvalidParameter` for a column that is not there, and if no method is shown.

        Args:
            methods: a name of each, or several.
            sizes: training sizes.
        """
        if self.sort not in (None, "method", "seconds") and self.size not in sizes:
            known = listed(["method", "seconds", *map(str, sorted(sizes))])
            raise InvalidParameter(f"there is no column {self.sort!r} to sort by; choose one of {known}")
        names = [(one,) if isinstance(one, str) else one for one in methods]
        if not any(self.shows(*each) for each in names):
            known = listed(dict.fromkeys(each[0] for each in names))
            raise InvalidParameter(f"--filter {','.join(self.only)!r} leaves no method; there are {known}")

    def shows(self, *names: str) -> bool:
        """Whether a method of these names is shown, in upper or lower case."""
        unwanted = [word[1:] for word in self.only if word[0] in "-!"]
        wanted = [word for word in self.only if word[0] not in "-!"]
        return (not wanted or _holds(names, wanted)) and not _holds(names, unwanted)

    def order(self, board: Leaderboard) -> list[str]:
        """The methods that are shown, from the top."""
        names = [name for name in board.methods if self.shows(name)]
        sign, size = 1 if board.smaller_is_better else -1, self.size
        if self.sort == "method":
            return sorted(names)
        if self.sort == "seconds":
            return sorted(names, key=lambda name: _seconds(board, name))
        if size in board.sizes:
            return sorted(names, key=lambda name: _last(sign * _value(board, name, size)))
        return names


def _holds(names: Iterable[str], words: Iterable[str]) -> bool:
    return any(word.casefold() in name.casefold() for name in names for word in words)


def _last(value: float) -> float:
    """What sorts a value that is not there behind all others."""
    return value if math.isfinite(value) else math.inf


def _value(board: Leaderboard, method: str, size: int) -> float:
    row = board.cell(method, size)
    return math.nan if row is None else row.mean(board.metric)


def _seconds(board: Leaderboard, method: str) -> float:
    row = board.cell(method, board.sizes[-1])
    return math.inf if row is None else row.seconds("fit") + row.seconds("predict")


# -- leaderboards --------------------------------------------------------------------------------------------


def leaderboard_text(board: Leaderboard, view: View | None = None) -> str:
    """The methods x sizes table, with the best value of each size among the methods that are shown marked."""
    view = view or View()
    header, lines = matrix(board)
    by_name = {line[0]: line for line in lines}
    names = view.order(board)
    sizes = range(len(header) - 1 - len(board.sizes), len(header) - 1)
    best = [
        place
        for at, size in zip(sizes, board.sizes, strict=True)
        for place in _best([_value(board, name, size) for name in names], at, board.smaller_is_better)
    ]
    chosen = [by_name[name] for name in names]
    inner = by_gaps(chosen, sizes)[:-1]  # one size is always left
    table, left_out = Table(header, chosen, best, [DEVIATIONS, 1, len(header) - 1, *inner]).text(
        view.terminal
    )
    title = (
        f"{metric_name(board.metric)}, mean ± std (runs): {board.setting.dataset}, {board.setting.label}, "
        f"split {split_text(board)}"
    )
    few = len(names) < len(board.methods)
    notes = [
        f"seconds: one fit + one prediction of the test set; {_mark(view.terminal)}: best of a size",
        f"{len(names)} of {len(board.methods)} methods are shown" if few else "",
        left_out,
    ]
    return "\n".join([visible(title), "", table, "", *filter(None, notes)])


def _best(values: Sequence[float], column: int, smaller: bool) -> list[tuple[int, int]]:
    """The places in a column of the best of its values."""
    pick: Callable[..., float] = min if smaller else max
    best = pick(filter(math.isfinite, values), default=math.nan)
    return [(line, column) for line, value in enumerate(values) if value == best]


def _mark(terminal: Terminal) -> str:
    return "bold" if terminal.bold else "*"


# -- published numbers ---------------------------------------------------------------------------------------


def comparison_text(board: Leaderboard, view: View | None = None) -> str | None:
    """Published numbers beside ours; None where there are none, or none that is shown."""
    view = view or View()
    table = comparison(board, _ordered(board, view))
    if table is None:
        return None
    notes = [f"[{at}] {visible(note)}" for at, note in enumerate(table.footnotes, start=1)]
    columns = range(2, len(table.header))
    values = [
        [math.nan if line[0] == DIFFERENCE else _number(line[at]) for line in table.lines] for at in columns
    ]
    best = [place for at, column in zip(columns, values, strict=True) for place in _best(column, at, False)]
    expendable: list[int | str] = [DEVIATIONS, 1, *by_gaps(table.lines, columns)[:-1]]
    text, left_out = Table(table.header, table.lines, best, expendable).text(view.terminal)
    notes = [f"{_mark(view.terminal)}: best of a size", *filter(None, [left_out]), *notes]
    return "\n".join([visible(table.title), "", text, "", *notes])


def printed(board: Leaderboard) -> list[PublishedResult]:
    """The published numbers of a leaderboard's protocol."""
    return [result for result in published_results() if result.protocol == board.setting.name]


def _ordered(board: Leaderboard, view: View) -> list[PublishedResult]:
    """The published numbers that are shown: sorted by the papers' names and values, or our seconds."""
    found = [result for result in printed(board) if view.shows(result.label, result.method)]
    if view.sort == "method":
        return sorted(found, key=lambda result: result.label)
    if view.sort == "seconds":
        return sorted(found, key=lambda result: _seconds(board, result.method))
    values = {_whose(result): result.tau for result in found if result.size == view.size}
    return sorted(found, key=lambda result: -values.get(_whose(result), -math.inf))


def _whose(result: PublishedResult) -> tuple[str, str, str]:
    return result.paper, result.table, result.label


# -- what to train next --------------------------------------------------------------------------------------


LABELS, RANKS, LEAST_TELLING = (2, 4, 6), (3, 5, 8), (1, 9, 7, DEVIATIONS, 8, 5, 3, 4, 6)
"""Columns of :func:`archenc.benchmarks.next.standings`; the last ones in the order in which they may go."""


def next_text(group: list[NextRun], terminal: Terminal) -> str:
    """The table of what methods suggested, with the highest labels and the lowest ranks marked."""
    header, lines = standings(group)
    best = [
        place
        for at in (*LABELS, *RANKS)
        for place in _best([_number(line[at]) for line in lines], at, at in RANKS)
    ]
    table, left_out = Table(header, lines, best, LEAST_TELLING).text(terminal)
    notes = [f"{_mark(terminal)}: best of a column", *filter(None, [left_out])]
    return "\n".join([visible(heading(group)), "", table, "", *notes])


def _number(text: str) -> float:
    """The number that a cell begins with; NaN for an empty one."""
    first = text.partition(" ")[0].replace(",", "")
    return float(first) if first.strip("-") else math.nan
