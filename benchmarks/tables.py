"""Writes the committed runs into the pages that show them: ``python -m archenc.benchmarks.tables`` in the repository's root.

``benchmarks/results/PROTOCOL`` holds the runs. They become ``benchmarks/results/leaderboard.md`` and ``.csv``, and in ``README.md`` the
table between the markers ``<!-- table PROTOCOL -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from archenc.benchmarks.report import leaderboard_csv, leaderboard_markdown, matrix_markdown
from archenc.benchmarks.results import Leaderboard, leaderboards, read_runs
from archenc.errors import UnknownName
from archenc.files import atomic_write

MARKED = re.compile(r"(<!-- table (?P<protocol>\S+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def fill_tables(text: str, boards: Sequence[Leaderboard]) -> str:
    """``text`` with each marked table computed anew; raises :class:`UnknownName` for a protocol without runs."""
    by_name = {board.setting["name"]: board for board in boards}

    def table(match: re.Match[str]) -> str:
        if match["protocol"] not in by_name:
            raise UnknownName(f"there are no runs of {match['protocol']!r} for its table; run the protocol or take the table out")
        return f"{match[1]}\n{matrix_markdown(by_name[match['protocol']])}\n\n{match[3]}"

    return MARKED.sub(table, text)


def pages(root: Path) -> dict[Path, str]:
    """Every generated page of the repository at ``root`` with its text."""
    results = root / "benchmarks" / "results"
    boards = leaderboards(read_runs(results))
    readme = root / "README.md"
    return {
        results / "leaderboard.md": leaderboard_markdown(boards),
        results / "leaderboard.csv": leaderboard_csv(boards),
        readme: fill_tables(readme.read_text(encoding="utf-8"), boards),
    }


def main() -> None:
    """Write all pages."""
    for path, text in pages(Path()).items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
