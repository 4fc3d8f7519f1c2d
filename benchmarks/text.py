"""Numbers and tables as text, Markdown and HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from archenc.benchmarks.results import Row

METRIC_NAMES = {"kendall_tau": "Kendall's tau", "spearman": "Spearman's rho", "pearson": "Pearson's r"}


def metric_name(metric: str) -> str:
    """A metric as a person writes it."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def number(value: float, digits: int = 3) -> str:
    """A fixed number of decimals, and a dash for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


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


def text_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width for a terminal."""
    table = [header, *lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(line(cells) for cells in (header, ["---"] * len(header), *lines))


def html_table(header: Sequence[str], lines: Sequence[Sequence[str]], kind: str) -> str:
    """A table of the page's class ``kind``."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def escape(text: Any) -> str:
    """``text`` without markup."""
    return html.escape(str(text))
