"""Published numbers, and ours beside them.

``published/rankings.csv`` holds Kendall's tau as papers print it, one line for each method and training size,
with the protocol of this package that comes closest. Where that protocol differs from the paper's, the line's
note says how: the notes are the footnotes of every table made from it. ``published/embeddings.yaml`` holds
numbers of pretrained embeddings.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from archenc.benchmarks.reports.estimates import mean_and_std, signed
from archenc.benchmarks.runs import Leaderboard
from archenc.dataset.rows import read_rows
from archenc.errors import CorruptFile
from archenc.files.documents import Count, Name, Record, read_yaml, record
from archenc.files.reports import markdown_table, number
from archenc.files.text import markdown
from archenc.registry.rules import Number

FOLDER = Path(str(files("archenc.benchmarks"))) / "published"
EMBEDDINGS = FOLDER / "embeddings.yaml"
METRIC = "kendall_tau"
SOURCES = {
    "slides": "Ning, Neural Architecture Search and Architecture Encoding, slides of 24 November 2022",
    "logs": "computed from the training logs that the authors published",
    "repository": "a table in the public repository of the paper",
    "secondary": "quoted by a later source and not checked against the paper",
}
"""Where a number was read."""
DIFFERENCE = "difference"
"""The first cell of a line with differences."""


@dataclass(frozen=True)
class PublishedResult:
    """One printed number.

    Attributes:
        protocol: the protocol of this package that it compares to.
        method: the method of this package that it corresponds to; empty where there is none.
        label: what the paper calls the method.
        size: number of training architectures.
        tau: Kendall's tau in [-1, 1].
        std: standard deviation over the paper's runs, or None where it gives none.
        paper: the paper whose table it is.
        table: which table.
        source: a key of :data:`SOURCES`.
        note: differences between the paper's protocol and ours, separated by "|".
    """

    protocol: str
    method: str
    label: str
    size: int
    tau: float
    std: float | None
    paper: str
    table: str
    source: str
    note: str

    @property
    def remarks(self) -> list[str]:
        """Where the number stands, then each difference of protocol: its footnotes."""
        return [
            f"{self.paper}, {self.table}; {SOURCES[self.source]}",
            *(note for note in self.note.split("|") if note),
        ]


def read_published(path: Path) -> list[PublishedResult]:
    """The numbers of one file.

    Raises:
        CorruptFile: the line that is not one.
        InvalidTable: the file is no CSV.
    """
    results = []
    for at, line in read_rows(path):
        try:
            numbers: dict[str, Any] = {"size": int(line["size"]), "tau": float(line["tau"])}
            result = PublishedResult(
                **{**line, **numbers, "std": float(line["std"]) if line["std"] else None}
            )
        except (KeyError, TypeError, ValueError):
            result = None
        if result is None or not _is_plausible(result):
            raise CorruptFile(f"{path}, line {at}: this is no published number; correct or remove it")
        results.append(result)
    return results


def _is_plausible(result: PublishedResult) -> bool:
    named = result.source in SOURCES and bool(result.paper) and bool(result.table)
    return named and -1 <= result.tau <= 1 and result.size > 0


@functools.cache
def published_results() -> tuple[PublishedResult, ...]:
    """Every published number of the package, in the order of the papers' tables."""
    return tuple(read_published(FOLDER / "rankings.csv"))


# -- side by side --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A table of published numbers and ours.

    Attributes:
        title: what is compared.
        header, lines: for each published method up to three lines: the paper's numbers, ours, and ours minus
            the paper's.
        footnotes: numbered from 1, as the marks ``[1]`` in the table.
    """

    title: str
    header: list[str]
    lines: list[list[str]]
    footnotes: list[str]


def comparison(board: Leaderboard, results: Iterable[PublishedResult] | None = None) -> Comparison | None:
    """The published numbers of a leaderboard's protocol with its own rows; None where there are none.

    Args:
        board: our runs.
        results: published numbers; by default those of the package.
    """
    known = published_results() if results is None else results
    groups: dict[tuple[str, str, str], dict[int, PublishedResult]] = {}
    for result in known:
        if result.protocol == board.setting.name:
            groups.setdefault((result.paper, result.table, result.label), {})[result.size] = result
    if not groups or METRIC not in board.setting.metrics:
        return None
    sizes = sorted({size for group in groups.values() for size in group} | set(board.sizes))
    footnotes: dict[str, int] = {}
    lines = []
    for (paper, _, label), group in groups.items():
        lines += _lines(label, paper, [group.get(size) for size in sizes], sizes, board, footnotes)
    title = (
        f"Kendall's tau beside published values, protocol {board.setting.name}, version "
        f"{board.setting.version}"
    )
    return Comparison(title, ["method", "from", *(f"n = {size}" for size in sizes)], lines, list(footnotes))


def _lines(
    label: str,
    paper: str,
    cells: list[PublishedResult | None],
    sizes: list[int],
    board: Leaderboard,
    footnotes: dict[str, int],
) -> list[list[str]]:
    """The paper's line, and if the method was run, our line and the differences."""
    printed = [cell for cell in cells if cell is not None]
    marks = dict.fromkeys(remark for cell in printed for remark in cell.remarks)
    numbers = [footnotes.setdefault(remark, len(footnotes) + 1) for remark in marks]
    lines = [[f"{label} {''.join(f'[{at}]' for at in numbers)}", paper, *map(_printed, cells)]]
    method = printed[0].method
    rows = [board.cell(method, size) for size in sizes]
    if any(row is not None for row in rows):
        differences = [
            "" if row is None or cell is None else signed(row.mean(METRIC) - cell.tau)
            for row, cell in zip(rows, cells, strict=True)
        ]
        lines.append([method, f"archenc {board.version}", *(mean_and_std(row, METRIC) for row in rows)])
        lines.append([DIFFERENCE, "", *differences])
    return lines


def _printed(cell: PublishedResult | None) -> str:
    if cell is None:
        return ""
    return number(cell.tau) + (f" ± {number(cell.std)}" if cell.std is not None else "")


def comparison_markdown(board: Leaderboard) -> str | None:
    """:func:`comparison` as Markdown."""
    table = comparison(board)
    if table is None:
        return None
    notes = [f"{at}. {markdown(note)}" for at, note in enumerate(table.footnotes, start=1)]
    title = f"{markdown(table.title)} (± standard deviation; runs in brackets):"
    return "\n".join([title, "", markdown_table(table.header, table.lines), "", *notes])


# -- embeddings ----------------------------------------------------------------------------------------------


class Regression(Record):
    """A Gaussian process that learns so many labels, judged on labels above a bound.

    Attributes:
        encoder, space, labels, above: the task.
        rmse, pearson: as they are printed, of pretrained and of supervised embeddings.
    """

    encoder: Name
    space: Name
    labels: Count
    above: Number
    rmse: tuple[Name, Name]
    pearson: tuple[Name, Name]


class Published(Record):
    """The numbers of one paper; figures of autoencoders, called as in cards, are percent."""

    paper: Name
    autoencoders: dict[Name, dict[Name, dict[Name, Number]]]
    regressions: tuple[Regression, ...]

    def figures(self, encoder: str, space: str) -> dict[str, float]:
        """What an encoder rebuilds and what random points decode to; empty where nothing is printed."""
        return self.autoencoders.get(encoder, {}).get(space, {})

    def regression(self, *task: str | float) -> Regression | None:
        """The printed numbers of a task (encoder, space, labels, above), if there are some."""
        found = (
            each for each in self.regressions if (each.encoder, each.space, each.labels, each.above) == task
        )
        return next(found, None)


@functools.cache
def published_embeddings() -> Published:
    """The numbers of the paper that introduced such reports."""
    return record(read_yaml(EMBEDDINGS), Published, str(EMBEDDINGS))
