"""Means with intervals, of rows and of differences between rows.

Networks trained on one training set share its luck, so their runs are not independent. The unit of an
interval is therefore the training set, with the mean over its networks as value. Where seeds share training
sets (``subsets`` of a protocol) these are few, and the interval is wide: its t quantile is 4.30 for three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy import stats

from archenc.benchmarks.protocol import Setting
from archenc.benchmarks.runs import Leaderboard, Row
from archenc.files.reports import number


def t_quantile(count: int) -> float:
    """By how many standard errors a 95 percent t interval over ``count`` values reaches to either side; NaN
    below two values.
    """
    return float(stats.t.ppf(0.975, count - 1)) if count > 1 else math.nan


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 percent t interval.

    Attributes:
        mean: of the values.
        margin: half the width of the interval, NaN for a single value.
        count: number of values.
    """

    mean: float
    margin: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Mean ± t(0.975, n - 1) s / sqrt(n) of n values."""
        count = len(values)
        margin = t_quantile(count) * float(stats.sem(values)) if count > 1 else math.nan
        return cls(fmean(values), margin, count)

    @property
    def low(self) -> float:
        return self.mean - self.margin

    @property
    def high(self) -> float:
        return self.mean + self.margin


@dataclass(frozen=True)
class Paired:
    """A method minus a baseline, run by run on the same training sets with the same seeds.

    Attributes:
        over_sets: of the mean differences of the training sets.
        over_runs: of the differences of all runs, as if they were independent: an interval that is too narrow
            if seeds share training sets.
    """

    over_sets: Estimate
    over_runs: Estimate


def _by_seed(row: Row, metric: str | None = None) -> dict[int, float]:
    return dict(zip(row.seeds, row.values(metric or row.setting.metrics[0]), strict=True))


def set_means(setting: Setting, by_seed: Mapping[int, float]) -> list[float]:
    """The mean for each training set: seeds share one if they have the same remainder by the protocol's
    ``subsets``.
    """
    groups: dict[int, list[float]] = {}
    for seed, value in sorted(by_seed.items()):
        groups.setdefault(seed if setting.subsets is None else seed % setting.subsets, []).append(value)
    return [fmean(values) for values in groups.values()]


def estimate(row: Row, metric: str | None = None) -> Estimate:
    """A metric of a row, by default the first, over training sets."""
    return Estimate.of(values_of(row, metric))


def values_of(row: Row, metric: str | None = None) -> list[float]:
    """A metric of a row, by default the first: its mean for each training set."""
    return set_means(row.setting, _by_seed(row, metric))


def paired(board: Leaderboard, method: str, baseline: str, size: int) -> Paired | None:
    """The first metric of a method minus that of a baseline on equal (size, seed); None if no seed has
    both.
    """
    row, other = board.cell(method, size), board.cell(baseline, size)
    if row is None or other is None:
        return None
    ours, theirs = _by_seed(row), _by_seed(other)
    differences = {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}
    if not differences:
        return None
    return Paired(Estimate.of(set_means(board.setting, differences)), Estimate.of([*differences.values()]))


# -- metrics, differences and times as text ------------------------------------------------------------------


METRIC_NAMES = {"kendall_tau": "Kendall's tau", "spearman": "Spearman's rho", "pearson": "Pearson's r"}


def metric_name(metric: str) -> str:
    """A metric as a person writes it."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def signed(value: float) -> str:
    """Three decimals with a sign, and a dash for NaN."""
    return f"{value:+.3f}" if math.isfinite(value) else "-"


def mean_and_std(row: Row | None, metric: str) -> str:
    """``0.612 ± 0.013 (3)``: mean, standard deviation over seeds, number of runs."""
    if row is None:
        return ""
    deviation = f" ± {number(row.std(metric))}" if len(row.runs) > 1 else ""
    return f"{number(row.mean(metric))}{deviation} ({len(row.runs)})"


def duration(row: Row | None) -> str:
    """Mean seconds of training and of prediction of the whole test set."""
    return "" if row is None else f"{row.seconds('fit'):.1f} + {row.seconds('predict'):.1f}"
