"""Published numbers of pretrained embeddings, from ``published/embeddings.yaml``."""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path

from archenc.files.documents import Count, Name, Record, read_yaml, record
from archenc.registry.rules import Number

PATH = Path(str(files("archenc.benchmarks"))) / "published" / "embeddings.yaml"


class Regression(Record):
    """A Gaussian process that learns so many labels, judged on labels above a bound.

    Attributes:
        encoder, space, labels, above: the task.
        rmse, pearson: as they are printed, of pretrained and of supervised embeddings.
    """

    encoder: Name
    space: Name
    labels: Count
    above: Number
    rmse: tuple[Name, Name]
    pearson: tuple[Name, Name]


class Published(Record):
    """The numbers of one paper; figures of autoencoders, called as in cards, are percent."""

    paper: Name
    autoencoders: dict[Name, dict[Name, dict[Name, Number]]]
    regressions: tuple[Regression, ...]

    def figures(self, encoder: str, space: str) -> dict[str, float]:
        """What an encoder rebuilds and what random points decode to; empty where nothing is printed."""
        return self.autoencoders.get(encoder, {}).get(space, {})

    def regression(self, *task: str | float) -> Regression | None:
        """The printed numbers of a task (encoder, space, labels, above), if there are some."""
        found = (
            each for each in self.regressions if (each.encoder, each.space, each.labels, each.above) == task
        )
        return next(found, None)


@functools.cache
def published_embeddings() -> Published:
    """The numbers of the paper that introduced such reports."""
    return record(read_yaml(PATH), Published, str(PATH))
