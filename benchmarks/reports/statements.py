"""What a leaderboard says, in sentences: computed from its runs, but for those of ``audits.yaml`` and
``remarks.yaml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta

from archenc.benchmarks.reports.estimates import (
    Estimate,
    Paired,
    estimate,
    metric_name,
    paired,
    signed,
    t_quantile,
)
from archenc.benchmarks.reports.published import METRIC, PublishedResult, published_results
from archenc.benchmarks.runs import Leaderboard, Row
from archenc.files.documents import Digest, Name, Record, Text, read_yaml, record
from archenc.files.reports import number
from archenc.files.text import markdown
from archenc.registry.rules import Number

FOLDER = Path(str(files("archenc.benchmarks")))
T = TypeVar("T")

TOLERANCE = 0.01
"""How far below a printed mean ours may stay and still reach it."""


class SplitAudit(Record):
    """What a split tests, with the split's digest; Kendall's tau of the best predictor without ideas that saw
    the whole pool, and of one repeat of the label against the mean of the others, where there are repeats.
    """

    split: Digest
    sentence: Annotated[Text, Meta(min_length=1)]
    floor: Number
    ceiling: Number | None


def _packaged(name: str, kind: type[T]) -> T:
    path = FOLDER / name
    return record(read_yaml(path), kind, str(path))


def strongest(board: Leaderboard) -> list[str]:
    """For each size the best row with its interval, and whether the next one is behind by more than noise.

    Rows of a single training set only count where there are no others.
    """
    sentences = []
    for size in board.sizes:
        rows = [row for row in board.rows if row.size == size and math.isfinite(row.mean(board.metric))]
        ranked = sorted(
            [row for row in rows if estimate(row).count > 1] or rows,
            key=lambda row: row.mean(board.metric),
            reverse=not board.smaller_is_better,
        )
        if ranked:
            name, found = ranked[0].method.name, estimate(ranked[0])
            first = (
                f"n = {size}: {name}, {number(found.mean)}{_interval(found, number)}, "
                f"{_count(found, ranked[0])}"
            )
            sentences.append(
                first + (_behind(board, name, ranked[1].method.name, size) if len(ranked) > 1 else "") + "."
            )
    return sentences


def _count(found: Estimate, row: Row) -> str:
    sets, runs = ("1 training set" if found.count == 1 else f"{found.count} training sets"), len(row.runs)
    return sets if runs == found.count else f"{sets}, {runs} runs"


def _interval(found: Estimate, text: Callable[[float], str] = signed) -> str:
    return f" ({text(found.low)} to {text(found.high)})" if math.isfinite(found.margin) else ""


def _behind(board: Leaderboard, first: str, second: str, size: int) -> str:
    pair = paired(board, first, second, size)
    if pair is None:
        return f"; next is {second}, which shares no seed with it"
    found = pair.over_sets
    return (
        f"; against the next, {second}, on the same runs {signed(found.mean)}{_interval(found)}, "
        f"{_judgement(found)}"
    )


def _judgement(difference: Estimate) -> str:
    if not math.isfinite(difference.margin):
        return "on a single training set"
    return "which may be noise" if difference.low <= 0 <= difference.high else "more than noise"


def comparisons(board: Leaderboard, pairs: Mapping[str, Iterable[str]] | None = None) -> list[str]:
    """One sentence for each pair of methods that the leaderboard has both of, with the sizes at which it has
    them.

    Args:
        board: our runs.
        pairs: for each baseline the methods that are set against it; by default those of
            ``comparisons.yaml``.
    """
    known: Mapping[str, Iterable[str]] = (
        _packaged("comparisons.yaml", dict[Name, list[Name]]) if pairs is None else pairs
    )
    sentences = []
    for baseline, methods in known.items():
        for method in methods:
            found = {
                size: pair
                for size in board.sizes
                if (pair := paired(board, method, baseline, size)) is not None
            }
            if found:
                sentences.append(
                    f"{method} against {baseline}: "
                    + "; ".join(f"n = {n}: {_difference(p)}" for n, p in found.items())
                    + "."
                )
    return sentences


def _difference(pair: Paired) -> str:
    sets, runs = pair.over_sets, pair.over_runs
    over_runs = (
        f", over runs {signed(runs.low)} to {signed(runs.high)}" if runs.count > max(sets.count, 1) else ""
    )
    return (
        f"{signed(sets.mean)}{_interval(sets)}{over_runs}, {runs.count} "
        f"{'pair' if runs.count == 1 else 'pairs'}"
    )


def reached(board: Leaderboard, results: Iterable[PublishedResult] | None = None) -> list[str]:
    """One sentence for each published method that was run: how many of the printed numbers ours reaches.

    Args:
        board: our runs.
        results: published numbers; by default those of the package.
    """
    groups: dict[tuple[str, str, str], dict[int, bool]] = {}
    for result in published_results() if results is None else results:
        row = board.cell(result.method, result.size) if result.protocol == board.setting.name else None
        if row is not None and METRIC in board.setting.metrics:
            enough = row.mean(METRIC) >= result.tau - TOLERANCE
            groups.setdefault((result.paper, result.label, result.method), {})[result.size] = enough
    return [
        f"{label}, {paper}: {method} reaches {_share(sizes)}."
        for (paper, label, method), sizes in groups.items()
    ]


def _share(sizes: Mapping[int, bool]) -> str:
    missed = [str(size) for size, enough in sorted(sizes.items()) if not enough]
    return f"{len(sizes) - len(missed)} of {len(sizes)} printed numbers" + (
        f", not at n = {', '.join(missed)}" if missed else ""
    )


def split_notes(board: Leaderboard) -> list[str]:
    """What the protocol's split tests, from its audit, if the runs saw that split."""
    known = split_audit(board)
    return [] if known is None else [f"{known.sentence[0].upper()}{known.sentence[1:]}."]


def split_audit(board: Leaderboard) -> SplitAudit | None:
    """The audit of the protocol's split, if there is one and the runs saw that split."""
    known = _packaged("audits.yaml", dict[Name, SplitAudit]).get(board.setting.name)
    return known if known is not None and known.split == board.rows[0].runs[0].split.digest else None


def remarks(board: Leaderboard) -> list[str]:
    """What people have to say about a protocol's numbers."""
    return _packaged("remarks.yaml", dict[Name, list[Text]]).get(board.setting.name, [])


def notes(board: Leaderboard) -> dict[str, list[str]]:
    """Everything above: sentences by heading, without headings that have none."""
    subsets = board.setting.subsets
    unit = "seeds" if subsets is None else "the means of training sets"
    wide = (
        ""
        if subsets is None or subsets < 2
        else f", wide because {subsets} are few (t = {t_quantile(subsets):.2f})"
    )
    runs = (
        ""
        if subsets is None
        else "; those over runs take networks on one training set for independent and are too narrow"
    )
    difference = f"Paired differences of {metric_name(board.metric)} on the same training sets and seeds"
    found = {
        "What the split tests": split_notes(board),
        f"Strongest row at each size, with 95 % t intervals over {unit}{wide}": strongest(board),
        f"{difference}, with 95 % t intervals over {unit}{wide}{runs}": comparisons(board),
        "Published numbers at sizes that were run, and how many ours reach "
        f"(printed mean - {TOLERANCE})": reached(board),
        "Remarks": remarks(board),
    }
    return {heading: sentences for heading, sentences in found.items() if sentences}


def notes_markdown(board: Leaderboard) -> str:
    """:func:`notes` as Markdown."""
    parts = [
        [f"{markdown(heading)}:", "", *(f"- {markdown(one)}" for one in sentences)]
        for heading, sentences in notes(board).items()
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)
