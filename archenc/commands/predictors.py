"""``archenc encode``, ``archenc train`` and ``archenc predict``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archenc.commands.options import (
    MAX_SEED,
    Force,
    Notation,
    Settings,
    Simplify,
    check_output,
    check_types,
    parse_settings,
)
from archenc.errors import InvalidParameter
from archenc.files.text import csv_text, say

if TYPE_CHECKING:
    import numpy as np

    from archenc.dataset import ArchDataset


def encode(
    encoder: Annotated[str, typer.Option(help="Name of an encoder.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.npz|.safetensors", help="Where to write encodings, hashes and metadata."),
    ],
    dataset: Annotated[str | None, typer.Option(help="Encode a whole data set.")] = None,
    space: Annotated[str | None, typer.Option(help="Space of the architectures in --input.")] = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Text (one a line), .csv or .jsonl ('arch')."),
    ] = None,
    settings: Settings = None,
    simplify: Simplify = False,
    notation: Notation = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Seed of the weights of a learned encoder.")
    ] = 0,
    force: Force = False,
) -> None:
    """Encode architectures as vectors."""
    check_output(out, force, (".npz", ".safetensors"))
    if (dataset is None) == (space is None) or (space is None) != (input_ is None):
        raise InvalidParameter("give either --dataset NAME, or --space NAME together with --input FILE")
    from archenc.dataset import load_dataset
    from archenc.dataset.rows import parse_architectures
    from archenc.files.version import __version__
    from archenc.registry import ENCODERS, create_encoder, create_space
    from archenc.torch_state import own_state

    if dataset is not None:
        graphs = load_dataset(dataset).graphs
    else:
        assert space is not None
        assert input_ is not None
        graphs = parse_architectures(input_, create_space(space), notation)
    parameters = parse_settings(settings)
    check_types("encoder", ENCODERS.get(encoder), parameters)
    with own_state(seed):
        model = create_encoder(encoder, graphs.space, simplify=simplify, **parameters)
    metadata = {
        "archenc": __version__,
        "encoder": encoder,
        "parameters": parameters,
        "simplify": simplify,
        "seed": seed,
        "space": graphs.space.config(),
        "source": dataset or str(input_),
    }
    encodings = model.encode(graphs)
    _write_arrays(out, {"encodings": encodings, "hashes": graphs.hash()}, metadata)
    say(f"{out}: {encodings.shape[0]:,} architectures x {encodings.shape[1]:,} numbers")


def _write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    import numpy as np
    from safetensors.numpy import save

    from archenc.files.trusted import atomic_write

    text = json.dumps(metadata, sort_keys=True)
    with atomic_write(path) as temporary:
        if path.suffix == ".npz":
            np.savez_compressed(temporary, **arrays, metadata=np.array(text))  # type: ignore[arg-type]
        else:
            # written by Python, as the library's own writing fails with errors that are none of the system's
            temporary.write_bytes(
                save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"archenc": text})
            )


def train(
    dataset: Annotated[str, typer.Option(help="Name of a data set.")],
    size: Annotated[int, typer.Option(min=2, help="Number of training architectures.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to save the predictor.")],
    label: Annotated[
        str | None, typer.Option(help="Label to learn; default: the data set's own choice.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="Another label as side information; repeatable.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Name of an encoder; 'auto' chooses head and loss too.")
    ] = "auto",
    head: Annotated[str, typer.Option(help="Name of a head, for an encoder of yours.")] = "mlp",
    loss: Annotated[str, typer.Option(help="Name of a loss, for an encoder of yours.")] = "hinge",
    simplify: Simplify = False,
    settings: Settings = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Seed of the training set and of the predictor.")
    ] = 0,
    track: Annotated[
        str | None,
        typer.Option(metavar="jsonl|wandb", help="Record each epoch; wandb stays offline by default."),
    ] = None,
    force: Force = False,
) -> None:
    """Train a predictor and print Kendall's tau on the held-out half of the data set.

    Parameters are set by --set epochs=100, --set encoder.NAME=VALUE, --set head.NAME=VALUE or --set
    loss.NAME=VALUE.
    """
    check_output(out, force)
    parameters = _predictor_parameters(parse_settings(settings))
    from archenc.dataset import load_dataset
    from archenc.dataset.splits import halves
    from archenc.files.trusted import write_json
    from archenc.metrics import kendall_tau
    from archenc.predictor import Predictor
    from archenc.registry import ENCODERS, HEADS, LOSSES, normalise
    from archenc.registry.parameters import build
    from archenc.training.tracking import create_tracker

    names = {"encoder": encoder, "head": head, "loss": loss}
    for part, registry in (("encoder", ENCODERS), ("head", HEADS), ("loss", LOSSES)):
        if normalise(names[part]) != "auto":
            check_types(part, registry.get(names[part]), parameters.get(f"{part}_params", {}))
    check_types("predictor", Predictor, parameters)
    parameters = {"simplify": simplify, "random_state": seed, "progress": True, **parameters}
    predictor = build(
        "predictor",
        encoder if normalise(encoder) == "auto" else "+".join(names.values()),
        Predictor,
        encoder,
        head,
        loss,
        **parameters,
    )
    data = load_dataset(dataset, label=label)
    data = data.with_architecture_features(feature) if feature else data
    split = halves(data.labelled_rows(), seed=0)
    rows = split.training_subset(size, seed)
    tracker = create_tracker(
        track, out, {"dataset": dataset, "label": data.label, "size": size, **predictor.get_params()}
    )
    graphs, y = data.graphs[rows], data.y[rows]

    def on_epoch_end(epoch: int, fitted: Any) -> None:
        tracker.log({"train/kendall_tau": fitted.score(graphs, y)}, step=epoch)

    predictor.fit(graphs, y, on_epoch_end=None if track is None else on_epoch_end)
    tau = float(kendall_tau(data.y[split.test], predictor.predict(data.graphs[split.test])))
    tracker.log({"test/kendall_tau": tau}, step=predictor.epochs + 1)
    tracker.finish()
    predictor.save(out)
    write_json(out / "training.json", _provenance(data, split.name, split.digest, size, seed, tau))
    setting = f"{data.name}, {data.label}, split {split.name}, size {size}, seed {seed}"
    say(f"tau {tau:.4f} on {len(split.test):,} held-out architectures ({setting})")
    say(f"saved in {out}; rank others by: archenc predict {shlex.quote(str(out))} --input FILE")


def _predictor_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, value in settings.items():
        part, dot, parameter = name.partition(".")
        if not dot and not name.endswith("_params"):
            parameters[name] = value
        elif parameter and part in ("encoder", "head", "loss"):
            parameters.setdefault(f"{part}_params", {})[parameter] = value
        else:
            raise InvalidParameter(
                f"--set {name}=... belongs to no part of a predictor; write encoder.NAME, head.NAME or "
                "loss.NAME"
            )
    return parameters


def _provenance(
    data: ArchDataset, split: str, split_digest: str, size: int, seed: int, tau: float
) -> dict[str, Any]:
    return {
        "dataset": data.name,
        "label": data.label,
        "split": {"name": split, "digest": split_digest},
        "size": size,
        "seed": seed,
        "test": {"kendall_tau": tau if tau == tau else None},
    }


def predict(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What 'archenc train --out' wrote.")],
    input_: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="Text (one a line), .csv or .jsonl ('arch').")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write a CSV file instead of printing.")
    ] = None,
    notation: Notation = None,
    force: Force = False,
) -> None:
    """Rank architectures, best first: rank, score, architecture."""
    if out is not None:
        check_output(out, force, (".csv",))
    import numpy as np

    from archenc.dataset.rows import parse_architectures
    from archenc.files.trusted import atomic_write
    from archenc.predictor import Predictor

    predictor = Predictor.load(folder)
    graphs = parse_architectures(input_, predictor.space_, notation or predictor.notation)
    scores = predictor.predict(graphs)
    names = graphs.space.format(graphs)
    ranks = enumerate(np.argsort(-scores, kind="stable"), 1)
    rows = [{"rank": rank, "score": repr(float(scores[at])), "architecture": names[at]} for rank, at in ranks]
    if out is None:
        sys.stdout.write(csv_text(rows, delimiter="\t"))
        return
    with atomic_write(out) as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8", newline="")
    say(f"{out}: {len(rows):,} architectures ranked")
