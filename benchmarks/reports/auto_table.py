"""The predictor that chooses itself beside the best other method of every protocol and size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from archenc.benchmarks.reports.estimates import estimate, paired, signed
from archenc.benchmarks.runs import Leaderboard, Row
from archenc.files.reports import markdown_table, number

AUTO = "auto"
INTRODUCTION = """# auto beside the best other method

Mean of each protocol's first metric, Kendall's tau, over all runs of `Predictor("auto")`; beside it the best
of all other methods that were run at that size, which is chosen after the fact on the test set. Intervals and
differences count training sets; a difference is on runs that both have, where there are any, else of the
means (without an interval). Coverage: share of test labels in the interval that is to hold 80 percent. CPU s:
time of all processors for a fit, in the mean.

{table}

Every row again: `archenc bench run PROTOCOL --methods auto --sizes LABELS`
"""
COLUMNS = [
    "protocol",
    "labels",
    "auto",
    "95 % interval",
    "runs",
    "best other method",
    "its value",
    "auto minus it",
    "coverage",
    "fit, CPU s",
]


def auto_markdown(boards: Sequence[Leaderboard]) -> str:
    """A page with one line for each protocol and size that ``auto`` was run at."""
    lines = [line for board in boards for size in board.sizes if (line := _line(board, size)) is not None]
    return INTRODUCTION.format(table=markdown_table(COLUMNS, lines))


def _line(board: Leaderboard, size: int) -> list[str] | None:
    ours = board.cell(AUTO, size)
    others = [row for row in board.rows if row.size == size and row.method.name != AUTO]
    if ours is None or not others:
        return None
    sign = -1 if board.smaller_is_better else 1
    best = max(others, key=lambda row: sign * row.mean(board.metric))
    found = estimate(ours)
    return [
        board.setting.name,
        str(size),
        number(found.mean),
        f"{number(found.low)} to {number(found.high)}" if math.isfinite(found.margin) else "",
        str(len(ours.runs)),
        best.method.name,
        number(best.mean(board.metric)),
        _difference(board, ours, best),
        _mean([run.coverage for run in ours.runs if run.coverage is not None], "{:.2f}"),
        _mean([run.seconds.fit_cpu for run in ours.runs if run.seconds.fit_cpu is not None], "{:.1f}"),
    ]


def _difference(board: Leaderboard, ours: Row, best: Row) -> str:
    pair = paired(board, AUTO, best.method.name, ours.size)
    if pair is None:
        return signed(ours.mean(board.metric) - best.mean(board.metric))
    margin = pair.over_sets.margin
    return signed(pair.over_sets.mean) + (f" ± {number(margin)}" if math.isfinite(margin) else "")


def _mean(values: Sequence[float], form: str) -> str:
    return form.format(fmean(values)) if values else ""
