"""``archenc embed-report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archenc.commands.options import MAX_SEED, Force, check_output
from archenc.errors import InvalidParameter
from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset


def embed_report(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="What 'archenc pretrain --out' wrote, or a name of 'list pretrained'."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set with labels of the same space.", show_default="that of the pretraining"),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Label to predict.", show_default="the data set's, or its test accuracy"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to write the report.", show_default="FOLDER-report"),
    ] = None,
    map_: Annotated[
        str, typer.Option("--map", metavar="pca|tsne|umap", help="How the map is drawn.")
    ] = "pca",
    size: Annotated[int, typer.Option(min=2, help="Labelled architectures to learn from.")] = 250,
    repeats: Annotated[int, typer.Option(min=1, help="How often, from other architectures each time.")] = 10,
    above: Annotated[
        float, typer.Option(help="Judge predictions on architectures with a higher label.")
    ] = 80.0,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of everything that is drawn.")] = 0,
    force: Force = False,
) -> None:
    """Analyse pretrained embeddings beside supervised ones: report.json, figures and index.html."""
    out = Path(f"{Path(folder)}-report") if out is None else out
    check_output(out, force)
    import archenc
    from archenc.benchmarks.embeddings.analyses import Plan, analyse
    from archenc.benchmarks.embeddings.figures import write_report
    from archenc.pretraining.weights import load_pretrained, read_card

    plan = Plan(size, repeats, above, map_, seed)  # type: ignore[arg-type]
    card, encoder = read_card(folder), load_pretrained(folder)
    data = _labelled(dataset or card["dataset"], label)
    options = {
        "dataset": data.name,
        "label": data.label,
        "map": map_,
        "size": size,
        "repeats": repeats,
        "above": above,
        "seed": seed,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    setting: dict[str, Any] = {
        "pretrained": folder,
        "encoder": card["settings"]["encoder"],
        "pretrained_on": f"{card['architectures']:,} architectures"
        + (f" of {card['dataset']}" if card["dataset"] else ""),
        "dataset": data.name,
        "label": data.label,
        "dataset_digest": data.digest,
        "archenc": archenc.__version__,
        "command": shlex.join(["archenc", "embed-report", folder, *words]),
    }
    say(
        *write_report(
            analyse(encoder, card["settings"], data, plan, show_progress=True), card, setting, out
        ).split("\n")
    )
    say(f"written to {shlex.quote(str(out))}; open its index.html")


def _labelled(name: str | None, label: str | None) -> ArchDataset:
    """The data set, with ``label`` selected, or else its own choice; test accuracy in place of validation
    accuracy.
    """
    import archenc

    if name is None:
        raise InvalidParameter(
            "the card does not say on which data set the encoder was pretrained; give --dataset NAME"
        )
    data = archenc.load_dataset(name, label=label)
    if not data.label:
        raise InvalidParameter(
            f"the data set {data.name!r} has no label to predict; give --dataset of one of the same space, "
            "or --label"
        )
    tested = data.label.replace("/val_accuracy@", "/test_accuracy@")
    return data.with_label(tested) if label is None and tested in data.labels else data
