"""``archenc recommend``: which method to use for a space, a number of labels and a time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archenc.errors import InvalidParameter
from archenc.files.text import say, terminal_width

if TYPE_CHECKING:
    from archenc.predictor.automatic import Budget
    from archenc.spaces.base import Space

REACH = 2.5
"""Training sizes up to so many times more or fewer labels tell something."""


@dataclass(frozen=True)
class Evidence:
    """What benchmarks say of one method.

    Attributes:
        method: its name.
        normalised_tau: mean over benchmarks of Kendall's tau by that of the best method there, with its
            95 percent interval.
        low, high: the interval.
        benchmarks, of: on how many of how many benchmarks it was run.
        fit_cpu_seconds: of one fit.
        seconds_per_10000: of scoring 10,000 architectures.
        names: the benchmarks, each with its number of labels.
    """

    method: str
    normalised_tau: float
    low: float
    high: float
    benchmarks: int
    of: int
    fit_cpu_seconds: float
    seconds_per_10000: float
    names: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of a fit and 10,000 scores."""
        return self.fit_cpu_seconds + self.seconds_per_10000

    @property
    def common(self) -> bool:
        """Whether it was run on at least half of the benchmarks."""
        return 2 * self.benchmarks >= self.of


def evidence(kind: str, labels: int, dataset: str | None = None) -> list[Evidence]:
    """What the committed runs say of each method on spaces of a kind, near a number of labels: those run on
    at least half of the benchmarks first, the best first.

    Args:
        kind: a key of :data:`archenc.benchmarks.kinds.KINDS`.
        labels: of the training set.
        dataset: only benchmarks of this data set, where there are some.
    """
    from archenc.benchmarks.reports.overview import benchmarks_between, standings
    from archenc.benchmarks.runs import COMMITTED, leaderboards, read_runs

    boards = leaderboards(read_runs(COMMITTED))
    near = benchmarks_between(boards, labels, int(labels / REACH), int(labels * REACH))
    near = near or benchmarks_between(boards, labels, 2, 10**8)
    found = [one for one in near if one.kind == kind] or near
    found = [one for one in found if one.dataset == dataset] or found
    return [_evidence(line) for line in standings(found)]


def _evidence(line: dict[str, Any]) -> Evidence:
    return Evidence(
        line["method"],
        normalised_tau=float(line["normalised_tau"]),
        low=float(line["normalised_tau_low"]),
        high=float(line["normalised_tau_high"]),
        benchmarks=line["benchmarks"],
        of=line["of"],
        fit_cpu_seconds=float(line["fit_cpu_seconds"]),
        seconds_per_10000=float(line["seconds_per_10000"]),
        names=tuple(line["names"].split()),
    )


def choose(found: list[Evidence], minutes: float | None) -> Evidence | None:
    """The method to use: the best within the time that was run on at least half of the benchmarks, but
    ``auto`` where the best is within its interval, as it also holds on spaces that no benchmark has.
    """
    fitting = [one for one in found if one.common and (minutes is None or one.seconds <= 60 * minutes)]
    if not fitting:
        return None
    auto = next((one for one in fitting if one.method == "auto"), None)
    return auto if auto is not None and auto.high >= fitting[0].normalised_tau else fitting[0]


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
    """Which method to use with so many labels, by benchmarks on spaces of the same kind."""
    if (space is None) == (dataset is None):
        raise InvalidParameter("give one of --space NAME and --dataset NAME, whose architectures are meant")
    import archenc
    from archenc.benchmarks.kinds import KINDS, kind_of_space
    from archenc.commands.suggest_input import read_space

    chosen = archenc.load_dataset(dataset).space if dataset is not None else read_space(str(space))
    kind = kind_of_space(chosen)
    found = evidence(kind, labels, dataset)
    best = choose(found, minutes)
    parts = parts_of_auto(chosen, labels, budget)
    if as_json:
        answer = {"kind": kind, "method": None if best is None else best.method, "auto": parts}
        say(json.dumps({**answer, "evidence": [asdict(one) for one in found]}))
        return
    limit = "" if minutes is None else f", {minutes:g} {'minute' if minutes == 1 else 'minutes'} of CPU"
    say(f"{labels:,} labels of {chosen.name} ({KINDS[kind]}){limit}: {_answer(best, found)}", "")
    say(*_table(found, minutes), "", f"auto consists of {parts}", *_next(best, space, dataset))


def parts_of_auto(space: Space, labels: int, budget: Budget) -> str:
    """What ``Predictor("auto")`` would be made of, in words."""
    import archenc

    auto = archenc.recommend(space, labels, budget=budget)
    features = " + ".join(auto["encoder_params"]["parts"])
    members = " + ".join(auto["head_params"]["members"])
    others = [f"{one['encoder']}+{one['head']}+{one['loss']}" for one in auto["companions"] or []]
    return f"{members} on {features}" + (f", with {', '.join(others)}" if others else "")


def _answer(best: Evidence | None, found: list[Evidence]) -> str:
    if best is None:
        return "no method that was run there is that fast; give more --minutes"
    figures = f"normalised tau {best.normalised_tau:.3f}, {best.low:.3f} to {best.high:.3f}"
    costs = f"{best.fit_cpu_seconds:.1f} CPU seconds a fit, {best.seconds_per_10000:.1f} for 10,000 scores"
    noise = ""
    if best.normalised_tau < found[0].normalised_tau <= best.high:
        noise = f"; {found[0].method} is higher by no more than noise"
    return f"use {best.method} ({figures}; about {costs}{noise})"


MOST_LINES = 8
HEADER = ["method", "normalised tau", "95 % interval", "benchmarks", "fit, CPU s", "10,000 scores, s"]


def _table(found: list[Evidence], minutes: float | None) -> list[str]:
    from archenc.benchmarks.reports.terminal import fit

    fitting = [one for one in found if minutes is None or one.seconds <= 60 * minutes]
    lines = [
        [
            one.method,
            f"{one.normalised_tau:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            f"{one.benchmarks} of {one.of}",
            f"{one.fit_cpu_seconds:.1f}",
            f"{one.seconds_per_10000:.1f}",
        ]
        for one in fitting[:MOST_LINES]
    ]
    names = dict.fromkeys(name.replace("@", " at ") for one in found for name in one.names)
    notes = [
        "normalised tau: Kendall's tau by that of the best method of the benchmark, mean over benchmarks",
        f"benchmarks, with their labels: {', '.join(names)}",
    ]
    return [*fit(HEADER, lines, terminal_width())[0].split("\n"), "", *notes] if lines else notes


def _next(best: Evidence | None, space: str | None, dataset: str | None) -> list[str]:
    if best is None:
        return []
    where = f"--space {space}" if space is not None else f"--dataset {dataset}"
    if best.method == "auto":
        return [f"next: archenc suggest runs.csv {where}"]
    from archenc.benchmarks.methods import find_method, load_methods

    content = find_method(best.method, load_methods()).content
    named = [repr(content.pop(part)) for part in ("encoder", "head", "loss")]
    others = [f"{name}={value!r}" for name, value in content.items() if name != "name" and value]
    return [f"next, in Python: archenc.Predictor({', '.join([*named, *others])})"]
