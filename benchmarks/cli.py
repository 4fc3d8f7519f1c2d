"""``archenc bench``: run protocols and report on the runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.errors import InvalidParameter
from archenc.files.text import say, say_styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from archenc.benchmarks.jobs import Failure, J, Job
    from archenc.benchmarks.methods import Method
    from archenc.benchmarks.reports.terminal import View
    from archenc.benchmarks.runs import Leaderboard

Sort = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Order the table by method, seconds or a training size.")
]
Only = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="WORD,-WORD",
        help="Show methods with one of these words, without those behind - or !.",
    ),
]

app = typer.Typer(help="Compare methods on fixed protocols.", rich_markup_mode=None)


def parse_numbers(text: str | None, default: tuple[int, ...], option: str, least: int) -> tuple[int, ...]:
    """``"39,78"`` as (39, 78); ``default`` for None."""
    if text is None:
        return default
    parts = [part.strip() for part in text.split(",")]
    if not all(
        part.isascii() and part.isdecimal() and len(part) < 10 and int(part) >= least for part in parts
    ):
        raise InvalidParameter(
            f"{option} {text!r} is not a list of whole numbers from {least}; write for example {option} "
            f"{least},{least + 1}"
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


@app.command("run")
def run_protocol(
    protocol_name: Annotated[
        str, typer.Argument(metavar="PROTOCOL", help="Name of a protocol, or path of a .yaml file.")
    ],
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Names, or ENCODER+HEAD+LOSS[:simplify]; default: the protocol's."),
    ] = None,
    methods_file: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="More methods by name.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N", help="Training sizes; default: the protocol's.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="S,S", help="Seeds; default: the protocol's.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Processes, of one thread each if more than one.")
    ] = 1,
    runs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of run files; default: runs/PROTOCOL.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute finished runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many runs there are and how long they take.")
    ] = False,
    sort: Sort = None,
    only: Only = None,
) -> None:
    """Compute what is missing of a protocol, then print its leaderboard; an interrupted command goes on where
    it was.
    """
    from archenc.benchmarks.protocol import load_protocol
    from archenc.benchmarks.search_protocols import list_searches
    from archenc.files.trusted import safe_name

    if protocol_name in list_searches():
        _run_search(protocol_name, methods, seeds, jobs, runs, force, dry_run)
        return
    protocol = load_protocol(protocol_name)
    chosen = _methods(_names(methods, protocol.methods), methods_file)
    chosen_sizes = parse_numbers(sizes, protocol.train_sizes, "--sizes", 2)
    chosen_seeds = parse_numbers(seeds, protocol.seeds, "--seeds", 0)
    folder = _folder(runs or Path("runs") / safe_name(protocol.name))
    command = shlex.join(["archenc", "bench", "run", protocol_name, *_given(methods_file)])

    from archenc.benchmarks.forecast import costs_of, forecast, known_runs
    from archenc.benchmarks.jobs import plan
    from archenc.benchmarks.runs import leaderboards, read_run

    wanted = plan(protocol, chosen, chosen_sizes, chosen_seeds, folder, command)
    view = _view(sort, only)
    view.check([method.name for method in chosen], chosen_sizes)
    todo, known = _missing(wanted, force), known_runs(protocol.name, folder)
    expected = forecast(wanted, todo, known, jobs)
    if dry_run:
        say(expected)
        return
    say(f"archenc: {expected}", file=sys.stderr)
    from archenc.benchmarks.engines import local
    from archenc.benchmarks.runner import run_job

    failures = local.run(todo, jobs, run_job, costs_of(todo, known))
    _show(leaderboards(map(read_run, _paths(wanted))), view)
    _say_failures(failures)


def _run_search(
    name: str, strategies: str | None, seeds: str | None, jobs: int, runs: Path | None, force: bool, dry: bool
) -> None:
    """Compute what is missing of a search protocol, then print its table."""
    from archenc.benchmarks import searches
    from archenc.benchmarks.engines import local
    from archenc.benchmarks.reports.searches import search_text
    from archenc.benchmarks.search_protocols import find_contender, load_search_protocol

    protocol = load_search_protocol(name)
    contenders = [find_contender(each) for each in _names(strategies, protocol.strategies)]
    chosen = parse_numbers(seeds, tuple(range(protocol.seeds)), "--seeds", 0)
    folder = _folder(runs or Path("runs") / name)
    command = shlex.join(["archenc", "bench", "run", name])
    wanted = list(searches.jobs_of(protocol, contenders, chosen, folder, command))
    todo = _missing(wanted, force)
    if dry:
        say(f"{sum(len(job.seeds) for job in todo)} runs are missing in {folder}")
        return
    failures = local.run(todo, jobs, searches.run_job)
    say(*search_text(map(searches.read_search, _paths(wanted))).split("\n"))
    _say_failures(failures)


@app.command("show")
def show(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run files, or a .jsonl file.")],
    sort: Sort = None,
    only: Only = None,
) -> None:
    """Print the leaderboards of finished runs."""
    from archenc.benchmarks.runs import leaderboards, read_runs

    boards, view = leaderboards(read_runs(runs)), _view(sort, only)
    methods = [name for board in boards for name in board.methods]
    view.check(methods, {size for board in boards for size in board.sizes})
    _show(boards, view)


def _view(sort: str | None, only: str | None) -> View:
    from archenc.benchmarks.reports.terminal import View
    from archenc.files.terminal import this_terminal

    words = () if only is None else tuple(word for part in only.split(",") if (word := part.strip()))
    return View(sort, words, this_terminal())


def _show(boards: Iterable[Leaderboard], view: View) -> None:
    """Print the tables that have something to show."""
    from archenc.benchmarks.reports.terminal import leaderboard_text

    texts = [leaderboard_text(board, view) for board in boards if view.order(board)]
    if texts:
        say_styled(*"\n\n".join(texts).split("\n"))


def _names(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return default if text is None else tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def _methods(
    names: tuple[str, ...], methods_file: Path | None, others: Mapping[str, Method] | None = None
) -> list[Method]:
    """The methods of these names, of which ``others`` are in no file."""
    from archenc.benchmarks.methods import find_method, load_methods

    known, others = load_methods(methods_file), others or {}
    return [others[name] if name in others else find_method(name, known) for name in names]


def _given(methods_file: Path | None) -> list[str]:
    return [] if methods_file is None else ["--methods-file", str(methods_file)]


def _folder(folder: Path, option: str = "--runs") -> Path:
    if folder.exists() and not folder.is_dir():
        raise InvalidParameter(f"{option} {folder} is a file; give the name of a folder")
    return folder


def _missing(wanted: list[J], force: bool) -> list[J]:
    """What is missing; says which files are damaged."""
    from archenc.benchmarks.jobs import missing

    todo, warnings = missing(wanted, force)
    for warning in warnings:
        say(f"archenc: warning: {warning}", file=sys.stderr)
    return todo


def _paths(jobs: Sequence[Job]) -> list[Path]:
    """The files of the runs that are there."""
    return [path for job in jobs for seed in job.seeds if (path := job.path(seed)).exists()]


def _say_failures(failures: list[Failure]) -> None:
    """Say what failed, and end the command if anything did."""
    if failures:
        from archenc.benchmarks.jobs import summarise

        say(*(f"archenc: error: run failed: {line}" for line in summarise(failures)), file=sys.stderr)
        raise typer.Exit(1)


@app.command("next")
def suggest_next(
    protocol_name: Annotated[
        str, typer.Argument(metavar="PROTOCOL", help="Whose table: a name, or the path of a .yaml file.")
    ],
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="As of 'run', or random; default: auto, two others and random."),
    ] = None,
    methods_file: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="More methods by name.")
    ] = None,
    files: Annotated[
        str | None, typer.Option(metavar="S,S", help="Seeds that draw the files; default: 0 to 19.")
    ] = None,
    trained: Annotated[int, typer.Option(min=2, max=10**6, help="Trained architectures in a file.")] = 50,
    count: Annotated[int, typer.Option(min=1, max=100, help="Suggestions in a round.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of suggesting and training.")] = 5,
    jobs: Annotated[
        int, typer.Option(min=1, max=256, help="Processes, of one thread each if more than one.")
    ] = 1,
    runs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of run files; default: runs/next/PROTOCOL.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute finished runs again.")] = False,
) -> None:
    """Suggest what to train next from files of random architectures, train it by looking it up in the table,
    and go on.

    Prints how good the suggestions of each method were. An interrupted command goes on where it was.
    """
    from archenc.benchmarks import next as study
    from archenc.benchmarks.engines import local
    from archenc.benchmarks.protocol import load_protocol
    from archenc.benchmarks.reports.terminal import next_text
    from archenc.files.terminal import this_terminal
    from archenc.files.trusted import safe_name

    protocol = load_protocol(protocol_name)
    chosen = _methods(_names(methods, study.METHODS), methods_file, {study.RANDOM.name: study.RANDOM})
    seeds = parse_numbers(files, study.FILES, "--files", 0)
    folder = _folder(runs or Path("runs") / "next" / safe_name(protocol.name))
    plan = study.Plan(trained, count, rounds)
    options = [
        "--trained",
        str(trained),
        "--count",
        str(count),
        "--rounds",
        str(rounds),
        *_given(methods_file),
    ]
    command = shlex.join(["archenc", "bench", "next", protocol_name, *options])
    wanted = list(study.jobs_of(protocol, chosen, seeds, plan, folder, command))
    failures = local.run(_missing(wanted, force), jobs, study.run_job)
    for group in study.groups(map(study.read_next, _paths(wanted))):
        say_styled(*next_text(group, this_terminal()).split("\n"))
    _say_failures(failures)


@app.command("report")
def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUNS...]",
            help="Folders of run files, or .jsonl files; default: the runs that archenc comes with.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where to write the tables, plots and the page.")
    ] = Path("report"),
    own: Annotated[
        Path | None, typer.Option("--with", metavar="RUNS", help="Runs of yours, which are marked.")
    ] = None,
) -> None:
    """Write one page of all results, index.html, with leaderboard.csv, overview.csv, leaderboard.md,
    runs.csv, searches.csv, searches.md and plots beside it.
    """
    _folder(out, "--out")
    from archenc.benchmarks.reports.report import write_report
    from archenc.benchmarks.runs import COMMITTED, Run, read_runs, stored_runs
    from archenc.benchmarks.searches import PREFIX, SearchRun

    yours = [] if own is None else read_runs(own)
    places = runs or [COMMITTED]
    searches = {run.run: run for place in places for run in stored_runs(place, SearchRun, PREFIX)}
    found = [run for place in places for run in (stored_runs(place, Run) if searches else read_runs(place))]
    every = {run.run: run for run in (*found, *yours)}
    names = [run.run for run in yours]
    say(*map(str, write_report(list(every.values()), out, names, list(searches.values()))))


@app.command("collect")
def collect_runs(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUNS...", help="Folders of run files, or collected .jsonl files.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where PROTOCOL.jsonl are and go.")],
) -> None:
    """Join run files into one text file for each protocol, a run a line, beside what is there already."""
    _folder(out, "--out")
    from archenc.benchmarks.collected import collect

    say(*(f"{path}: {count:,} runs" for path, count in collect(runs, out).items()))


@app.command("compare")
def compare(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of run files, or a .jsonl file.")],
    sort: Sort = None,
    only: Only = None,
) -> None:
    """Print published numbers and those of finished runs side by side, with their differences."""
    from archenc.benchmarks.reports.published import published_results
    from archenc.benchmarks.reports.terminal import comparison_text, printed
    from archenc.benchmarks.runs import leaderboards, read_runs

    every, view = leaderboards(read_runs(runs)), _view(sort, only)
    boards = [board for board in every if comparison_text(board) is not None]
    if not boards:
        known = ", ".join(sorted({result.protocol for result in published_results()}))
        run = ", ".join(sorted({board.setting.name for board in every}))
        raise InvalidParameter(
            f"{runs} holds runs of {run}, for which no numbers were published; run one of {known}"
        )
    results = [result for board in boards for result in printed(board)]
    view.check([(one.label, one.method) for one in results], {one.size for one in results})
    texts = [text for board in boards if (text := comparison_text(board, view)) is not None]
    say_styled(*"\n\n".join(texts).split("\n"))


@app.command("speed")
def speed_of_everything(
    cells: Annotated[str, typer.Option(metavar="N,N", help="How many cells are taken.")] = "10000",
    nodes: Annotated[str, typer.Option(metavar="N,N", help="Nodes of larger graphs.")] = "8,32,128",
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Times that each thing is done.")] = 3,
) -> None:
    """Measure how many architectures are processed a second, beside plain code, in turn (a minute)."""
    sizes = parse_numbers(cells, (), "--cells", 1)
    large = parse_numbers(nodes, (), "--nodes", 3)
    from archenc.benchmarks.speed import report

    for line in report(sizes, large, rounds):
        say(line)


@app.command("diagnose")
def diagnose(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET[:LABEL]...", help="What is estimated.")],
    estimators: Annotated[str | None, typer.Option(metavar="LABEL,LABEL", help="Judge these labels.")] = None,
    scores: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.csv", help="Scores beside an 'arch'; again: a seed.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write it.")] = Path("diagnosis"),
) -> None:
    """Say what zero-cost scores, early accuracies, sizes and your own scores are worth as estimators."""
    _folder(out, "--out")
    from archenc.benchmarks.diagnosis import diagnose_all
    from archenc.benchmarks.reports.diagnosis import write_diagnosis

    say(*map(str, write_diagnosis(diagnose_all(datasets, estimators, scores or ()), out)))


@app.command("list")
def list_all() -> None:
    """List protocols and methods."""
    from archenc.benchmarks.methods import load_methods
    from archenc.benchmarks.protocol import list_protocols, load_protocol
    from archenc.benchmarks.search_protocols import list_searches

    say("protocols", *(f"  {name}: {load_protocol(name).purpose}" for name in list_protocols()))
    say("search protocols", *(f"  {name}" for name in list_searches()))
    say("methods", *(f"  {name}" for name in load_methods()))
