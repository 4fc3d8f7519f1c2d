"""How long runs will take, from those that were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from archenc.benchmarks.jobs import Job
from archenc.benchmarks.protocol import family
from archenc.benchmarks.runs import COMMITTED, Run, stored_runs
from archenc.errors import ArchencError


def known_runs(protocol: str, folder: Path) -> list[Run]:
    """The runs of a protocol that archenc comes with, and those in a folder; none of a damaged file."""
    found: list[Run] = []
    for place in (COMMITTED / f"{family(protocol)}.jsonl", folder):
        try:
            found += stored_runs(place, Run) if place.exists() else []
        except ArchencError:  # said when the run is computed again
            continue
    return found


def seconds_of(job: Job, known: Iterable[Run]) -> float | None:
    """Mean seconds of a run of a job, by runs of its method on its protocol's data: at its size, or in
    proportion to the labels, at the nearest one; None where the method was never run.
    """
    by_size: dict[int, list[float]] = {}
    for run in known:
        if run.key.method.name == job.method.name and run.key.protocol.dataset == job.protocol.dataset:
            by_size.setdefault(run.key.size, []).append(run.seconds.fit + run.seconds.predict)
    if not by_size:
        return None
    nearest = min(by_size, key=lambda size: abs(size - job.size))
    return fmean(by_size[nearest]) * job.size / nearest


def forecast(wanted: Sequence[Job], todo: Sequence[Job], known: Sequence[Run], workers: int) -> str:
    """A sentence: how many runs there are, how many are missing, and about how long these take.

    Args:
        wanted: all jobs.
        todo: those that are missing.
        known: runs whose seconds are known.
        workers: processes.
    """
    every, missing = (sum(len(job.seeds) for job in jobs) for jobs in (wanted, todo))
    if not missing:
        return f"{every:,} runs, all of them finished"
    costs = [(len(job.seeds), seconds_of(job, known)) for job in todo]
    total = sum(count * seconds for count, seconds in costs if seconds is not None)
    unknown = sum(count for count, seconds in costs if seconds is None)
    there = f", {every - missing:,} of them finished" if every > missing else ""
    text = f"{every:,} runs{there}; the other {missing:,}" if there else f"{every:,} runs"
    if unknown == missing:
        return f"{text}: how long they take is not known, as none of them was made before"
    text += f" take about {duration_text(total / workers)}"
    text += f" in {workers} processes" if workers > 1 else ""
    return text + (f", without {unknown:,} of methods that were never run" if unknown else "")


def costs_of(todo: Sequence[Job], known: Sequence[Run]) -> list[float]:
    """Seconds of each job, by :func:`seconds_of`; where these are not known, those of a mean run."""
    runs = [seconds_of(job, known) for job in todo]
    mean = fmean([seconds for seconds in runs if seconds is not None] or [1.0])
    return [
        len(job.seeds) * (mean if seconds is None else seconds)
        for job, seconds in zip(todo, runs, strict=True)
    ]


def duration_text(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration_text(0.4), duration_text(75), duration_text(4000)
    ('1 second', '1 minute', '1.1 hours')
    """
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= length:
            value = seconds / length
            shown = f"{value:.1f}".removesuffix(".0") if unit == "hour" else f"{value:.0f}"
            return f"{shown} {unit}{'' if shown == '1' else 's'}"
    shown = f"{max(seconds, 1):.0f}"
    return f"{shown} second{'' if shown == '1' else 's'}"
