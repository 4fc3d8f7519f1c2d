"""Published numbers of pretrained embeddings, from ``published/embeddings.yaml``."""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path

from archenc.documents import Count, Name, Record, read_yaml, record
from archenc.rules import Number

PATH = Path(str(files("archenc.benchmarks"))) / "published" / "embeddings.yaml"


class Autoencoder(Record):
    """What an autoencoder rebuilds and what random points decode to, in percent."""

    encoder: Name
    space: Name
    reconstruction_accuracy: Number
    validity: Number
    uniqueness: Number

    @property
    def figures(self) -> dict[str, float]:
        """By the names that they have in cards."""
        return {name: getattr(self, name) for name in ("reconstruction_accuracy", "validity", "uniqueness")}


class Pair(Record):
    """A number of both kinds of embeddings, as it is printed."""

    pretrained: Name
    supervised: Name


class Regression(Record):
    """A Gaussian process that learns so many labels, judged on labels above a bound."""

    encoder: Name
    space: Name
    labels: Count
    above: Number
    rmse: Pair
    pearson: Pair


class Published(Record):
    """The numbers of one paper."""

    paper: Name
    autoencoders: tuple[Autoencoder, ...]
    regressions: tuple[Regression, ...]

    def autoencoder(self, encoder: str, space: str) -> dict[str, float]:
        """The printed figures of an encoder on a space, empty where there are none."""
        found = (each.figures for each in self.autoencoders if (each.encoder, each.space) == (encoder, space))
        return next(found, {})

    def regression(self, encoder: str, space: str, labels: int, above: float) -> Regression | None:
        """The printed numbers of the same task, if there are some."""
        wanted = (encoder, space, labels, above)
        found = (each for each in self.regressions if (each.encoder, each.space, each.labels, each.above) == wanted)
        return next(found, None)


@functools.cache
def published_embeddings() -> Published:
    """The numbers of the paper that introduced such reports."""
    return record(read_yaml(PATH), Published, str(PATH))
