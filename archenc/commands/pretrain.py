"""``archenc pretrain``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archenc.commands.options import MAX_SEED, Settings, Simplify, check_types, parse_settings
from archenc.errors import InvalidParameter
from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.graphs import ArchGraphs


def pretrain(
    encoder: Annotated[str, typer.Argument(help="Name of an encoder that can be pretrained.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="A new folder, or that of an interrupted pretraining to go on with."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Learn from the architectures of this data set; its labels are not used."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Learn from --limit random architectures of this search space instead.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data.", show_default="the encoder's")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Examples in a step.", show_default="the encoder's")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="the encoder's")] = None,
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Only so many architectures, drawn at random.")
    ] = None,
    settings: Settings = None,
    simplify: Simplify = False,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Seed of weights, split, order and noise.")
    ] = 0,
    device: Annotated[str, typer.Option(help="Where it runs: cpu or cuda.")] = "cpu",
    tracker: Annotated[
        str | None,
        typer.Option(metavar="jsonl|wandb", help="Record each epoch; wandb stays offline by default."),
    ] = None,
) -> None:
    """Pretrain an encoder without accuracies: weights, embeddings of all architectures and a card.

    The same command goes on with an interrupted pretraining after its last whole epoch.
    """
    from archenc.pretraining import pretrain as run_pretraining
    from archenc.pretraining.folder import CARD
    from archenc.registry import ENCODERS
    from archenc.training.tracking import create_tracker

    parameters = parse_settings(settings)
    check_types("encoder", ENCODERS.get(encoder), parameters)
    schedule = {
        name: value
        for name, value in {"epochs": epochs, "batch_size": batch_size, "lr": lr}.items()
        if value is not None
    }
    source = {"dataset": dataset, "space": space, "limit": limit}
    graphs = _architectures(dataset, space, limit, seed)
    track = create_tracker(
        tracker,
        out,
        {"encoder": encoder, **source, "simplify": simplify, "seed": seed, **schedule, **parameters},
    )
    card = run_pretraining(
        encoder,
        graphs,
        out,
        encoder_params=parameters,
        simplify=simplify,
        dataset=dataset,
        command=_command(encoder, {**source, **schedule, "seed": seed}, settings or [], simplify),
        seed=seed,
        device=device,
        tracker=track,
        show_progress=True,
        **schedule,
    )
    track.finish()
    say(_summary(card))
    folder = shlex.quote(str(out))
    say(
        f"saved in {folder} ({CARD} says how); use it by archenc.load_pretrained, archenc.load_embeddings or "
        "Predictor(pretrained=...)"
    )


def _architectures(dataset: str | None, space: str | None, limit: int | None, seed: int) -> ArchGraphs:
    """All architectures of a data set, ``limit`` of them, or so many of a space."""
    from archenc.dataset import load_dataset
    from archenc.registry import create_space

    if (dataset is None) == (space is None) or (space is not None and limit is None):
        raise InvalidParameter(
            "an encoder is pretrained on a data set or on random architectures; give --dataset NAME, or "
            "--space NAME --limit N"
        )
    if dataset is None:
        return create_space(str(space)).sample(int(limit or 0), seed)
    graphs = load_dataset(dataset).graphs
    if limit is None or limit >= len(graphs):
        return graphs
    import numpy as np

    return graphs[np.random.RandomState(seed).permutation(len(graphs))[:limit]]


def _command(encoder: str, options: dict[str, Any], settings: list[str], simplify: bool) -> str:
    """What makes the same weights again; the folder is left to the user."""
    given = [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    parameters = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(
        [
            "archenc",
            "pretrain",
            encoder,
            *given,
            *parameters,
            *(["--simplify"] if simplify else []),
            "--out",
            "FOLDER",
        ]
    )


def _summary(card: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in card["figures"].items())
    seconds = sum(card["seconds"].values())
    return (
        f"{figures} ({card['architectures']:,} architectures, {len(card['history'])} epochs, {seconds:.0f} s)"
    )
