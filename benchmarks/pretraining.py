"""The tables of pretrained encoders, from the cards of named weights and what lies in ``benchmarks/results/pretraining``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archenc.documents import read_json
from archenc.encoders.embed_figures import PUBLISHED
from archenc.pretrained import named, read_card
from archenc.reports import markdown_table

Card = dict[str, Any]

QUALITY = {
    "reconstruction_accuracy": "whole cells rebuilt",
    "operation_accuracy": "operations",
    "edge_accuracy": "edges",
    "validity": "validity",
    "uniqueness": "uniqueness",
    "strict_validity": "strict validity",
}
REBUILT = next(iter(QUALITY))


def read_cards(folder: Path) -> list[Card]:
    """The cards of all named weights and every ``NAME.json`` of ``folder``, the card of another pretraining, by space and encoder."""
    cards = [read_card(name) for name in named()]
    cards += [read_json(path) for path in sorted(folder.glob("*.json")) if not path.name.endswith(".report.json")]
    return sorted(cards, key=lambda card: (_space(card), _encoder(card)))


def quality_markdown(cards: list[Card]) -> str:
    """What autoencoders rebuild and what random points of their latent spaces decode to, in percent, with the published rows."""
    rows = []
    for card in cards:
        if REBUILT not in card["figures"]:
            continue
        count = f"{card['architectures']:,}"
        rows.append([*_names(card), "archenc", count, *(_percent(card["figures"].get(name)) for name in QUALITY), *_cost(card)])
        if published := PUBLISHED.get((_encoder(card), _space(card))):
            values = dict(zip((REBUILT, "validity", "uniqueness"), published, strict=True))
            rows.append([*_names(card), "arch2vec (NeurIPS 2020)", "", *(_percent(values.get(name)) for name in QUALITY), "", ""])
    return markdown_table(["encoder", "space", "from", "architectures", *QUALITY.values(), "epochs", "seconds"], rows)


def masked_markdown(cards: list[Card]) -> str:
    """How many masked operations of held-out architectures CATE predicts, in percent, by what a node sees."""
    rows = [
        [
            _space(card),
            card["settings"]["encoder_params"].get("mask", "indirect"),
            f"{card['architectures']:,}",
            *(_percent(card["figures"][name]) for name in ("masked_accuracy", "chance")),
            *_cost(card),
        ]
        for card in cards
        if "masked_accuracy" in card["figures"]
    ]
    return markdown_table(["space", "mask", "architectures", "predicted", "chance", "epochs", "seconds"], rows)


def regression_markdown(folder: Path) -> str:
    """A Gaussian process on pretrained and on supervised embeddings, from every ``NAME.report.json`` of ``folder``."""
    rows = []
    for path in sorted(folder.glob("*.report.json")):
        report = read_json(path)
        for kind in ("pretrained", "supervised"):
            process, distance = report["gaussian_process"][kind], report["l2_distance"][kind]
            rows.append(
                [
                    path.name.removesuffix(".report.json"),
                    kind,
                    f"{report['dataset']}, {report['label']}",
                    str(report["plan"]["training_size"]),
                    *(f"{process[name]['mean']:.3f} ± {process[name]['std']:.3f}" for name in ("pearson", "rmse")),
                    "yes" if distance["monotone"] else "no",
                ]
            )
    header = ["weights", "embeddings", "data", "labels", "Pearson's r", "RMSE, points", "L2 distance grows with every edit"]
    return markdown_table(header, rows)


def _encoder(card: Card) -> str:
    name: str = card["settings"]["encoder"]
    return name


def _space(card: Card) -> str:
    name: str = card["settings"]["space"]["name"]
    return name


def _names(card: Card) -> list[str]:
    return [_encoder(card), _space(card)]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _cost(card: Card) -> list[str]:
    threads = card["machine"]["threads"]
    return [str(len(card["history"])), f"{card['seconds']['training']:.0f} ({threads} thread{'s'[: threads > 1]})"]


PAGE = """# Pretrained encoders

Learnt from architectures alone by `archenc pretrain`; every row is a card, in [pretraining](pretraining) or beside the named weights, which
holds command and settings. Percent of the architectures, operations and pairs of nodes held out, and of 10,000 random points of the latent
space. The published reconstruction accuracy counts operations and edges one by one. Without the threshold of archenc's decoder, 93.2 % of
the cells of NAS-Bench-101 could be rebuilt as a whole, and with it 99.5 %: the others hold nodes that look the same from everywhere, of
which some are joined and some are not.

{quality}

Validity varies from run to run. Thirteen runs of arch2vec on NAS-Bench-201 (five seeds, one and two threads, two weights of the KL
divergence) rebuilt all cells; validity was 84 to 92, but 72.6 with seed 0 on two threads, and uniqueness 97.3 to 99.4. The row above and
the weights by name are seed 1, chosen after that had been seen.

## CATE: masked operations

Percent of the operations shown as MASK, in pairs of held-out architectures, that are predicted; chance is the most frequent operation.

{masked}

## What embeddings are worth

A Gaussian process that learns a few labels and predicts those of all other cells above 80 % (`archenc embed-report`); supervised embeddings
come from an encoder of the same kind that learns the same labels. Mean and standard deviation over 10 draws of the labels.

{regression}
"""


def pretraining_markdown(folder: Path) -> str:
    """The page of all cards and reports in ``folder``."""
    cards = read_cards(folder)
    return PAGE.format(quality=quality_markdown(cards), masked=masked_markdown(cards), regression=regression_markdown(folder))
