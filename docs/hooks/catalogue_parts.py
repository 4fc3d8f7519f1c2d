"""Encoders, heads and losses as pages of facts."""

from __future__ import annotations

import csv
import inspect
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from tables import code, codes, link, paper, parameters, summary, table, text

import archenc
from archenc.encoder import Encoder
from archenc.errors import ArchencError
from archenc.heads.base import NeuralHead
from archenc.losses import ListwiseLoss, PairwiseLoss, PointwiseLoss
from archenc.pretraining import pretrainable_encoders
from archenc.pretraining.weights import read_card
from archenc.registry import ENCODERS, HEADS, LOSSES
from archenc.spaces.base import Space
from archenc.testing import registered_spaces

LEADERBOARD = Path(__file__).parents[2] / "benchmarks" / "results" / "leaderboard.csv"
FEW = range(36, 79)
"""Numbers of labels whose runs say what a fit costs."""
COSTS = ((2, "low"), (10, "medium"), (float("inf"), "high"))
CHOICES = ("kind", "form", "mask")
"""Parameters that make one encoder several."""


# -- encoders ------------------------------------------------------------------------------------------------


def encoders() -> str:
    """The page of encoders."""
    classes = {name: ENCODERS.get(name) for name in ENCODERS.names()}
    overview = table(
        ("encoder", "what it is", "twins alike", "reads", "length", "weights", "cost", "spaces"),
        (_overview(name, found) for name, found in classes.items()),
    )
    return "\n\n".join(
        [
            "# Encoders",
            "An encoder maps each architecture of a space to a vector. *Fixed* encodings have nothing to "
            "learn; *learned* ones are trained with a head; *pretrained* ones can also learn from "
            "architectures alone, and a number in brackets says for how many tables weights come with "
            "archenc. *Twins alike*: isomorphic architectures get the same vector. *Length* and *weights* "
            "(trainable numbers) are those of the defaults on NAS-Bench-201, or on HW-GPT-Bench where only "
            "lists of choices are taken.",
            f"*Cost* is that of a fit with {FEW[0]} to {FEW[-1]} labels, the median over all committed runs "
            "of methods with this encoder: low is below 2 seconds, medium below 10, high above, on a thread; "
            "empty is not measured. *Spaces* counts the registered spaces that it accepts as they are.",
            overview,
            *(_encoder(name, found) for name, found in classes.items()),
        ]
    )


def _space(name: str) -> Space:
    """NAS-Bench-201, or HW-GPT-Bench for an encoder that only takes lists of choices."""
    refused = "nasbench201" in _refusals(name)
    return archenc.create_space("hw-gpt" if refused else "nasbench201")


def _overview(name: str, found: type[Encoder]) -> tuple[str, ...]:
    encoder = archenc.create_encoder(name, _space(name))
    weights = sum(weight.numel() for weight in encoder.parameters() if weight.requires_grad)
    spaces = len(registered_spaces())
    return (
        f"[{name}](#{name})",
        _nature(name, found),
        "yes" if encoder.invariant else "no",
        _reads(encoder),
        f"{encoder.dim:,}",
        f"{weights:,}" if weights else "",
        _cost(name),
        f"{spaces - len(_refusals(name))}/{spaces}",
    )


def _nature(name: str, found: type[Encoder]) -> str:
    if found.fixed:
        return "fixed"
    weights = [card for card in _cards() if card["settings"]["encoder"] == name]
    if name not in pretrainable_encoders():
        return "learned"
    return f"learned, pretrained ({len(weights)})" if weights else "learned, pretrained"


@cache
def _cards() -> list[dict[str, Any]]:
    return [read_card(name) for name in archenc.list_pretrained()]


def _reads(encoder: Encoder) -> str:
    return {"node": "nodes", "edge": "edges", None: "as in the space"}[type(encoder).form or encoder.form]


@cache
def _seconds() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    if LEADERBOARD.is_file():
        with LEADERBOARD.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if int(row["size"]) in FEW and row["encoder"] and row["fit_seconds"]:
                    found.setdefault(row["encoder"], []).append(float(row["fit_seconds"]))
    return found


def _cost(name: str) -> str:
    measured = _seconds().get(name)
    if not measured:
        return ""
    seconds = median(measured)
    return f"{next(word for most, word in COSTS if seconds < most)} ({seconds:.1f} s)"


@cache
def _refusals(name: str) -> dict[str, str]:
    """The registered spaces that the encoder refuses, with the reasons."""
    refused = {}
    for space_name, space in registered_spaces().items():
        try:
            with torch.device("meta"):  # nothing is computed
                archenc.create_encoder(name, space)
        except ArchencError as error:
            refused[space_name] = str(error)
    return refused


def _encoder(name: str, found: type[Encoder]) -> str:
    refused: dict[str, list[str]] = {}
    for space, reason in _refusals(name).items():
        refused.setdefault(reason.replace(f"the space {space!r}", "these spaces"), []).append(space)
    parts = [f"## {text(name)}", f"{summary(found)} {link(found)}"]
    if found.paper:
        parts.append(f"Paper: {paper(found.paper, inspect.getdoc(found))}")
    if forms := _forms(name, found):
        parts.append(table(("form", "length on NAS-Bench-201"), forms))
    parts += [f"Not for {codes(spaces)}: {text(reason)}." for reason, spaces in refused.items()]
    return "\n\n".join([*parts, parameters(found)])


def _forms(name: str, found: type[Encoder]) -> list[tuple[str, str]]:
    """The encoder by each of the choices that make it another one."""
    space, rows = _space(name), []
    hints = get_type_hints(found.__init__, include_extras=True)
    for parameter in CHOICES:
        for value in _literals(hints.get(parameter)):
            try:
                length = f"{archenc.create_encoder(name, space, **{parameter: value}).dim:,}"
            except ArchencError as error:
                length = text(error)
            rows.append((code(f"{parameter}={value!r}"), length))
    return rows


def _literals(kind: Any) -> list[Any]:
    """The values that a choice offers, None left out."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [value for member in get_args(kind) for value in _literals(member)]


# -- heads and losses ----------------------------------------------------------------------------------------


def heads() -> str:
    """The page of heads."""
    classes = {name: HEADS.get(name) for name in HEADS.names()}
    losses = {name: LOSSES.create(name) for name in LOSSES.names()}
    rows = [
        (
            f"[{name}](#{name})",
            "gradient descent, with the encoder" if issubclass(found, NeuralHead) else "fitted once",
            "yes, calibrated" if found.has_std and found.calibrated else "yes" if found.has_std else "no",
            codes(loss for loss, made in losses.items() if found.rejects(made) is None),
        )
        for name, found in classes.items()
    ]
    sections = [
        "\n\n".join(
            [
                f"## {text(name)}",
                f"{summary(found)} {link(found)}",
                *([f"Paper: {paper(found.paper, inspect.getdoc(found))}"] if found.paper else []),
                parameters(found),
            ]
        )
        for name, found in classes.items()
    ]
    intro = (
        "A head maps an encoding to a score; higher is better. *Deviations*: whether its defaults say how "
        "sure a prediction is, and whether 80 percent intervals are scaled by what was left out in turn."
    )
    overview = table(("head", "trained by", "deviations", "losses"), rows)
    return "\n\n".join(["# Heads", intro, overview, *sections])


def losses() -> str:
    """The page of losses."""
    kinds = {PointwiseLoss: "pointwise", PairwiseLoss: "pairwise", ListwiseLoss: "listwise"}
    made = {name: LOSSES.create(name) for name in LOSSES.names()}
    rows = [
        (
            f"[{name}](#{name})",
            next((word for kind, word in kinds.items() if isinstance(loss, kind)), "pairs of encodings"),
            "order only" if loss.ranks else "values",
            codes(head for head in HEADS.names() if HEADS.get(head).rejects(loss) is None),
        )
        for name, loss in made.items()
    ]
    sections = [
        "\n\n".join(
            [
                f"## {text(name)}",
                f"{summary(type(loss))} {link(type(loss))}",
                *([f"Paper: {paper(loss.paper, inspect.getdoc(type(loss)))}"] if loss.paper else []),
                parameters(type(loss)),
            ]
        )
        for name, loss in made.items()
    ]
    intro = "A loss is what is minimised. One that sees the order only gives scores without a unit."
    return "\n\n".join(["# Losses", intro, table(("loss", "kind", "sees", "heads"), rows), *sections])
