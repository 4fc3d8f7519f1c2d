"""Metrics, differences and times as text."""

from __future__ import annotations

import math

from archenc.benchmarks.runs import Row
from archenc.files.reports import number

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
