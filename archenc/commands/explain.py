"""``archenc explain``: why a saved predictor prefers some architectures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.commands.options import MAX_SEED, Force, Notation, check_output
from archenc.errors import InvalidParameter
from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.graphs import ArchGraphs
    from archenc.predictor import Predictor
    from archenc.search.explanation import Explanation


def explain(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What 'archenc train --out' wrote.")],
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Explain on these: text (one a line), .csv or .jsonl ('arch'). Default: the whole space, or "
            "10,000 random ones.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Explain on the architectures of a data set.")
    ] = None,
    share: Annotated[float, typer.Option(help="Which share of them counts as the best.")] = 0.01,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write text.md, best.svg and motifs.svg there, too."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    notation: Notation = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of what is drawn at random.")] = 0,
    force: Force = False,
) -> None:
    """Why does a predictor prefer these? What its best share, and which choices its scores depend on.

    Operations and places are exchanged among architectures, and what that costs is their importance; motifs
    and numbers are compared with the scores.
    """
    if input_ is not None and dataset is not None:
        raise InvalidParameter("--input and --dataset both say what to explain on; give one of them")
    if notation is not None and input_ is None:
        raise InvalidParameter("--notation says how numbers in --input are read; give both, or leave it out")
    if out is not None:
        check_output(out, force)
    from archenc.predictor import Predictor
    from archenc.search import explain as engine

    predictor = Predictor.load(folder)
    graphs = _given(predictor, input_, dataset, notation)
    found = engine.explain(predictor, graphs, share=share, random_state=seed)
    if out is not None:
        _write(found, out)
    say(*([json.dumps(found.to_dict(), ensure_ascii=False)] if as_json else str(found).split("\n")))


def _given(
    predictor: Predictor, input_: Path | None, dataset: str | None, notation: str | None
) -> ArchGraphs | None:
    from archenc.dataset import load_dataset
    from archenc.dataset.rows import parse_architectures

    if dataset is not None:
        return load_dataset(dataset).graphs
    if input_ is not None:
        return parse_architectures(input_, predictor.space_, notation or predictor.notation)
    return None


def _write(found: Explanation, out: Path) -> None:
    """The text, and pictures of the best architectures and of the strongest motifs."""
    from archenc.files.trusted import atomic_write

    with atomic_write(out / "text.md") as temporary:
        temporary.write_text(found.markdown(), encoding="utf-8", newline="\n")
    found.plot().save(out / "best.svg")
    found.plot_motifs().save(out / "motifs.svg")
