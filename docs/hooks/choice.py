"""The numbers of "Which method when": auto beside the best other method, of the committed results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import code, table

AUTO = Path(__file__).parents[2] / "benchmarks" / "results" / "auto.md"
MARKER = "<!-- auto beside the best other method -->"
SETTINGS = {
    "nasbench201-cifar10": "NAS-Bench-201, random halves",
    "nasbench101-uniform": "NAS-Bench-101, uniform sample",
    "nasbench101-ta7290": "NAS-Bench-101, unseen wirings",
    "predictability-nasbench301-surrogate": "DARTS, surrogate labels",
    "predictability-nasbench-graph-cora": "NAS-Bench-Graph, Cora",
    "predictability-nasbench-macro": "NAS-Bench-Macro",
    "predictability-nasbench-nlp": "NAS-Bench-NLP",
    "predictability-transnas101-class-scene": "TransNAS-Bench-101, scenes",
}
COLUMNS = ("labels", "auto", "best other method", "its value", "fit, CPU s")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A table in the place of the marker."""
    return markdown.replace(MARKER, _table()) if MARKER in markdown else markdown


def _table() -> str:
    rows = [
        (SETTINGS[row["protocol"]], labels, auto, code(other), value, seconds)
        for row in _rows()
        if row["protocol"] in SETTINGS
        for labels, auto, other, value, seconds in [[row[column] for column in COLUMNS]]
    ]
    header = ("setting", "labels", "auto", "best other method", "its tau", "fit of auto, CPU s")
    return table(header, sorted(rows, key=lambda row: list(SETTINGS.values()).index(row[0])))


def _rows() -> Iterator[dict[str, str]]:
    lines = [line for line in AUTO.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    yield from (dict(zip(header, row, strict=True)) for row in rows)
