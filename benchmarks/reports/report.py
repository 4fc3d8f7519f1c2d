"""Leaderboards as text, CSV, Markdown, plot and one HTML page; the same runs always give the same files."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from archenc.benchmarks.reports.estimates import duration, mean_and_std, metric_name
from archenc.benchmarks.reports.explorer import explorer_page
from archenc.benchmarks.reports.overview import overview_csv
from archenc.benchmarks.reports.published import comparison_markdown
from archenc.benchmarks.reports.rows import results_csv
from archenc.benchmarks.reports.searches import search_markdown, searches_csv
from archenc.benchmarks.reports.statements import notes_markdown
from archenc.benchmarks.runs import Leaderboard, Row, Run, leaderboards
from archenc.benchmarks.searches import SearchRun
from archenc.files.documents import canonical_json
from archenc.files.reports import figure_label, markdown_table, svg
from archenc.files.text import csv_text, markdown, visible
from archenc.files.trusted import safe_name, write_texts


def write_report(
    runs: Sequence[Run], folder: Path, yours: Iterable[str] = (), searches: Sequence[SearchRun] = ()
) -> list[Path]:
    """Write ``leaderboard.csv``, ``overview.csv``, ``leaderboard.md``, ``runs.csv``, a plot for each
    protocol, ``searches.csv`` and ``searches.md`` where there are searches, and ``index.html``; gives their
    paths.

    Args:
        runs: finished runs.
        folder: where the files go.
        yours: names of runs of the user's own, which the page marks.
        searches: finished runs of searches.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written; then nothing is.
    """
    boards, own = leaderboards(runs), frozenset(yours)
    plots = [plot(board) for board in boards]
    found = (
        {"searches.csv": searches_csv(searches), "searches.md": search_markdown(searches)} if searches else {}
    )
    return write_texts(
        folder,
        {
            "leaderboard.csv": results_csv(boards, own),
            "overview.csv": overview_csv(boards),
            "leaderboard.md": leaderboard_markdown(boards),
            "runs.csv": runs_csv(boards),
            **dict(zip(plot_names(boards), plots, strict=True)),
            **found,
            "index.html": explorer_page(boards, facts, own, searches),
        },
    )


def plot_names(boards: Sequence[Leaderboard]) -> list[str]:
    """A file name for the plot of each leaderboard, with a digest of the setting where several have one name
    and version.
    """
    slugs = [
        safe_name(f"{board.setting.name}-v{board.setting.version}-archenc-{board.version}")
        for board in boards
    ]
    shared = Counter(slug.lower() for slug in slugs)
    digests = [
        hashlib.sha256(canonical_json([board.setting, board.version]).encode()).hexdigest()[:8]
        for board in boards
    ]
    return [
        f"{slug}.svg" if shared[slug.lower()] == 1 else f"{slug}-{digest}.svg"
        for slug, digest in zip(slugs, digests, strict=True)
    ]


# -- tables --------------------------------------------------------------------------------------------------


def split_text(board: Leaderboard) -> str:
    """A split's name, its sizes and its digest."""
    split = board.rows[0].runs[0].split
    return f"{split.name} ({split.pool:,} to draw from, {split.test:,} to test on, {split.digest[:12]})"


def facts(board: Leaderboard) -> list[tuple[str, str]]:
    """What every number of a leaderboard refers to."""
    setting, dataset = board.setting, board.rows[0].runs[0].dataset
    size, duplicates = (
        f"{dataset.architectures:,} architectures",
        f"isomorphic duplicates: {dataset.duplicates}",
    )
    used = [run.machine for row in board.rows for run in row.runs]
    machines = {f"{each.cpu}, {each.cores} cores, {each.threads} threads" for each in used}
    scored = [] if setting.test_label is None else [("label that is scored", setting.test_label)]
    shared = [] if setting.subsets is None else [("training sets of a size", str(setting.subsets))]
    return [
        ("protocol", f"{setting.name}, version {setting.version}"),
        ("data set", f"{setting.dataset} ({size}, {duplicates}, {dataset.digest[:12]})"),
        ("label", setting.label),
        *scored,
        ("split", split_text(board)),
        ("selection", setting.selection.replace("_", " ")),
        *shared,
        ("seeds", ", ".join(map(str, sorted({seed for row in board.rows for seed in row.seeds})))),
        ("archenc", board.version),
        ("machine", "; ".join(sorted(machines))),
    ]


def matrix(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the methods x sizes table of the first metric, with the seconds at the largest
    size.
    """
    header = [
        "method",
        "simplify",
        *(f"n = {size}" for size in board.sizes),
        f"seconds, n = {board.sizes[-1]}",
    ]
    lines = []
    for name in board.methods:
        cells = [board.cell(name, size) for size in board.sizes]
        simplify = next("yes" if row.method.simplify else "no" for row in cells if row is not None)
        lines.append(
            [name, simplify, *(mean_and_std(row, board.metric) for row in cells), duration(cells[-1])]
        )
    return header, lines


def leaderboard_markdown(boards: Sequence[Leaderboard]) -> str:
    """All leaderboards as Markdown."""
    parts = ["# Leaderboard", ""]
    for board in boards:
        parts += [f"## {markdown(_title(board))}", ""]
        parts += [f"- {name}: {markdown(text)}" for name, text in facts(board)]
        parts += [
            "",
            f"{markdown(metric_name(board.metric))}: mean ± standard deviation over seeds (number of runs).",
            "",
        ]
        parts += [matrix_markdown(board), "", *_beside_published(board), notes_markdown(board), ""]
        parts += ["Every row again:", "", *(f"    {visible(row.command)}" for row in board.rows), ""]
    return "\n".join(parts)


def _title(board: Leaderboard) -> str:
    return f"{board.setting.name}, version {board.setting.version}"


def _beside_published(board: Leaderboard) -> list[str]:
    text = comparison_markdown(board)
    return [text, ""] if text else []


def matrix_markdown(board: Leaderboard) -> str:
    """The methods x sizes table of one leaderboard."""
    return markdown_table(*matrix(board))


def overview_markdown(boards: Sequence[Leaderboard]) -> str:
    """One line for each leaderboard: the first metric of all methods and sizes."""
    columns = list(
        dict.fromkeys((method, size) for board in boards for method in board.methods for size in board.sizes)
    )
    columns.sort(key=lambda column: column[0])
    lines = []
    for board in boards:
        cells = (mean_and_std(board.cell(*column), board.metric) for column in columns)
        lines.append(
            [board.setting.dataset, board.setting.label, f"{board.rows[0].runs[0].split.test:,}", *cells]
        )
    return markdown_table(
        ["data set", "label", "test set", *(f"{method}, n = {size}" for method, size in columns)], lines
    )


def _decimals(value: float | None) -> str:
    return f"{value:.6f}" if value is not None and math.isfinite(value) else ""


def _columns(row: Row) -> dict[str, Any]:
    setting, method = row.setting, row.method
    return {
        "protocol": setting.name,
        "version": setting.version,
        "dataset": setting.dataset,
        "label": setting.label,
        "split": row.runs[0].split.name,
        "archenc": row.version,
        "method": method.name,
        "encoder": method.encoder,
        "head": method.head or "",
        "loss": method.loss or "",
        "simplify": method.simplify,
        "size": row.size,
    }


def runs_csv(boards: Sequence[Leaderboard]) -> str:
    """One line for each run."""
    records = []
    for board in boards:
        for row in board.rows:
            for run in row.runs:
                record = {"run": run.run, **_columns(row), "seed": run.key.seed}
                record |= {metric: _decimals(run.metrics[metric]) for metric in board.setting.metrics}
                record |= {
                    f"{part}_seconds": f"{getattr(run.seconds, part):.3f}" for part in ("fit", "predict")
                }
                records.append(record)
    return csv_text(records)


# -- plot ---------------------------------------------------------------------------------------------------


def plot(board: Leaderboard) -> str:
    """The first metric against the training size as SVG: a line for each method, a band of one standard
    deviation over seeds.
    """
    return svg(9, 4.8, lambda figure: _draw(board, figure))


def _draw(board: Leaderboard, figure: Any) -> None:
    axes = figure.add_subplot()
    for at, name in enumerate(board.methods):
        rows = [row for row in (board.cell(name, size) for size in board.sizes) if row is not None]
        sizes, means = [row.size for row in rows], [row.mean(board.metric) for row in rows]
        bands = [std if math.isfinite(std) else 0.0 for std in (row.std(board.metric) for row in rows)]
        style = ("-", "--", ":")[at // 10 % 3]
        axes.plot(
            sizes, means, style, marker="o", markersize=3.5, color=f"C{at % 10}", label=figure_label(name)
        )
        low, high = (
            [mean + sign * band for mean, band in zip(means, bands, strict=True)] for sign in (-1, 1)
        )
        axes.fill_between(sizes, low, high, alpha=0.12, linewidth=0, color=f"C{at % 10}")
    axes.set(xscale="log", xlabel="training architectures", ylabel=figure_label(metric_name(board.metric)))
    axes.set_xticks(board.sizes, labels=[str(size) for size in board.sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.set_title(
        ", ".join(figure_label(name) for name in (board.setting.dataset, board.setting.label)), fontsize=10
    )
    figure.legend(loc="outside right upper", frameon=False)
