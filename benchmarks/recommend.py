"""``archenc recommend``: which method to use for a space, a number of labels and a time."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archenc.errors import InvalidParameter
from archenc.files.terminal import DEVIATIONS, Table, this_terminal
from archenc.files.text import say, say_styled

if TYPE_CHECKING:
    from archenc.benchmarks.evidence import Evidence, MethodEvidence
    from archenc.benchmarks.reports.overview import Benchmark
    from archenc.benchmarks.runs import Row
    from archenc.predictor.automatic import Budget
    from archenc.spaces.base import Space

MOST_METHODS, MOST_BENCHMARKS = 8, 5
"""What tables show at most."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        space: of the architectures.
        dataset: a data set of it, if one was named.
        where: the options that name either, for the next command.
        labels: trained architectures.
        minutes: CPU time for a fit and 10,000 scores; None for any.
        budget: of ``auto``.
    """

    space: Space
    dataset: str | None
    where: tuple[str, str]
    labels: int
    minutes: float | None
    budget: Budget

    def auto(self, budget: Budget) -> dict[str, Any]:
        """What ``Predictor("auto")`` would be made of."""
        import archenc

        return archenc.recommend(self.space, self.labels, budget=budget)

    @property
    def auto_was_measured(self) -> bool:
        """Whether the budget makes no difference to the normal one, with which all runs were made."""
        return self.auto(self.budget) == self.auto("normal")


def recommend(
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="The search space ('archenc list spaces'), or a file of one."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A data set, whose space is meant, instead.")
    ] = None,
    labels: Annotated[int, typer.Option(min=2, max=10**7, help="Trained architectures.")] = 100,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="CPU time for one fit and scoring 10,000 architectures.")
    ] = None,
    budget: Annotated[
        Literal["fast", "normal", "thorough"], typer.Option(help="Of auto: without networks, one, three.")
    ] = "normal",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which method to use with so many labels, by benchmarks on the space itself or on spaces of its kind."""
    if (space is None) == (dataset is None):
        raise InvalidParameter("give one of --space NAME and --dataset NAME, whose architectures are meant")
    if minutes is not None and not math.isfinite(minutes):
        raise InvalidParameter("--minutes is not a number of minutes; leave it out for any time")
    from archenc.benchmarks.evidence import choose, find_evidence
    from archenc.benchmarks.reports.rows import KINDS, kind_of_space
    from archenc.commands.suggest_input import read_space

    where = ("--space", space) if space is not None else ("--dataset", str(dataset))
    chosen = read_space(space) if space is not None else _space_of(str(dataset))
    asked = Question(chosen, dataset, where, labels, minutes, budget)
    kind = kind_of_space(chosen)
    found = find_evidence(chosen.name, kind, labels, dataset)
    best = choose(found.methods, minutes)
    if as_json:
        say(json.dumps(_as_json(asked, kind, found, best)))
        return
    say(_answer(asked, best), *_figures(asked, best, found), _basis(asked, found, KINDS[kind]), "")
    say_styled(*_methods_table(asked, found), "", *_benchmarks_table(asked, found), "")
    say(f"auto consists of {parts_of(asked.auto(budget))}", *_next(asked, best))


def _space_of(dataset: str) -> Space:
    """The space of a data set, which is not loaded if its space is known."""
    import archenc
    from archenc.benchmarks.reports.rows import SPACES

    if dataset in SPACES:
        return archenc.create_space(SPACES[dataset])
    return archenc.load_dataset(dataset).space


def parts_of(auto: dict[str, Any]) -> str:
    """What ``Predictor("auto")`` would be made of, in words."""
    features = " + ".join(auto["encoder_params"]["parts"])
    members = " + ".join(auto["head_params"]["members"])
    names = Counter(f"{one['encoder']}+{one['head']}+{one['loss']}" for one in auto["companions"] or [])
    networks = [name if count == 1 else f"{count} x {name}" for name, count in names.items()]
    return f"{members} on {features}" + (f", with {', '.join(networks)}" if networks else "")


# -- the answer ----------------------------------------------------------------------------------------------


def _answer(asked: Question, best: MethodEvidence | None) -> str:
    minutes = asked.minutes
    limit = "" if minutes is None else f", {minutes:g} {'minute' if minutes == 1 else 'minutes'} of CPU"
    use = "use no method: none is known to be that fast; give more --minutes"
    use = use if best is None else f"use {best.method}"
    return f"{asked.labels:,} labels of {asked.space.name}{limit}: {use}"


def _figures(asked: Question, best: MethodEvidence | None, found: Evidence) -> list[str]:
    """What the recommended method reached and costs, and what else is to be known of it."""
    from archenc.benchmarks.evidence import fits

    lines = []
    if best is not None:
        lines = [
            f"  normalised tau {best.normalised_tau:.3f} ({best.low:.3f} to {best.high:.3f}), about "
            f"{best.fit_cpu_seconds:.1f} CPU s a fit and {best.seconds_per_10000:.1f} for 10,000 scores"
        ]
        first = next(one for one in found.methods if fits(one.seconds, asked.minutes))
        if best.normalised_tau < first.normalised_tau <= best.high:
            lines.append(f"  {first.method} is higher by no more than noise")
    if not asked.auto_was_measured:
        lines.append(f"  auto was measured with the budget normal, not {asked.budget}")
    left_out = [one for one in found.methods if one.method == "auto" and not fits(one.seconds, asked.minutes)]
    if left_out and asked.auto("fast") != asked.auto("normal") and asked.budget == "normal":
        lines.append(
            "  auto is too slow; with --budget fast, without networks, it is faster, and was not measured"
        )
    return lines


def _basis(asked: Question, found: Evidence, kind: str) -> str:
    """Which benchmarks speak."""
    from archenc.benchmarks.evidence import is_near

    count = len(found.benchmarks)
    many = f"{count} benchmark{'' if count == 1 else 's'}"
    text = {
        "dataset": f"  by {many} of this data set",
        "space": f"  by {many} of this space",
        "kind": f"  by {many} of spaces of its kind: {kind}",
        "none": f"  by {many} of other spaces, as none has one of its kind: {kind}",
    }[found.relation]
    far = not any(is_near(one.size, asked.labels) for one in found.benchmarks)
    return f"{text}; none has near {asked.labels:,} labels" if far else text


def _next(asked: Question, best: MethodEvidence | None) -> list[str]:
    """What to type next."""
    if best is None:
        return []
    if best.method == "auto" and asked.budget == "normal":
        return [f"next: {shlex.join(['archenc', 'suggest', 'runs.csv', *asked.where])}"]
    if best.method == "auto":
        return [f"next, in Python: archenc.Predictor('auto', budget={asked.budget!r})"]
    from archenc.benchmarks.methods import find_method, load_methods

    content = find_method(best.method, load_methods()).content
    named = [repr(content.pop(part)) for part in ("encoder", "head", "loss")]
    others = [f"{name}={value!r}" for name, value in content.items() if name != "name" and value]
    return [f"next, in Python: archenc.Predictor({', '.join([*named, *others])})"]


# -- tables --------------------------------------------------------------------------------------------------


def _methods_table(asked: Question, found: Evidence) -> list[str]:
    from archenc.benchmarks.evidence import fits

    header = ["method", "normalised tau", "95 % interval", "run on", "fit, CPU s", "10,000 scores, s"]
    chosen = [one for one in found.methods if fits(one.seconds, asked.minutes)]
    lines = [
        [
            one.method,
            f"{one.normalised_tau:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            f"{one.benchmarks} of {one.of}",
            f"{one.fit_cpu_seconds:.1f}",
            f"{one.seconds_per_10000:.1f}",
        ]
        for one in chosen[:MOST_METHODS]
    ]
    more, slow = len(chosen) - MOST_METHODS, len(found.methods) - len(chosen)
    notes = [
        "normalised tau: Kendall's tau by that of the best method, mean over benchmarks",
        "methods run on fewer than half of the benchmarks come last"
        if not all(one.common for one in chosen[:MOST_METHODS])
        else "",
        f"{more} more methods" if more > 0 else "",
        f"{slow} of {len(found.methods)} methods take longer" if slow else "",
    ]
    return _shown(Table(header, lines, expendable=[5, 2, 3]), notes) if lines else []


def _benchmarks_table(asked: Question, found: Evidence) -> list[str]:
    """What auto and the best other method within the time reached on each benchmark, the nearest first."""
    every = [*found.benchmarks, *found.others]
    lines = []
    for one in every[:MOST_BENCHMARKS]:
        rows = [row for row in (one.rows.get("auto"), best_other(one, asked.minutes)) if row is not None]
        where = [(one.name, str(one.size)), ("", "")]
        lines += [[*place, *_reached(row)] for place, row in zip(where, rows, strict=False)]
    more = len(every) - MOST_BENCHMARKS
    notes = [
        "each with auto and the best other method" + ("" if asked.minutes is None else " that is fast enough")
    ]
    notes += [f"{more} more benchmarks"] if more > 0 else []
    header = ["benchmark", "n", "method", "Kendall's tau", "CPU s"]
    return _shown(Table(header, lines, expendable=[4, DEVIATIONS]), notes)


def best_other(benchmark: Benchmark, minutes: float | None) -> Row | None:
    """The row of the highest Kendall's tau within the time that is not that of ``auto``, if there is one."""
    from archenc.benchmarks.evidence import fits
    from archenc.benchmarks.reports.published import METRIC
    from archenc.benchmarks.reports.rows import fit_cost, scoring_cost

    rows = [
        row
        for name, row in benchmark.rows.items()
        if name != "auto" and fits(fit_cost(row) + scoring_cost(row), minutes)
    ]
    return max(rows, key=lambda row: row.mean(METRIC), default=None)


def _reached(row: Row) -> list[str]:
    from archenc.benchmarks.reports.estimates import mean_and_std
    from archenc.benchmarks.reports.published import METRIC
    from archenc.benchmarks.reports.rows import fit_cost

    return [row.method.name, mean_and_std(row, METRIC), f"{fit_cost(row):.1f}"]


def _shown(table: Table, notes: list[str]) -> list[str]:
    text, left_out = table.text(this_terminal())
    return [*text.split("\n"), *filter(None, [*notes, left_out])]


# -- JSON ----------------------------------------------------------------------------------------------------


def _as_json(asked: Question, kind: str, found: Evidence, best: MethodEvidence | None) -> dict[str, Any]:
    return {
        "space": asked.space.name,
        "kind": kind,
        "relation": found.relation,
        "labels": asked.labels,
        "method": None if best is None else best.method,
        "auto": asked.auto(asked.budget),
        "methods": [asdict(one) for one in found.methods],
        "benchmarks": [_benchmark_json(one) for one in (*found.benchmarks, *found.others)],
    }


def _benchmark_json(benchmark: Benchmark) -> dict[str, Any]:
    from archenc.benchmarks.reports.published import METRIC
    from archenc.benchmarks.reports.rows import fit_cost, scoring_cost

    return {
        "benchmark": benchmark.name,
        "dataset": benchmark.dataset,
        "labels": benchmark.size,
        "methods": {
            name: {
                METRIC: row.mean(METRIC),
                "std": row.std(METRIC) if len(row.runs) > 1 else None,
                "runs": len(row.runs),
                "fit_cpu_seconds": fit_cost(row),
                "seconds_per_10000": scoring_cost(row),
            }
            for name, row in benchmark.rows.items()
        },
    }
