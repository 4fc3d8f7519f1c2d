"""The one table behind every page: a line for each method and training size, ours and published ones.

Everything that a report shows is made from this table, so that no two views can disagree, and it lies beside
them as a CSV file.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from archenc.benchmarks.methods import AUTO, Content
from archenc.benchmarks.reports.estimates import estimate
from archenc.benchmarks.reports.published import METRIC, PublishedResult, published_results
from archenc.benchmarks.runs import Leaderboard, Row
from archenc.errors import ArchencError
from archenc.files.documents import canonical_json
from archenc.files.text import csv_text

if TYPE_CHECKING:
    from archenc.spaces.base import Space

Origin = Literal["ours", "re-run", "published", "yours"]
"""Whose a row is: archenc's; archenc's, of a method that a paper has a number of; a paper's; the user's."""

SCORED = 10_000
"""Architectures for which the cost of scoring is given."""
Records = list[dict[str, Any]]


def results_csv(boards: Sequence[Leaderboard], yours: Iterable[str] = ()) -> str:
    """:func:`records` as CSV."""
    return csv_text(records(boards, yours))


def records(boards: Sequence[Leaderboard], yours: Iterable[str] = ()) -> Records:
    """A record for each row of each leaderboard, best method first, then the published numbers of its
    protocol.

    Args:
        boards: leaderboards.
        yours: names of runs of the user's own, whose rows say so.
    """
    own = frozenset(yours)
    found = []
    for name, board in zip(board_names(boards), boards, strict=True):
        printed = [result for result in published_results() if result.protocol == board.setting.name]
        printed = printed if METRIC in board.setting.metrics else []
        lines = [_ours(row, own, {result.method for result in printed}) for row in board.rows]
        lines += [_published(result, board) for result in printed]
        found += [{"board": name, **line} for line in lines]
    return found


def board_names(boards: Sequence[Leaderboard]) -> list[str]:
    """A name for each leaderboard: its protocol's, with version, archenc's version and a digest of the
    setting where several have the same.
    """
    count = Counter(board.setting.name for board in boards)
    return [
        board.setting.name
        if count[board.setting.name] == 1
        else f"{board.setting.name} v{board.setting.version} archenc {board.version} {_digest(board)}"
        for board in boards
    ]


def _digest(board: Leaderboard) -> str:
    return hashlib.sha256(canonical_json(board.setting).encode()).hexdigest()[:8]


def _ours(row: Row, yours: frozenset[str], printed: set[str]) -> dict[str, Any]:
    method = row.method
    mine = any(run.run in yours for run in row.runs)
    origin: Origin = "yours" if mine else "re-run" if method.name in printed else "ours"
    record = {"origin": origin, **_where(row), "method": method.name, "encoder": method.encoder}
    record |= {"head": method.head or "", "loss": method.loss or "", "simplify": method.simplify}
    record |= {"learning": learning(method), "size": row.size, "runs": len(row.runs)}
    for metric in row.setting.metrics:
        found = estimate(row, metric)
        record |= {
            f"{metric}_mean": _decimals(row.mean(metric)),
            f"{metric}_std": _decimals(row.std(metric)),
            f"{metric}_low": _decimals(found.low),
            f"{metric}_high": _decimals(found.high),
        }
    record |= {
        "fit_seconds": f"{row.seconds('fit'):.3f}",
        "fit_cpu_seconds": f"{fit_cost(row):.3f}",
        "predict_seconds": f"{row.seconds('predict'):.3f}",
        "seconds_per_10000": f"{scoring_cost(row):.3f}",
        "coverage": _mean([run.coverage for run in row.runs if run.coverage is not None]),
        "seeds": " ".join(map(str, row.seeds)),
        "command": row.command,
    }
    return record


def _where(row: Row) -> dict[str, Any]:
    setting, split = row.setting, row.runs[0].split
    return {
        "protocol": setting.name,
        "version": setting.version,
        "dataset": setting.dataset,
        "label": setting.label,
        "kind": kind_of_dataset(setting.dataset),
        "split": split.name,
        "test": split.test,
        "archenc": row.version,
    }


def fit_cost(row: Row) -> float:
    """Mean seconds of all processors for a fit; of runs that did not measure them, which had one thread, the
    wall time.
    """
    return fmean(run.seconds.fit if run.seconds.fit_cpu is None else run.seconds.fit_cpu for run in row.runs)


def scoring_cost(row: Row) -> float:
    """Mean seconds of scoring :data:`SCORED` architectures."""
    return row.seconds("predict") * SCORED / max(row.runs[0].split.test, 1)


def learning(method: Content) -> str:
    """What an encoding comes from: ``"fixed"``, ``"learned"`` with the head, ``"pretrained"``, ``"auto"``;
    empty for an encoder that is not installed.
    """
    if method.encoder == AUTO:
        return "auto"
    if method.pretrained is not None:
        return "pretrained"
    from archenc.registry import ENCODERS

    try:
        return "fixed" if ENCODERS.get(method.encoder).fixed else "learned"
    except ArchencError:
        return ""


def _published(result: PublishedResult, board: Leaderboard) -> dict[str, Any]:
    """A printed number, with the fields that it has of a row."""
    where = _where(board.rows[0]) | {"archenc": ""}
    return {
        "origin": "published",
        **where,
        "method": result.label,
        "same_as": result.method,
        "size": result.size,
        f"{METRIC}_mean": _decimals(result.tau),
        f"{METRIC}_std": "" if result.std is None else _decimals(result.std),
        "paper": result.paper,
        "notes": "|".join(result.remarks),
    }


def _decimals(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.4f}" if values else ""


# -- kinds of search spaces ----------------------------------------------------------------------------------


KINDS = {
    "edge-cell": "one cell, operations on edges (NAS-Bench-201)",
    "node-cell": "one cell, operations on nodes (NAS-Bench-101)",
    "cells": "two cells or more (DARTS)",
    "chain": "a chain of choices (NAS-Bench-Macro)",
}
"""What each kind is called."""

SPACES = {
    "nasbench101": "nasbench101",
    "nasbench101-full": "nasbench101",
    "nasbench201": "nasbench201",
    "nasbench201-analog": "nasbench201",
    "transnas101-micro": "transnas101-micro",
    "nasbench-graph": "nasbench-graph",
    "nasbench-nlp": "nasbench-nlp",
    "nasbench-macro": "nasbench-macro",
    "nasbench301": "darts",
    "nasbench301-surrogate": "darts",
    "nds-darts": "nds-darts",
    "nds-nasnet": "nasnet",
    "nds-amoeba": "amoeba",
    "nds-pnas": "pnas",
    "nds-enas": "enas",
}
"""The space of each data set with labels, known without loading it."""
LISTS_OF_CHOICES = (
    "hwgpt-s",
    "hwgpt-l",
    "nasbench201-choices",
    "nasbench-macro-choices",
    "transnas101-micro-choices",
)
"""Data sets of spaces of choices (:class:`archenc.spaces.stages.StageSpace`), which are chains."""


def kind_of_space(space: Space) -> str:
    """A key of :data:`KINDS`: by the number of cells, by where operations sit, and by whether wirings differ.

    >>> import archenc
    >>> kind_of_space(archenc.create_space("darts"))
    'cells'
    """
    if space.cells > 1:
        return "cells"
    if space.op_on == "edge":
        return "edge-cell"
    wirings = space.sample(16, 0).adjacency
    return "node-cell" if (wirings != wirings[:1]).any() else "chain"


@functools.cache
def kind_of_dataset(name: str) -> str:
    """The kind of a data set's space; empty for a data set that is not known here."""
    from archenc.registry import create_space

    if name in LISTS_OF_CHOICES:
        return "chain"
    return kind_of_space(create_space(SPACES[name])) if name in SPACES else ""
