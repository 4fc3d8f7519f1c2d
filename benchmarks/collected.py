"""Many runs in one text file: a run a line, as they lie in version control.

``archenc bench run`` writes a file for each run, so that a kill at any moment loses nothing; ``archenc
bench collect`` joins finished ones into ``PROTOCOL.jsonl``. A line is a run's canonical JSON, and lines stand
in the order of methods, sizes and seeds, so that a new run is one new line and nothing else changes. Runs of
protocols that stand in one file lie in one file, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archenc.benchmarks.next import PREFIX, NextRun
from archenc.benchmarks.protocol import family
from archenc.benchmarks.runs import Run, stored_runs
from archenc.benchmarks.search_protocols import FILE as SEARCHES
from archenc.benchmarks.searches import PREFIX as SEARCH_PREFIX
from archenc.benchmarks.searches import SearchRun
from archenc.errors import DataNotFound
from archenc.files.documents import canonical_json
from archenc.files.trusted import safe_name, write_texts

AnyRun = Run | NextRun | SearchRun


def runs_of_all_kinds(place: Path) -> list[AnyRun]:
    """Rankings, suggestions, then searches, of :func:`archenc.benchmarks.runs.stored_runs`."""
    suggestions = stored_runs(place, NextRun, PREFIX)
    return [*stored_runs(place, Run), *suggestions, *stored_runs(place, SearchRun, SEARCH_PREFIX)]


def collect(sources: Iterable[Path], folder: Path) -> dict[Path, int]:
    """Join the runs of ``sources`` with those that ``folder`` holds already into one file for each protocol,
    or family of protocols, there; a run that both have is taken from ``sources``.

    Args:
        sources: folders of run files, or collected files.
        folder: where ``PROTOCOL.jsonl`` are and go.

    Returns:
        The files of the protocols that ``sources`` have runs of, each with its number of runs.

    Raises:
        DataNotFound: a source holds no runs.
        CorruptFile: a run is damaged; then nothing is written.
        CannotWrite: the disk is full, or the folder cannot be written; then nothing is.
    """
    new: list[AnyRun] = []
    for source in sources:
        found = runs_of_all_kinds(source)
        if not found:
            raise DataNotFound(f"there are no run files in {source}; check the path")
        new += found
    names = sorted({_file_name(run) for run in new})
    old = [run for name in names if (folder / name).is_file() for run in runs_of_all_kinds(folder / name)]
    groups: dict[str, dict[str, AnyRun]] = {name: {} for name in names}
    for run in (*old, *new):
        groups[_file_name(run)][run.run] = run
    texts = {name: collected_text(runs.values()) for name, runs in groups.items()}
    return dict(zip(write_texts(folder, texts), map(len, groups.values()), strict=True))


def _file_name(run: AnyRun) -> str:
    if isinstance(run, SearchRun):
        return f"{SEARCHES.stem}.jsonl"
    return f"{safe_name(family(run.key.protocol.name))}.jsonl"


def collected_text(runs: Iterable[AnyRun]) -> str:
    """One line for each run, in an order that only the runs decide."""
    return "".join(f"{canonical_json(run)}\n" for run in sorted(runs, key=_place))


def _place(run: AnyRun) -> tuple[Any, ...]:
    name, version = run.key.protocol.name, run.key.archenc
    if isinstance(run, SearchRun):
        return (2, name, version, run.key.strategy.name, run.key.protocol.queries, run.key.seed, run.run)
    if isinstance(run, NextRun):
        return (1, name, version, run.key.method.name, run.key.plan.trained, run.key.file, run.run)
    return (0, name, version, run.key.method.name, run.key.size, run.key.seed, run.run)
