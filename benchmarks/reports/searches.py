"""The tables of searches: after how many queries which strategy finds what."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
from scipy.stats import t

from archenc.benchmarks.search_protocols import list_searches, load_search_protocol
from archenc.benchmarks.searches import SearchRun
from archenc.errors import InvalidTable
from archenc.files.documents import canonical_json
from archenc.files.reports import markdown_table, number, text_table
from archenc.files.text import csv_text, markdown

CHECKPOINTS = (50, 100, 150, 300)
"""Of protocols that are not packaged."""
WITHIN = 0.001
"""Share of the best label by which one may be lower and count as found."""


def groups(runs: Iterable[SearchRun]) -> list[list[SearchRun]]:
    """The runs that stand in one table: of one protocol and version; raises :class:`InvalidTable` where they
    saw different data.
    """
    found: dict[str, list[SearchRun]] = {}
    for run in sorted(runs, key=lambda run: (run.key.protocol.name, run.key.seed)):
        found.setdefault(canonical_json([run.key.protocol, run.key.archenc]), []).append(run)
    for group in found.values():
        if any(run.table != group[0].table for run in group):
            raise InvalidTable(
                f"the searches of {group[0].key.protocol.name} saw different data; keep their run files in "
                "different folders"
            )
    return list(found.values())


def heading(group: Sequence[SearchRun]) -> str:
    """What a table is about, in a sentence."""
    protocol, table = group[0].key.protocol, group[0].table
    reported = protocol.reported or protocol.label
    low = "" if protocol.against is None else f", {protocol.against} to be low"
    return (
        f"{protocol.dataset}: {table.architectures:,} architectures, told {protocol.label} (best "
        f"{number(table.best, 3)}){low}, reported {reported} (best {number(table.best_reported, 3)}), "
        f"{protocol.queries} queries (archenc {group[0].key.archenc})"
    )


def by_strategy(group: Iterable[SearchRun]) -> list[list[SearchRun]]:
    """The runs of each strategy, the one that finds one of the ten best soonest first."""
    found: dict[str, list[SearchRun]] = {}
    for run in group:
        found.setdefault(canonical_json(run.key.strategy), []).append(run)

    def order(runs: list[SearchRun]) -> tuple[float, float, str]:
        finals = fmean(run.at(run.key.protocol.queries).label for run in runs)
        return float(np.median(queries_to(runs, runs[0].table.top10))), -finals, runs[0].key.strategy.name

    return sorted(found.values(), key=order)


def queries_to(runs: Iterable[SearchRun], label: float) -> np.ndarray:
    """Queries until each run found a label as high as this, infinite where it did not."""
    reached = [run.reached(label) for run in runs]
    return np.array([np.inf if query is None else query for query in reached])


def standings(group: list[SearchRun]) -> tuple[list[str], list[list[str]]]:
    """The header, and a line for each strategy."""
    protocol, table = group[0].key.protocol, group[0].table
    name = protocol.name
    points = load_search_protocol(name).checkpoints if name in list_searches() else CHECKPOINTS
    points = tuple(point for point in points if point <= protocol.queries)
    header = ["strategy", "batch", "seeds", "queries to a top-10 cell", "to the top 0.1 %"]
    header += [
        f"to within {100 * WITHIN:g} % of the best",
        *(f"reported after {point}, mean" for point in points),
    ]
    header += [f"median after {points[-1]}", "regret", "ms a query"]
    header += ["hypervolume, %"] if protocol.against is not None else []
    lines = []
    for runs in by_strategy(group):
        finals = [run.at(protocol.queries).label for run in runs]
        lines.append(
            [
                runs[0].key.strategy.name,
                str(runs[0].key.strategy.batch),
                str(len(runs)),
                *(
                    _quartiles(queries_to(runs, target), protocol.queries)
                    for target in (table.top10, table.top_thousandth, table.best - WITHIN * abs(table.best))
                ),
                *(number(fmean(run.at(point).reported for run in runs), 3) for point in points),
                number(median(run.at(points[-1]).reported for run in runs), 3),
                number(table.best - fmean(finals), 3),
                number(1000 * fmean(run.seconds for run in runs) / protocol.queries, 1),
                *([_interval([100 * (run.hypervolume or 0.0) for run in runs])] if protocol.against else []),
            ]
        )
    return header, lines


def _quartiles(queries: np.ndarray, most: int) -> str:
    low, middle, high = np.quantile(queries, [0.25, 0.5, 0.75], method="inverted_cdf")
    texts = [f"{value:.0f}" if np.isfinite(value) else f"> {most}" for value in (middle, low, high)]
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _interval(values: list[float]) -> str:
    """The mean, and the interval that holds it with 95 percent by Student's t over seeds."""
    if len(values) < 2:
        return number(fmean(values), 2)
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{number(fmean(values), 2)} ± {number(half, 2)}"


def search_text(runs: Iterable[SearchRun]) -> str:
    """The tables for a terminal."""
    return "\n\n".join(f"{heading(group)}\n\n{text_table(*standings(group))}" for group in groups(runs))


PAGE = f"""# How many trainings a search needs

Each strategy is told the label of what it asks for, by looking it up in the table, and everything counts
that it asks for. Queries to a target: median over seeds, and quartiles; the ten best and the best
thousandth of the table by the label that is told; within {100 * WITHIN:g} % of the highest label. Reported:
the other label of the best found so far by the label that is told, mean or median over seeds. Regret: how far
the best found lies below the best of the table at the end, mean. Hypervolume: of a search for two things,
as a share of that of the whole table, each scaled to its range there, with a 95 % interval of the mean.
`archenc bench run` makes the runs, which lie beside this page in `searches.jsonl`; strategies are those of
`archenc.list_strategies()`, with parameters in `benchmarks/searches.yaml`.
"""


def search_markdown(runs: Iterable[SearchRun]) -> str:
    """The page of all runs."""
    sections = [PAGE]
    for group in groups(runs):
        title = markdown(group[0].key.protocol.name)
        sections.append(f"## {title}\n\n{markdown(heading(group))}.\n\n{markdown_table(*standings(group))}\n")
        lines = published(group)
        if lines:
            sections.append(f"{BESIDE}\n\n{markdown_table(PUBLISHED_HEADER, lines)}\n")
    return "\n".join(sections)


# -- curves --------------------------------------------------------------------------------------------------

POINTS = 40
"""Of a curve, at most."""


def searches_csv(runs: Iterable[SearchRun]) -> str:
    """The best found so far, against the number of queries: a line for each protocol, strategy and number of
    queries, with the median and the quartiles over seeds of the label that strategies are told, and of the
    reported label of the same architecture.
    """
    records = []
    for name, group in named(groups(runs)).items():
        queries = group[0].key.protocol.queries
        points = np.unique(np.geomspace(1, queries, POINTS).round().astype(int)).tolist()
        for some in by_strategy(group):
            for query in points:
                record = {"benchmark": name, "strategy": some[0].key.strategy.name, "queries": query}
                record["seeds"] = len(some)
                best = [run.at(query) for run in some]
                for what in ("label", "reported"):
                    quartiles = np.quantile([getattr(step, what) for step in best], [0.5, 0.25, 0.75])
                    for part, value in zip(("median", "low", "high"), quartiles, strict=True):
                        record[f"{what}_{part}"] = f"{value:.4f}"
                records.append(record)
    return csv_text(records)


def named(found: Sequence[list[SearchRun]]) -> dict[str, list[SearchRun]]:
    """Groups by the names of their protocols, with a number where several have one name."""
    names: dict[str, list[SearchRun]] = {}
    for group in found:
        name = group[0].key.protocol.name
        same = sum(other.partition(" ")[0] == name for other in names)
        names[f"{name} ({same + 1})" if same else name] = group
    return names


def search_tables(runs: Iterable[SearchRun]) -> dict[str, dict[str, Any]]:
    """What the page shows of each protocol: what it is about, its table, and published numbers."""
    tables: dict[str, dict[str, Any]] = {}
    for name, group in named(groups(runs)).items():
        header, lines = standings(group)
        tables[name] = {
            "heading": heading(group),
            "header": header,
            "lines": lines,
            "published_header": PUBLISHED_HEADER,
            "published": published(group),
            "command": f"archenc bench run {group[0].key.protocol.name}",
        }
    return tables


# -- beside published numbers --------------------------------------------------------------------------------

PUBLISHED = Path(str(files("archenc.benchmarks"))) / "published" / "searches.csv"
PUBLISHED_HEADER = ["published", "queries", "measure", "value", "trials", "ours", "value", "seeds", "source"]
BESIDE = """Beside published numbers, of the best found so far by validation, means over trials. They were
measured by others, some on other tables or by other labels, as the source says."""


def published(group: Sequence[SearchRun]) -> list[list[str]]:
    """A line for each published number of the protocol, with ours where there is a like strategy."""
    lines = []
    for row in csv.DictReader(PUBLISHED.read_text(encoding="utf-8").splitlines()):
        if row["protocol"] == group[0].key.protocol.name:
            ours = [run for run in group if run.key.strategy.name == row["ours"]]
            value = number(_measured(ours, row["measure"], int(row["queries"])), 2) if ours else ""
            seeds = str(len(ours)) if ours else ""
            names = [row[name] for name in ("method", "queries", "measure", "value", "trials")]
            lines.append([*names, row["ours"] if ours else "", value, seeds, markdown(row["source"])])
    return lines


def _measured(runs: Sequence[SearchRun], measure: str, queries: int) -> float:
    best = [run.at(queries) for run in runs]
    if measure == "validation accuracy":
        return fmean(step.label for step in best)
    accuracy = fmean(step.reported for step in best)
    return 100 - accuracy if measure == "test error" else accuracy
