"""``archenc proxies``: zero-cost proxies of architectures, computed from untrained networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.commands.options import MAX_SEED, Force, Notation, check_output
from archenc.errors import InvalidParameter
from archenc.files.text import csv_text, say

if TYPE_CHECKING:
    import numpy as np

    from archenc.dataset import ArchDataset
    from archenc.graphs import ArchGraphs
    from archenc.proxies import ProxyScores


def proxies(
    out: Annotated[
        Path, typer.Option(metavar="FILE.csv|.npz", help="Where to write a row for each architecture.")
    ],
    dataset: Annotated[str | None, typer.Option(help="Architectures of a data set.")] = None,
    space: Annotated[str | None, typer.Option(help="Space of the architectures in --input.")] = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Text (one a line), .csv or .jsonl ('arch')."),
    ] = None,
    notation: Notation = None,
    names: Annotated[
        str | None, typer.Option("--proxies", metavar="NAME,NAME", help="Which; all by default.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="N,N", help="Of weights and images; scores are means over them.")
    ] = "0,1",
    count: Annotated[
        int | None, typer.Option(min=1, help="So many random architectures; all by default.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="N,N", help="Just these architectures, numbered from 0.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Which random ones --count draws.")] = 0,
    images: Annotated[str, typer.Option(metavar="photos|digits|noise", help="What they see.")] = "photos",
    batch: Annotated[int, typer.Option(help="How many images.")] = 32,
    channels: Annotated[int | None, typer.Option(help="Of the networks; small by default.")] = None,
    cells: Annotated[int | None, typer.Option(help="Of each stage; few by default.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels.")] = None,
    force: Force = False,
) -> None:
    """Score architectures without training: zero-cost proxies.

    What was computed is kept in the cache, so that the same command goes on where it was killed. Of a data
    set with labels, Kendall's tau of each proxy alone is shown. Files serve as side information: each row
    begins with the text of its architecture.
    """
    check_output(out, force, (".csv", ".npz"))
    if (dataset is None) == (space is None) or (space is None) != (input_ is None):
        raise InvalidParameter("give either --dataset NAME, or --space NAME together with --input FILE")
    if rows is not None and count is not None:
        raise InvalidParameter("--count and --rows both say which architectures; give one of them")
    wanted = None if names is None else [name.strip() for name in names.split(",") if name.strip()]
    seed_list = _whole_numbers("seeds", seeds)
    from archenc.dataset import load_dataset
    from archenc.dataset.rows import parse_architectures
    from archenc.proxies import Setting, compute
    from archenc.registry import create_space

    data = None if dataset is None else load_dataset(dataset)
    if data is not None:
        graphs = data.graphs
    else:
        assert space is not None
        assert input_ is not None
        graphs = parse_architectures(input_, create_space(space), notation)
    at = _chosen(len(graphs), count, rows, seed)
    graphs = graphs[at]
    setting = Setting(images, batch, channels, cells, resolution)  # type: ignore[arg-type]
    scores = compute(graphs, wanted, seeds=seed_list, setting=setting, progress=True)
    _write(out, graphs, scores)
    lacking = f"{scores.missing_networks:,} have a proxy without a number" if scores.missing_networks else ""
    say(
        f"{out}: {len(graphs):,} architectures x {len(scores.names)} proxies; {scores.different:,} of them "
        f"differ in what they compute, and {scores.computed:,} networks were run"
        + (f"; {lacking}" if lacking else "")
    )
    if data is not None:
        _show_tau(data, at, scores)


def _whole_numbers(option: str, text: str) -> list[int]:
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 11 for part in numbers):
        raise InvalidParameter(
            f"--{option} {text!r:.80} are no whole numbers; write for example --{option} 0,1"
        )
    return [int(number) for number in numbers]


def _chosen(total: int, count: int | None, rows: str | None, seed: int) -> np.ndarray:
    import numpy as np

    if rows is not None:
        return np.array(_whole_numbers("rows", rows))
    if count is None or count >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, count, replace=False))


def _write(path: Path, graphs: ArchGraphs, scores: ProxyScores) -> None:
    import numpy as np

    from archenc.files.trusted import atomic_write

    texts, values = graphs.space.format(graphs), scores.values
    with atomic_write(path) as temporary:
        if path.suffix == ".npz":
            arrays = {
                "arch": np.array(texts),
                "hashes": graphs.hash(),
                "values": values,
                "metadata": np.array(
                    json.dumps(
                        {"space": graphs.space.config(), "proxies": list(scores.names)}, sort_keys=True
                    )
                ),
            }
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
            return
        rows = [
            {"arch": text, **{name: _number(value) for name, value in zip(scores.names, row, strict=True)}}
            for text, row in zip(texts, values.tolist(), strict=True)
        ]
        temporary.write_text(csv_text(rows), encoding="utf-8", newline="")


def _number(value: float) -> str:
    """Nothing for NaN, which readers of tables take for a gap."""
    return repr(value) if value == value else ""


def _show_tau(data: ArchDataset, at: np.ndarray, scores: ProxyScores) -> None:
    import numpy as np

    from archenc.metrics import kendall_tau

    labels = data.y[at]
    known = np.isfinite(labels)
    if known.sum() < 2:
        return
    say(f"Kendall's tau with {data.label} (no number counts as last):")
    for name, column in zip(scores.names, scores.values.T, strict=True):
        ranked = np.where(np.isfinite(column), column, -np.finfo(np.float64).max)
        say(f"  {name:18} {float(kendall_tau(labels[known], ranked[known])):.3f}")
