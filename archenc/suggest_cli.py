"""``archenc suggest`` and ``archenc rank``: what to train next, given a file of what was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archenc.errors import InvalidParameter, InvalidTable, UnknownName
from archenc.text import csv_text, say

if TYPE_CHECKING:
    import numpy as np

    from archenc.dataset import ArchDataset
    from archenc.graphs import ArchGraphs
    from archenc.spaces.base import Space

Runs = Annotated[Path, typer.Argument(metavar="RUNS", help="What was trained: a .csv or .jsonl file with a column 'arch' and labels.")]
SpaceName = Annotated[str, typer.Option("--space", metavar="NAME", help="The search space; 'archenc list spaces' lists them.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column to maximise; default: the only one of numbers.")]
Minimise = Annotated[bool, typer.Option("--minimise", help="Smaller labels are better.")]
Candidates = Annotated[Path | None, typer.Option(metavar="FILE", help="Choose among these: text (one a line), .csv or .jsonl ('arch').")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the architectures in the format of RUNS, labels left empty.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the predictor, and of candidates that are drawn.")]


def suggest(
    runs: Runs,
    space: SpaceName,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many architectures to suggest.")] = 10,
    label: Label = None,
    minimise: Minimise = False,
    candidates: Candidates = None,
    explore: Annotated[float, typer.Option(min=0, max=1, help="Share chosen for being uncertain and perhaps good.")] = 0.0,
    out: Out = None,
    as_json: AsJSON = False,
    seed: Seed = 0,
) -> None:
    """Say which architectures to train next, given those that were trained.

    Add their results to the file and give the same command again: that is the whole loop.
    """
    from archenc import suggest as engine

    trained, values = _read(runs, space, label, minimise, out)
    given = None if candidates is None else _candidates(trained.space, candidates)
    found = engine.suggest(trained.graphs, values, count, candidates=given, explore=explore, random_state=seed)
    _finish(trained, found, out, as_json, minimise)


def rank(
    runs: Runs,
    space: SpaceName,
    candidates: Annotated[Path, typer.Option(metavar="FILE", help="What to rank: text (one a line), .csv or .jsonl ('arch').")],
    label: Label = None,
    minimise: Minimise = False,
    out: Out = None,
    as_json: AsJSON = False,
    seed: Seed = 0,
) -> None:
    """Order candidates by what the trained architectures tell, best first; trained ones and twins are left out."""
    from archenc import suggest as engine

    trained, values = _read(runs, space, label, minimise, out)
    pool = engine.without_twins(_candidates(trained.space, candidates), trained.graphs)
    if not len(pool):
        raise InvalidParameter(f"every architecture in {candidates} was trained already; give others")
    found = engine.suggest(trained.graphs, values, len(pool), candidates=pool, random_state=seed)
    _finish(trained, found, out, as_json, minimise)


# -- input -----------------------------------------------------------------------------------------------------------


def _read(runs: Path, space: str, label: str | None, minimise: bool, out: Path | None) -> tuple[ArchDataset, np.ndarray]:
    import numpy as np

    import archenc

    if out is not None and out.exists():
        raise InvalidParameter(f"--out {out} already exists; choose another name")
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        raise InvalidParameter(f"--out {out} should end in .csv or .jsonl; choose another name")
    trained = archenc.load_dataset("table", path=runs, space=space, duplicates="mean")
    if label is None and not trained.label:
        raise UnknownName(f"{runs} has the columns {', '.join(trained.labels):.200}; say by --label which one to maximise")
    trained = trained if label is None else trained.with_label(label)
    if len(trained) < 2:
        raise InvalidTable(f"{runs} holds {len(trained)} trained architecture; at least 2 are needed to tell what is better")
    return trained, np.negative(trained.y) if minimise else trained.y


def _candidates(space: Space, path: Path) -> ArchGraphs:
    from archenc.rows import parse_rows, read_lines, read_rows, table_kind

    rows: list[tuple[int, Any]] = []
    if table_kind(path) in (".csv", ".jsonl"):
        rows += [(line, row.get("arch")) for line, row in read_rows(path)]
    else:
        rows += read_lines(path)
    if not rows:
        raise InvalidTable(f"{path} holds no architecture; write one a line")
    return parse_rows(path, space, rows)


# -- output ----------------------------------------------------------------------------------------------------------


def _finish(trained: ArchDataset, found: Any, out: Path | None, as_json: bool, minimise: bool) -> None:
    from archenc.suggest import honesty

    sentence, informative = honesty(found.predictor, len(trained))
    sign = -1.0 if minimise else 1.0
    records = _records(trained, found, sign)
    if out is not None:
        _write(out, trained, [record["architecture"] for record in records])
    if as_json:
        say(json.dumps({"predictor": sentence, "better_than_chance": informative, "suggestions": records}, ensure_ascii=False))
    else:
        say(f"{trained.label}: {sentence}", "", *_table(records))
    if not informative:
        say("archenc: warning: that is no better than chance; these architectures are hardly more than a draw", file=sys.stderr)
    if out is not None and not as_json:
        say("", f"{out}: {len(records)} architectures to train")


def _records(trained: ArchDataset, found: Any, sign: float) -> list[dict[str, Any]]:
    names, texts = trained.space.format(trained.graphs), trained.space.format(found.graphs)
    costs = _costs(found.graphs)
    return [
        {
            "rank": at + 1,
            "predicted": round(sign * float(found.score[at]), 4),
            "interval_80": sorted(round(sign * float(end[at]), 4) for end in (found.low, found.high)),
            "why": f"{found.reasons[at]}, close to trained architecture {int(found.nearest[at]) + 1}",
            **{name: int(values[at]) for name, values in costs.items()},
            "architecture": texts[at],
            "closest_trained": names[int(found.nearest[at])],
        }
        for at in range(len(texts))
    ]


def _costs(graphs: ArchGraphs) -> dict[str, np.ndarray]:
    try:
        return graphs.space.costs(graphs)
    except InvalidParameter:  # the space does not say which network its cells make up
        return {}


def _table(records: list[dict[str, Any]]) -> list[str]:
    from archenc.reports import text_table

    costs = [name for name in ("parameters", "flops") if name in records[0]]
    header = ["rank", "predicted", "80 % interval", *costs, "why", "architecture"]
    lines = [
        [
            str(record["rank"]),
            f"{record['predicted']:.2f}",
            "{:.2f} to {:.2f}".format(*record["interval_80"]),
            *(f"{record[name]:,}" for name in costs),
            record["why"],
            record["architecture"],
        ]
        for record in records
    ]
    return text_table(header, lines).split("\n")


def _write(out: Path, trained: ArchDataset, texts: list[str]) -> None:
    """A table with the columns of the given one, in which the labels are to be filled in."""
    from archenc.files import atomic_write

    records = [{"arch": text, **dict.fromkeys(trained.labels, "")} for text in texts]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    with atomic_write(out) as temporary:
        temporary.write_text(csv_text(records) if out.suffix == ".csv" else lines, encoding="utf-8", newline="")
