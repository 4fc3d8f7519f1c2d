"""``archenc draw``: pictures of architectures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.errors import InvalidParameter
from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.graphs import ArchGraphs

MOST = 100
"""Architectures in one picture."""


def draw(
    architectures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARCH...]", help="Architectures as text, or files of them (one a line, .csv, .jsonl)."
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Their search space ('archenc list spaces'), or a file of one."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Draw architectures of a data set instead.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="N,N", help="Which of the data set, from 0; the first by default.")
    ] = None,
    notation: Annotated[
        str | None, typer.Option(metavar="NAME", help="How numbers are read: naslib, index.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.svg", help="Where to write the picture.")] = Path(
        "architectures.svg"
    ),
) -> None:
    """Draw architectures, inputs left and output right, with operations coloured by what they are.

    Several are drawn beside and below each other in one picture.
    """
    if out.suffix.lower() != ".svg":
        raise InvalidParameter(f"--out {out} should end in .svg, as a picture is one; choose another name")
    from archenc.graphs.drawing import picture

    if dataset is not None:
        if architectures or space is not None or notation is not None:
            raise InvalidParameter(
                "--dataset draws its own architectures; leave out ARCH, --space and --notation, or that"
            )
        numbers = _numbers("0" if rows is None else rows)
        graphs, titles = _of_dataset(dataset, numbers), [f"{dataset}, row {number}" for number in numbers]
    else:
        if rows is not None:
            raise InvalidParameter("--rows are those of a data set; give --dataset NAME, or leave them out")
        graphs = _given(architectures or [], space, notation)
        titles = graphs.space.format(graphs)
    if len(graphs) > MOST:
        raise InvalidParameter(f"{len(graphs):,} architectures are too many for a picture; give up to {MOST}")
    picture(graphs, titles if len(graphs) > 1 else []).save(out)
    say(str(out))


def _numbers(rows: str) -> list[int]:
    numbers = [part.strip() for part in rows.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in numbers):
        raise InvalidParameter(f"--rows {rows!r:.80} are no whole numbers; write for example --rows 0,5,7")
    return [int(number) for number in numbers]


def _of_dataset(name: str, numbers: list[int]) -> ArchGraphs:
    from archenc.dataset import load_dataset

    return load_dataset(name).graphs[numbers]


def _given(texts: list[str], space: str | None, notation: str | None) -> ArchGraphs:
    if not texts or space is None:
        raise InvalidParameter(
            "there is nothing to draw; give ARCH and --space NAME, or --dataset NAME with --rows"
        )
    from archenc.commands.suggest_input import read_space
    from archenc.dataset.rows import parse_architectures
    from archenc.graphs import as_graphs, concatenate

    chosen = read_space(space)
    parts = [
        parse_architectures(Path(text), chosen, notation)
        if _is_file(text)
        else as_graphs([text], chosen, notation)
        for text in texts
    ]
    return concatenate(parts)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # an architecture's text can be longer than any path
        return False
