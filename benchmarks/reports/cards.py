"""What a page says of a method beside its numbers: its parts with their papers, and which family it is of."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from archenc.benchmarks.kinds import SPACES
from archenc.benchmarks.methods import AUTO, Content
from archenc.benchmarks.reports.rows import learning
from archenc.benchmarks.runs import Leaderboard
from archenc.errors import ArchencError
from archenc.files.documents import canonical_json, plain_values
from archenc.registry import ENCODERS, HEADS, LOSSES, create_space

FAMILIES = {
    "auto": (AUTO,),
    "GATES": ("gates", "ta-gates"),
    "graph convolutions": ("gcn", "linegraph-gcn", "brp-nas", "neural-predictor"),
    "transformers": ("flowerformer", "nn-former", "cate"),
    "sequences": ("lstm", "mlp", "seminas"),
    "graph features": ("graf", "graf-plus", "wl", "path-profile", "combined"),
    "encodings": ("adjacency", "path", "op-count", "op-onehot"),
    "autoencoders": ("arch2vec", "vgae", "gae", "dvae"),
}
"""Encoders that are drawn in one colour with one symbol; others are the family "other"."""
PARTS: dict[str, Any] = {"encoder": ENCODERS, "head": HEADS, "loss": LOSSES}


def family(encoder: str) -> str:
    """The family of an encoder."""
    return next((name for name, members in FAMILIES.items() if encoder in members), "other")


def cards(boards: Iterable[Leaderboard]) -> dict[str, dict[str, Any]]:
    """A card for each method of some leaderboards, by its name: of two of one name, the later one's."""
    methods = {row.method.name: row.method for board in boards for row in board.rows}
    spaces = {name: create_space(name) for name in dict.fromkeys(SPACES.values())}
    return {name: _card(method, spaces) for name, method in sorted(methods.items())}


def _card(method: Content, spaces: dict[str, Any]) -> dict[str, Any]:
    settings = {
        name: value
        for name, value in plain_values(method).items()
        if name not in ("name", *PARTS, "simplify") and value is not None
    }
    return {
        "family": family(method.encoder),
        "learning": learning(method),
        "simplify": method.simplify,
        "parts": [_part(kind, getattr(method, kind)) for kind in PARTS if getattr(method, kind) is not None],
        "settings": {name: canonical_json(value) for name, value in settings.items()},
        "spaces": _works_on(method.encoder, spaces),
    }


def _part(kind: str, name: str) -> dict[str, str]:
    """A part's name, its first sentence and its paper; of one that is not installed, the name."""
    if name == AUTO:
        return {
            "kind": "predictor",
            "name": AUTO,
            "says": "Chooses encoder, head and loss itself, by predictions of architectures left out.",
            "paper": "no paper: this package's own",
        }
    try:
        part = PARTS[kind].get(name)
    except ArchencError:
        return {"kind": kind, "name": name, "says": "not installed here", "paper": ""}
    first = inspect.cleandoc(part.__doc__ or "").split("\n\n")[0]
    return {"kind": kind, "name": name, "says": " ".join(first.split()), "paper": part.paper}


def _works_on(encoder: str, spaces: dict[str, Any]) -> list[str]:
    """Names of the spaces that an encoder can encode; nothing for one that is not installed."""
    try:
        kind = None if encoder == AUTO else ENCODERS.get(encoder)
    except ArchencError:
        return []
    return [name for name, space in spaces.items() if kind is None or kind.unsupported(space) is None]
