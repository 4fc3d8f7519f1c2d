"""Writes the committed runs into the pages that show them: ``python -m archenc.benchmarks.reports.tables`` in
the repository's root.

``benchmarks/results/PROTOCOL.jsonl`` holds the runs. They become ``benchmarks/results/leaderboard.md``,
``.csv`` and ``auto.md``, and in ``README.md`` the table between the markers ``<!-- table PROTOCOL -->`` and
``<!-- end -->``, from ``<!-- published PROTOCOL -->`` on that of published numbers beside ours, or from
``<!-- overview PREFIX -->`` on one of all protocols whose names begin so, and from ``<!-- recommended -->``
on that of the best methods by kind of space. The cards and reports of
``benchmarks/results/pretraining.json`` become ``pretraining.md``, the runs of ``archenc bench next``
``next.md``, and the runs of searches ``searches.md``. What the splits test, ``benchmarks/results/audits.md``,
is computed from the data by :mod:`archenc.benchmarks.reports.audits`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from archenc.benchmarks.next import next_markdown, read_all
from archenc.benchmarks.reports.overview import auto_markdown, recommended_markdown
from archenc.benchmarks.reports.pretraining import pretraining_markdown, read_pretrainings
from archenc.benchmarks.reports.published import comparison_markdown
from archenc.benchmarks.reports.report import (
    leaderboard_markdown,
    matrix_markdown,
    overview_markdown,
)
from archenc.benchmarks.reports.rows import results_csv
from archenc.benchmarks.reports.searches import search_markdown
from archenc.benchmarks.runs import Leaderboard, leaderboards, read_runs
from archenc.benchmarks.searches import read_searches
from archenc.errors import UnknownName
from archenc.files.trusted import write_texts

MARKED = re.compile(
    r"(<!-- (?P<kind>table|published|overview|recommended)(?: (?P<protocol>\S+))? -->\n)"
    r".*?(?P<end><!-- end -->)",
    flags=re.DOTALL,
)


def fill_tables(text: str, boards: Sequence[Leaderboard]) -> str:
    """``text`` with each marked table computed anew; raises :class:`UnknownName` for a protocol without runs
    or published numbers.
    """
    kinds = {"table": matrix_markdown, "published": comparison_markdown}

    def table(match: re.Match[str]) -> str:
        kind, name = match["kind"], match["protocol"] or ""
        if kind == "recommended":
            return f"{match[1]}\n{recommended_markdown(boards)}\n\n{match['end']}"
        overview = kind == "overview"
        chosen = [
            board
            for board in boards
            if (board.setting.name.startswith(name) if overview else board.setting.name == name)
        ]
        found = None if not chosen else overview_markdown(chosen) if overview else kinds[kind](chosen[-1])
        if found is None:
            what = "published numbers" if chosen else "runs"
            raise UnknownName(
                f"there are no {what} of {name!r} for its table; run the protocol or take the table out"
            )
        return f"{match[1]}\n{found}\n\n{match['end']}"

    return MARKED.sub(table, text)


def pages(root: Path) -> dict[Path, str]:
    """Every generated page of the repository at ``root`` with its text."""
    results = root / "benchmarks" / "results"
    boards = leaderboards(read_runs(results))
    readme = root / "README.md"
    return {
        results / "leaderboard.md": leaderboard_markdown(boards),
        results / "leaderboard.csv": results_csv(boards),
        results / "auto.md": auto_markdown(boards),
        results / "next.md": next_markdown(read_all(results)),
        results / "searches.md": search_markdown(read_searches(results)),
        results / "pretraining.md": pretraining_markdown(read_pretrainings(results / "pretraining.json")),
        readme: fill_tables(readme.read_text(encoding="utf-8"), boards),
    }


def main() -> None:
    """Write all pages."""
    write_texts(Path(), {str(path): text for path, text in pages(Path()).items()})


if __name__ == "__main__":
    main()
