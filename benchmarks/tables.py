"""Writes the committed runs into the pages that show them: ``python -m archenc.benchmarks.tables`` in the repository's root.

``benchmarks/results/PROTOCOL`` holds the runs. They become ``benchmarks/results/leaderboard.md`` and ``.csv``, and in ``README.md`` the
table between the markers ``<!-- table PROTOCOL -->`` and ``<!-- end -->``, or from ``<!-- published PROTOCOL -->`` on the one of published
numbers beside ours. The cards of pretrainings in ``benchmarks/results/pretraining`` become ``pretraining.md``. What the splits test,
``benchmarks/results/audits.md``, is computed from the data by :mod:`archenc.benchmarks.audits`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from archenc.benchmarks.pretraining import pretraining_markdown
from archenc.benchmarks.published import comparison_markdown
from archenc.benchmarks.report import leaderboard_csv, leaderboard_markdown, matrix_markdown
from archenc.benchmarks.results import Leaderboard, leaderboards, read_runs
from archenc.errors import UnknownName
from archenc.files import atomic_write

MARKED = re.compile(r"(<!-- (?P<kind>table|published) (?P<protocol>\S+) -->\n).*?(?P<end><!-- end -->)", flags=re.DOTALL)


def fill_tables(text: str, boards: Sequence[Leaderboard]) -> str:
    """``text`` with each marked table computed anew; raises :class:`UnknownName` for a protocol without runs or published numbers."""
    by_name = {board.setting["name"]: board for board in boards}
    kinds = {"table": matrix_markdown, "published": comparison_markdown}

    def table(match: re.Match[str]) -> str:
        board = by_name.get(match["protocol"])
        found = None if board is None else kinds[match["kind"]](board)
        if found is None:
            what = "runs" if board is None else "published numbers"
            raise UnknownName(f"there are no {what} of {match['protocol']!r} for its table; run the protocol or take the table out")
        return f"{match[1]}\n{found}\n\n{match['end']}"

    return MARKED.sub(table, text)


def pages(root: Path) -> dict[Path, str]:
    """Every generated page of the repository at ``root`` with its text."""
    results = root / "benchmarks" / "results"
    boards = leaderboards(read_runs(results))
    readme = root / "README.md"
    return {
        results / "leaderboard.md": leaderboard_markdown(boards),
        results / "leaderboard.csv": leaderboard_csv(boards),
        results / "pretraining.md": pretraining_markdown(results / "pretraining"),
        readme: fill_tables(readme.read_text(encoding="utf-8"), boards),
    }


def main() -> None:
    """Write all pages."""
    for path, text in pages(Path()).items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
