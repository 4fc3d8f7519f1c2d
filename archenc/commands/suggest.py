"""``archenc suggest`` and ``archenc rank``: what to train next, given a file of what was trained."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archenc.errors import InvalidParameter
from archenc.files.text import csv_text, say

if TYPE_CHECKING:
    import numpy as np

    from archenc.commands.suggest_input import Results, Source
    from archenc.graphs import ArchGraphs
    from archenc.search.suggest import Suggestions, Trust

Runs = Annotated[
    Path,
    typer.Argument(
        metavar="RUNS", help="What was trained: a .csv or .jsonl file with a column 'arch' and labels."
    ),
]
SpaceName = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME|FILE",
        help="Their search space ('archenc list spaces'), or a .json or .yaml file of one.",
    ),
]
Dataset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Choose among the architectures of a data set instead.")
]
Models = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Choose among ONNX files; RUNS names them in 'arch' or 'model'."),
]
Notation = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="How numbers in RUNS and --candidates are read: naslib, index."),
]
Goal = Annotated[
    str | None,
    typer.Option(
        "--objective",
        metavar="NAME:max|min,...",
        help="Columns to predict, params, flops; several give a Pareto set. Default: the only column of "
        "numbers, to be high.",
    ),
]
Candidates = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Choose among these: text (one a line), .csv or .jsonl ('arch')."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the architectures with the columns of RUNS, to be filled in."),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Seed of the predictor, and of candidates that are drawn.")
]


def suggest(
    runs: Runs,
    space: SpaceName = None,
    dataset: Dataset = None,
    models: Models = None,
    notation: Notation = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many architectures to suggest.")] = 10,
    objective: Goal = None,
    candidates: Candidates = None,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Share chosen for being uncertain and perhaps good.")
    ] = 0.0,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask a search strategy instead: 'archenc list strategies'."),
    ] = None,
    out: Out = None,
    as_json: AsJSON = False,
    seed: Seed = 0,
) -> None:
    """What to train next, given what was trained.

    Add their results to the file and give the same command again: that is the whole loop.
    """
    from archenc.search import suggest as engine

    if strategy is not None and explore:
        raise InvalidParameter(
            "--explore goes with no --strategy, as strategies explore by themselves; leave one out"
        )
    source, results = _read(runs, (space, dataset, models), notation, candidates, objective, out)
    if strategy is not None:
        _ask(source, results, strategy, count, seed, out, as_json)
        return
    known = results.costs if results.known else None
    options: dict[str, Any] = {
        "candidates": source.pool,
        "explore": explore,
        "known": known,
        "random_state": seed,
    }
    _finish(source, results, engine.suggest(results.graphs, results.labels, count, **options), out, as_json)


def _ask(
    source: Source, results: Results, strategy: str, count: int, seed: int, out: Path | None, as_json: bool
) -> None:
    """What a search strategy asks for, given the results."""
    import numpy as np

    from archenc.files.reports import text_table
    from archenc.search.search import create_search

    y = results.labels
    if results.known:
        y = np.concatenate([y, results.costs(results.graphs)], axis=1)
    search = create_search(strategy, results.graphs.space, candidates=source.pool, random_state=seed)
    search.tell(results.graphs, y[:, 0] if y.shape[1] == 1 else y)
    numbers = search.ask_numbers(count)
    graphs = search.candidates.graphs(np.array(numbers))
    texts = graphs.space.format(graphs) if source.names is None else [source.names[at] for at in numbers]
    costs = _costs(graphs)
    records = [
        {"rank": at + 1, **{name: int(values[at]) for name, values in costs.items()}, "architecture": text}
        for at, text in enumerate(texts)
    ]
    if out is not None:
        _write(out, results, texts)
    if as_json:
        say(json.dumps({"strategy": strategy, "suggestions": records}, ensure_ascii=False))
        return
    lines = [
        [f"{value:,}" if isinstance(value, int) else value for value in each.values()] for each in records
    ]
    say(f"{strategy}, told of {len(results.graphs)} trainings", "")
    say(*text_table(list(records[0]), lines).split("\n"))
    if out is not None:
        say("", f"{out}: {len(records)} architectures to train")


def rank(
    runs: Runs,
    candidates: Annotated[
        Path, typer.Option(metavar="FILE", help="What to rank: text (one a line), .csv or .jsonl ('arch').")
    ],
    space: SpaceName = None,
    dataset: Dataset = None,
    models: Models = None,
    notation: Notation = None,
    objective: Goal = None,
    out: Out = None,
    as_json: AsJSON = False,
    seed: Seed = 0,
) -> None:
    """Order candidates, given what was trained.

    Those that were trained, or are twins of others, are left out.
    """
    from archenc.search import suggest as engine

    source, results = _read(runs, (space, dataset, models), notation, candidates, objective, out)
    assert source.pool is not None
    count = len(engine.untrained(source.pool, results.graphs))
    if not count:
        raise InvalidParameter(f"every architecture in {candidates} was trained already; give others")
    known = results.costs if results.known else None
    found = engine.suggest(
        results.graphs, results.labels, count, candidates=source.pool, known=known, random_state=seed
    )
    _finish(source, results, found, out, as_json, left_out=len(source.pool) - count)


def _read(
    runs: Path,
    where: tuple[str | None, str | None, Path | None],
    notation: str | None,
    candidates: Path | None,
    objective: str | None,
    out: Path | None,
) -> tuple[Source, Results]:
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        raise InvalidParameter(f"--out {out} should end in .csv or .jsonl; choose another name")
    if out is not None and out.exists():
        raise InvalidParameter(f"--out {out} already exists; choose another name")
    from archenc.commands.suggest_input import find_source, parse_objectives, read_results

    wanted = None if objective is None else parse_objectives(objective)
    source = find_source(*where, runs, notation)
    results = read_results(runs, source, wanted)
    return source.restricted(candidates), results


# -- output --------------------------------------------------------------------------------------------------


def _finish(
    source: Source, results: Results, found: Suggestions, out: Path | None, as_json: bool, left_out: int = 0
) -> None:
    from archenc.search.suggest import trust

    texts = _texts(source, found)
    trusts = {
        objective.name: trust(predictor, results.labels[:, at])
        for at, (objective, predictor) in enumerate(zip(results.predicted, found.predictors, strict=True))
    }
    records = _records(results, found, texts)
    if out is not None:
        _write(out, results, texts)
    if as_json:
        say(
            json.dumps(
                {"predictors": {name: vars(value) for name, value in trusts.items()}, "suggestions": records},
                ensure_ascii=False,
            )
        )
    else:
        _print(trusts, records, left_out)
    for name, value in trusts.items():
        if value.better_than_chance is False:
            say(
                f"archenc: warning: {name} is predicted no better than by chance; this is hardly more than a "
                "draw",
                file=sys.stderr,
            )
    if out is not None and not as_json:
        say("", f"{out}: {len(records)} architectures to train")


def _print(trusts: dict[str, Trust], records: list[dict[str, Any]], left_out: int) -> None:
    say(*(f"{name}: {value}" for name, value in trusts.items()))
    if left_out:
        say(f"left out: {left_out:,} candidates that were trained, or are twins of others")
    say("", *_table(records))


def _texts(source: Source, found: Suggestions) -> list[str]:
    if source.names is not None:
        return [source.names[at] for at in found.positions]
    texts: list[str] = found.graphs.space.format(found.graphs)
    return texts


def _records(results: Results, found: Suggestions, texts: list[str]) -> list[dict[str, Any]]:
    count, signs = len(texts), [objective.sign for objective in results.predicted]
    score, low, high = (
        ends.reshape(count, -1)[:, : len(signs)] * signs for ends in (found.score, found.low, found.high)
    )
    names, costs = [objective.name for objective in results.predicted], _costs(found.graphs)
    return [
        {
            "rank": at + 1,
            "predicted": {name: _rounded(value) for name, value in zip(names, score[at], strict=True)},
            "interval_80": {
                name: sorted(map(_rounded, ends))
                for name, *ends in zip(names, low[at], high[at], strict=True)
            },
            "why": found.reasons[at],
            "close_to_row": int(results.lines[found.nearest[at]]),
            **{name: int(values[at]) for name, values in costs.items()},
            "architecture": texts[at],
        }
        for at in range(count)
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def _costs(graphs: ArchGraphs) -> dict[str, np.ndarray]:
    try:
        costs: dict[str, np.ndarray] = graphs.space.costs(graphs)
    except InvalidParameter:  # the space does not say which network its cells make up
        return {}
    return costs


def _table(records: list[dict[str, Any]]) -> list[str]:
    from archenc.files.reports import text_table

    names = list(records[0]["predicted"])
    costs = [name for name in ("parameters", "flops") if name in records[0]]
    titles = (
        ["predicted", "80 % interval"]
        if len(names) == 1
        else [title for name in names for title in (name, "80 % interval")]
    )
    digits = {name: _digits([record["interval_80"][name] for record in records]) for name in names}
    lines = [
        [
            str(record["rank"]),
            *(text for name in names for text in _numbers(record, name, digits[name])),
            f"{record['why']}, close to row {record['close_to_row']}",
            *(f"{record[name]:,}" for name in costs),
            record["architecture"],
        ]
        for record in records
    ]
    return text_table(["rank", *titles, "why", *costs, "architecture"], lines).split("\n")


def _numbers(record: dict[str, Any], name: str, digits: int) -> tuple[str, str]:
    low, high = record["interval_80"][name]
    return f"{record['predicted'][name]:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"


def _digits(intervals: list[list[float]]) -> int:
    """Decimals that show the narrowest interval, however large or small the labels are."""
    width = min((high - low for low, high in intervals if high > low), default=1.0)
    return min(max(1 - math.floor(math.log10(width / 5)), 0), 12)


def _write(out: Path, results: Results, texts: list[str]) -> None:
    """A table with the columns of the given one, in which everything but the architectures is to be filled
    in.
    """
    from archenc.files.trusted import atomic_write

    empty = "" if out.suffix == ".csv" else None
    records = [{**dict.fromkeys(results.columns, empty), **_cells(results, text)} for text in texts]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    with atomic_write(out) as temporary:
        temporary.write_text(
            csv_text(records) if out.suffix == ".csv" else lines, encoding="utf-8", newline=""
        )


def _cells(results: Results, text: str) -> dict[str, Any]:
    """An architecture as the columns of the results have it: one text, or an adjacency matrix and
    operations.
    """
    if results.column in results.columns:
        return {results.column: text}
    written = json.loads(text)
    return {"adjacency": json.dumps(written["adjacency"]), "operations": json.dumps(written["ops"])}
