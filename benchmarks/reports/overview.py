"""Methods over all benchmarks of a kind of space: which one to use with so many labels.

A *benchmark* is a data set, a label and a split; protocols that share all three are one. For a budget of
labels each benchmark takes part with the training size nearest to it. Kendall's tau is normalised by that of
the best method of the benchmark, so that 1 is the best there and hard benchmarks count as much as easy ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from archenc.benchmarks.reports.estimates import estimate, paired, signed, values_of
from archenc.benchmarks.reports.published import METRIC
from archenc.benchmarks.reports.rows import KINDS, Records, fit_cost, kind_of_dataset, scoring_cost
from archenc.benchmarks.runs import Leaderboard, Row
from archenc.files.reports import markdown_table, number
from archenc.files.text import csv_text

BUDGETS = {10: (2, 29), 50: (30, 110), 200: (111, 450), 1_000: (451, 2_000), 5_000: (2_001, 10**8)}
"""Labels, and the training sizes that stand for them."""
DRAWS = 1_000
"""Bootstrap samples of an interval."""


@dataclass(frozen=True)
class Benchmark:
    """The rows of one benchmark at one training size, by method."""

    name: str
    dataset: str
    kind: str
    size: int
    rows: dict[str, Row]


def benchmarks(boards: Iterable[Leaderboard], labels: int) -> list[Benchmark]:
    """:func:`benchmarks_between` of a key of :data:`BUDGETS`."""
    return benchmarks_between(boards, labels, *BUDGETS[labels])


def benchmarks_between(boards: Iterable[Leaderboard], labels: int, low: int, high: int) -> list[Benchmark]:
    """The benchmarks with a training size from ``low`` to ``high``, each with the rows at the size that most
    methods were run at, of equals the one nearest to ``labels``.

    Of a method that several leaderboards have on one benchmark, the row of most runs counts.
    """
    groups: dict[tuple[str, ...], dict[int, dict[str, Row]]] = {}
    names: dict[tuple[str, ...], str] = {}
    for board in boards:
        if METRIC not in board.setting.metrics:
            continue
        key: tuple[str, ...] = (
            board.setting.dataset,
            board.setting.label,
            board.rows[0].runs[0].split.digest,
        )
        names.setdefault(key, board.setting.name)
        for row in board.rows:
            if low <= row.size <= high and math.isfinite(row.mean(METRIC)):
                known = groups.setdefault(key, {}).setdefault(row.size, {})
                if row.method.name not in known or len(row.runs) > len(known[row.method.name].runs):
                    known[row.method.name] = row
    found = []
    for key, sizes in groups.items():
        size = max(sizes, key=lambda n: (len(sizes[n]), -abs(math.log(n / labels))))
        if len(sizes[size]) > 1:
            found.append(Benchmark(names[key], key[0], kind_of_dataset(key[0]), size, sizes[size]))
    return found


def overview_csv(boards: Sequence[Leaderboard]) -> str:
    """:func:`standings` of every kind of space and budget as CSV."""
    return csv_text([line for labels in BUDGETS for line in _all_kinds(benchmarks(boards, labels), labels)])


def _all_kinds(found: list[Benchmark], labels: int) -> Records:
    lines = []
    for kind in ("", *KINDS):
        chosen = [benchmark for benchmark in found if kind in ("", benchmark.kind)]
        lines += [{"kind": kind or "all", "labels": labels, **line} for line in standings(chosen)]
    return lines


def standings(found: Sequence[Benchmark]) -> Records:
    """A record for each method: first those run on at least half of the benchmarks, and of these the highest
    mean normalised tau first.

    Mean ranks, and the critical difference of the Nemenyi test at 5 percent (Demšar, Statistical Comparisons
    of Classifiers over Multiple Data Sets, JMLR 2006, section 3.2), compare these methods on the benchmarks
    that they share.
    """
    if not found:
        return []
    values = [_normalised(benchmark) for benchmark in found]
    counts = Counter(name for one in values for name in one)
    common = [name for name in counts if 2 * counts[name] >= len(found)]
    ranks = _ranks(common, [one for one in values if all(name in one for name in common)])
    wins = Counter(max(one, key=lambda name: float(np.mean(one[name]))) for one in values)
    lines = []
    for name in counts:
        rows = [one.rows[name] for one in found if name in one.rows]
        mean, low, high = _interval([one[name] for one in values if name in one])
        line: dict[str, Any] = {
            "method": name,
            "benchmarks": len(rows),
            "of": len(found),
            "normalised_tau": _decimals(mean),
            "normalised_tau_low": _decimals(low),
            "normalised_tau_high": _decimals(high),
            "wins": wins[name],
            "mean_rank": "",
            **ranks.get(name, {}),
            "fit_cpu_seconds": f"{stats.gmean([max(fit_cost(row), 1e-3) for row in rows]):.3f}",
            "seconds_per_10000": f"{stats.gmean([max(scoring_cost(row), 1e-3) for row in rows]):.3f}",
            "names": " ".join(f"{one.name}@{one.size}" for one in found if name in one.rows),
        }
        lines.append((name not in common, -mean, name, line))
    return [line for *_, line in sorted(lines, key=lambda entry: entry[:3])]


def _normalised(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """The values of each method over training sets, by the mean of the best one."""
    values = {name: np.array(values_of(row, METRIC)) for name, row in benchmark.rows.items()}
    best = max(float(np.mean(one)) for one in values.values())
    return {name: one / best if best > 0 else one for name, one in values.items()}


def _draw(values: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Means of bootstrap samples of each benchmark's training sets; (benchmarks, DRAWS)."""
    return np.array([one[random.integers(len(one), size=(DRAWS, len(one)))].mean(axis=1) for one in values])


def _interval(values: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """The mean over benchmarks, with a 95 percent bootstrap interval over benchmarks and training sets."""
    random = np.random.default_rng(0)
    drawn = _draw(values, random)
    chosen = random.integers(len(values), size=(DRAWS, len(values)))
    means = drawn[chosen.T, np.arange(DRAWS)].mean(axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean([one.mean() for one in values])), float(low), float(high)


def _ranks(names: list[str], values: Sequence[dict[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """Mean ranks over benchmarks that have all these methods, 1 for the best, with 95 percent bootstrap
    intervals; nothing for fewer than two methods or without a benchmark.
    """
    if len(names) < 2 or not values:
        return {}
    random = np.random.default_rng(0)
    drawn = np.stack([_draw([one[name] for one in values], random) for name in names])
    chosen = random.integers(len(values), size=(DRAWS, len(values)))
    means = stats.rankdata(-drawn, axis=0)[:, chosen.T, np.arange(DRAWS)].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    exact = np.array([[one[name].mean() for one in values] for name in names])
    centre = stats.rankdata(-exact, axis=0).mean(axis=1)
    difference = _decimals(critical_difference(len(names), len(values)))
    return {
        name: {
            "mean_rank": _decimals(centre[at]),
            "mean_rank_low": _decimals(low[at]),
            "mean_rank_high": _decimals(high[at]),
            "ranked_on": len(values),
            "critical_difference": difference,
        }
        for at, name in enumerate(names)
    }


def critical_difference(methods: int, count: int) -> float:
    """By how much mean ranks of ``methods`` over ``count`` benchmarks must differ to differ at 5 percent: q
    sqrt(k (k + 1) / 6 N); NaN for fewer than two of either.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    if methods < 2 or count < 2:
        return math.nan
    q = float(stats.studentized_range.ppf(0.95, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * count))


def _decimals(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def recommended_markdown(boards: Sequence[Leaderboard]) -> str:
    """A small table: for each kind of space the best method with few and with more labels."""
    budgets = (50, 200)
    header = ["kind of space"]
    for labels in budgets:
        header += [f"about {labels} labels", "normalised tau", "fit, CPU s"]
    lines = []
    for kind, called in KINDS.items():
        line = [called]
        for labels in budgets:
            found = standings([one for one in benchmarks(boards, labels) if one.kind == kind])
            line += _best(found[0]) if found else ["", "", ""]
        lines.append(line)
    return markdown_table(header, lines)


def _best(line: dict[str, Any]) -> list[str]:
    tau, low, high = (float(line[f"normalised_tau{part}"]) for part in ("", "_low", "_high"))
    seconds = float(line["fit_cpu_seconds"])
    return [line["method"], f"{tau:.3f} ({low:.3f} to {high:.3f})", f"{seconds:.1f}"]


# -- the predictor that chooses itself -----------------------------------------------------------------------

AUTO = "auto"
AUTO_INTRODUCTION = """# auto beside the best other method

Mean of each protocol's first metric, Kendall's tau, over all runs of `Predictor("auto")`; beside it the best
of all other methods that were run at that size, which is chosen after the fact on the test set. Intervals and
differences count training sets; a difference is on runs that both have, where there are any, else of the
means (without an interval). Coverage: share of test labels in the interval that is to hold 80 percent. CPU s:
time of all processors for a fit, in the mean.

{table}

Every row again: `archenc bench run PROTOCOL --methods auto --sizes LABELS`
"""
AUTO_COLUMNS = [
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
    lines = [
        line for board in boards for size in board.sizes if (line := _auto_line(board, size)) is not None
    ]
    return AUTO_INTRODUCTION.format(table=markdown_table(AUTO_COLUMNS, lines))


def _auto_line(board: Leaderboard, size: int) -> list[str] | None:
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
        _mean_text([run.coverage for run in ours.runs if run.coverage is not None], "{:.2f}"),
        _mean_text([run.seconds.fit_cpu for run in ours.runs if run.seconds.fit_cpu is not None], "{:.1f}"),
    ]


def _difference(board: Leaderboard, ours: Row, best: Row) -> str:
    pair = paired(board, AUTO, best.method.name, ours.size)
    if pair is None:
        return signed(ours.mean(board.metric) - best.mean(board.metric))
    margin = pair.over_sets.margin
    return signed(pair.over_sets.mean) + (f" ± {number(margin)}" if math.isfinite(margin) else "")


def _mean_text(values: Sequence[float], form: str) -> str:
    return form.format(fmean(values)) if values else ""
