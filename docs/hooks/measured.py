"""What is computed from the committed runs: tables of guides, and the page of all results."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from tables import code, table

from archenc.benchmarks.reports.explorer import explorer_page
from archenc.benchmarks.reports.report import facts, overview_markdown
from archenc.benchmarks.runs import Leaderboard, leaderboards, read_runs

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PREDICTABILITY = "<!-- how predictable each benchmark is -->"
AUTO = "<!-- auto beside the best other method -->"
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


@cache
def boards() -> list[Leaderboard]:
    """Of all committed runs."""
    return leaderboards(read_runs(RESULTS))


def on_files(files: Files, config: Any) -> Files:
    """Adds the page of all results."""
    files.append(File.generated(config, "results/all.html", content=explorer_page(boards(), facts)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Tables in the places of their markers."""
    if AUTO in markdown:
        markdown = markdown.replace(AUTO, _auto())
    if PREDICTABILITY in markdown:
        chosen = [board for board in boards() if board.setting.name.startswith("predictability-")]
        markdown = markdown.replace(PREDICTABILITY, overview_markdown(chosen))
    return markdown


def _auto() -> str:
    rows = [
        (SETTINGS[row["protocol"]], labels, auto, code(other), value, seconds)
        for row in _rows_of_auto()
        if row["protocol"] in SETTINGS
        for labels, auto, other, value, seconds in [[row[column] for column in COLUMNS]]
    ]
    header = ("setting", "labels", "auto", "best other method", "its tau", "fit of auto, CPU s")
    return table(header, sorted(rows, key=lambda row: list(SETTINGS.values()).index(row[0])))


def _rows_of_auto() -> Iterator[dict[str, str]]:
    text = (RESULTS / "auto.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    yield from (dict(zip(header, row, strict=True)) for row in rows)
