"""Leaderboards for a terminal: as wide as it is, in the order and with the rows that are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archenc.benchmarks.reports.report import matrix, split_text
from archenc.benchmarks.reports.text import metric_name
from archenc.benchmarks.runs import Leaderboard
from archenc.errors import InvalidParameter
from archenc.files.reports import text_table
from archenc.files.text import visible

SHORT = 24
"""Characters that a name keeps at least."""
METHOD, SIMPLIFY, SECONDS = 0, 1, -1
"""Columns of a leaderboard beside those of the sizes."""


@dataclass(frozen=True)
class View:
    """What is shown of a leaderboard, and how.

    Attributes:
        sort: ``"method"``, ``"seconds"``, a training size, or None for the order of the leaderboard.
        only: words of which a method's name must hold one; ``-WORD`` leaves out the methods that hold it.
        width: columns of the terminal, or None for any.
    """

    sort: str | None = None
    only: tuple[str, ...] = ()
    width: int | None = None

    def shows(self, method: str) -> bool:
        """Whether a method's row is shown."""
        wanted = [word for word in self.only if not word.startswith("-")]
        unwanted = [word[1:] for word in self.only if word.startswith("-")]
        return (not wanted or any(word in method for word in wanted)) and not any(
            word in method for word in unwanted
        )

    def order(self, board: Leaderboard) -> list[str]:
        """The methods that are shown, from the top.

        Raises:
            InvalidParameter: the leaderboard has no such column, or no method with such a name.
        """
        names = [name for name in board.methods if self.shows(name)]
        if not names:
            raise InvalidParameter(
                f"no method of {board.setting.name} has a name with {', '.join(self.only)}; the first ones "
                f"are {', '.join(board.methods[:3])}"
            )
        if self.sort is None:
            return names
        if self.sort == "method":
            return sorted(names)
        if self.sort == "seconds":
            return sorted(names, key=lambda name: _value(board, name, board.sizes[-1], None))
        size = self.sort.removeprefix("n=")
        if size not in map(str, board.sizes):
            known = ", ".join(["method", "seconds", *map(str, board.sizes)])
            raise InvalidParameter(
                f"{board.setting.name} has no column {self.sort!r} to sort by; choose one of {known}"
            )
        sign = 1 if board.smaller_is_better else -1
        return sorted(names, key=lambda name: sign * _value(board, name, int(size), board.metric, sign))


def _value(board: Leaderboard, name: str, size: int, metric: str | None, sign: int = 1) -> float:
    """A metric, or the seconds, of a method at a size; what is not there comes last."""
    row = board.cell(name, size)
    value = math.nan if row is None else row.seconds("fit") if metric is None else row.mean(metric)
    return value if math.isfinite(value) else sign * math.inf


def leaderboard_text(board: Leaderboard, view: View | None = None) -> str:
    """The methods x sizes table, the best value of each size with a star."""
    view = view or View()
    names = view.order(board)
    header, cells = matrix(board)
    starred = [_starred(board, line) for line in cells]
    lines = sorted((line for line in starred if line[0] in names), key=lambda line: names.index(line[0]))
    title = (
        f"{metric_name(board.metric)}, mean ± std (runs): {board.setting.dataset}, {board.setting.label}, "
        f"split {split_text(board)}"
    )
    table, left_out = fit(header, lines, view.width)
    notes = ["seconds: one fit + one prediction of the test set; *: best of a column"]
    if len(names) < len(board.methods):
        notes.append(f"{len(names)} of {len(board.methods)} methods are shown")
    if left_out:
        notes.append(f"left out for want of width: {'; '.join(left_out)}")
    return "\n".join([visible(title), "", table, "", *notes])


def _starred(board: Leaderboard, line: list[str]) -> list[str]:
    """A line of :func:`matrix` with a star behind the best values of their sizes."""
    first = len(line) - 1 - len(board.sizes)
    pick = min if board.smaller_is_better else max
    starred = list(line)
    for at, size in enumerate(board.sizes, start=first):
        row = board.cell(line[0], size)
        values = [one.mean(board.metric) for one in board.rows if one.size == size]
        best = pick((value for value in values if math.isfinite(value)), default=math.nan)
        if row is not None and row.mean(board.metric) == best:
            starred[at] += " *"
    return starred


def fit(header: Sequence[str], lines: Sequence[Sequence[str]], width: int | None) -> tuple[str, list[str]]:
    """A table of at most ``width`` columns, and the names of what was left out of it.

    What is too wide loses the middle of long names, then the deviations and numbers of runs, then whole
    columns: the second, the last, and of those in between always the one with most gaps.
    """
    table = text_table(header, lines)
    if _fits(table, width):
        return table, []
    cut = [[_cut(line[METHOD]), *line[1:]] for line in lines]
    plain = [[line[0], *map(_mean_only, line[1:])] for line in cut]
    gaps = {at: sum(not line[at] for line in lines) for at in range(2, len(header) - 1)}
    expendable = [SIMPLIFY, len(header) - 1, *sorted(gaps, key=lambda at: (-gaps[at], at))][:-1]
    left_out: set[int] = set()
    for shown, gone in [(cut, None), (plain, None), *((plain, at) for at in expendable)]:
        left_out |= set() if gone is None else {gone}
        kept = [at for at in range(len(header)) if at not in left_out]
        table = text_table([header[at] for at in kept], [[line[at] for at in kept] for line in shown])
        if _fits(table, width):
            break
    names = [header[at] for at in sorted(left_out)]
    return table, names if shown is cut else ["deviations and numbers of runs", *names]


def _fits(table: str, width: int | None) -> bool:
    return width is None or max(map(len, table.split("\n"))) <= width


def _cut(text: str) -> str:
    half = SHORT // 2
    return text if len(text) <= SHORT else f"{text[:half]}…{text[len(text) - half + 1 :]}"


def _mean_only(text: str) -> str:
    mean, plus_minus, rest = text.partition(" ± ")
    mean = mean if plus_minus else text.partition(" (")[0]
    return f"{mean} *" if rest.endswith("*") or (text.endswith("*") and not mean.endswith("*")) else mean
