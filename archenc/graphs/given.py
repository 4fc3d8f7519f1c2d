"""Architectures as people hold them - texts, dicts, networkx graphs, objects, lists of all these - as one
batch of a known space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, read_each
from archenc.files.text import listed, shown
from archenc.graphs.conventions import SpaceOfGraphs
from archenc.graphs.store import NO_BATCH, ArchGraphs, concatenate

_HASH = re.compile(r"\s*[0-9a-fA-F]{32}\s*")


def as_graphs(
    architectures: Any, space: SpaceOfGraphs | None = None, notation: str | None = None
) -> ArchGraphs:
    """What somebody gave as architectures: the one place where they come in.

    Args:
        architectures: graphs, or a list of graphs. If the space is known, also what its ``parse`` takes,
            objects with ``matrix`` and ``ops``, networkx graphs
            (:func:`archenc.graphs.networkx.from_networkx`), and lists, tuples, arrays and pandas columns of
            all these, mixed as they come.
        space: the space they are expected to be of, where that is known; graphs of another one come back as
            they are.
        notation: how numbers are read, one of the space's ``notations``; None for the one that its ``parse``
            documents as the default.

    Raises:
        InvalidArchitecture: something else, or one that does not belong to the space, with its position.
        InvalidParameter: a notation that the space does not have.
    """
    if isinstance(architectures, ArchGraphs):
        return architectures
    if space is None:
        if (
            isinstance(architectures, list | tuple)
            and architectures
            and all(isinstance(item, ArchGraphs) for item in architectures)
        ):
            return concatenate(architectures)
        raise InvalidArchitecture(NO_BATCH.format(shown(architectures)))
    return _read(architectures, space, notation)


def _read(architectures: Any, space: SpaceOfGraphs, notation: str | None) -> ArchGraphs:
    items = as_items(architectures)
    for number, item in enumerate([architectures] if items is None else items):
        if is_hash(item, space):
            raise InvalidArchitecture(
                f"architecture {number}: {shown(item)} is a hash, of which no cell can be made; "
                "look it up in a data set that holds the cell, as in dataset.graphs[dataset.find(hashes)]",
                position=number,
            )
    if items is None:
        return _parse(architectures, space, notation)
    batches = read_each(items, partial(_batch, space))
    found = [batch for batch in batches if batch is not None]
    if found and len(found) == len(items):
        return concatenate(found)
    mixed = [
        item if batch is None else _text(batch, number)
        for number, (item, batch) in enumerate(zip(items, batches, strict=True))
    ]
    return _parse(mixed, space, notation)


def as_items(architectures: Any) -> list[Any] | None:
    """What a list, a column of a table or an array holds; None for what is one architecture by itself, or
    none.

    Objects with ``matrix`` and ``ops`` are dicts of the two, as many a program keeps the cells of
    NAS-Bench-101.
    """
    if isinstance(architectures, str | bytes | Mapping) or hasattr(architectures, "_fields"):
        return None
    if isinstance(architectures, ArchGraphs) or _is_networkx(architectures) or _is_spec(architectures):
        return [_plain(architectures)]
    if hasattr(architectures, "columns") and hasattr(
        architectures, "to_numpy"
    ):  # a table of pandas, whose items are its columns' names
        architectures = architectures.to_numpy()
    try:
        items = list(
            architectures.tolist() if isinstance(architectures, np.ndarray | Tensor) else architectures
        )
    except (TypeError, RuntimeError):
        return None
    shape: tuple[int, ...] = getattr(architectures, "shape", ())
    if len(shape) == 2 and shape[1] == 1:  # a column
        items = [item for (item,) in items]
    return [_plain(item) for item in items]


def is_hash(item: Any, space: SpaceOfGraphs) -> bool:
    """Whether this is a hash that the benchmark of the space published, as text."""
    return space.published_hash and isinstance(item, str) and _HASH.fullmatch(item) is not None


def _plain(item: Any) -> Any:
    return {"matrix": item.matrix, "ops": item.ops} if _is_spec(item) else item


def _is_spec(item: Any) -> bool:
    return hasattr(item, "matrix") and hasattr(item, "ops")


def _is_networkx(item: Any) -> bool:
    return hasattr(item, "is_directed") and hasattr(item, "nodes")  # without an import of networkx


def _parse(architectures: Any, space: SpaceOfGraphs, notation: str | None) -> ArchGraphs:
    if notation is None:
        return cast(ArchGraphs, space.parse(architectures))
    if notation not in space.notations:
        remedy = f"choose one of {listed(space.notations)}" if space.notations else "leave notation out"
        raise InvalidParameter(f"the space {space.name!r} has no notation {shown(notation)}; {remedy}")
    return cast(ArchGraphs, cast(Any, space).parse(architectures, notation=notation))


def _batch(space: SpaceOfGraphs, item: Any, where: str) -> ArchGraphs | None:
    """The item as graphs of the space, if it is a graph of one kind or the other."""
    if _is_networkx(item):
        from archenc.graphs.networkx import from_networkx

        return from_networkx(item, space, where)
    if isinstance(item, ArchGraphs) and item.space != space:
        raise InvalidArchitecture(
            f"{where} belongs to the space {item.space.name!r}, not to {space.name!r}; give those of one "
            "space"
        )
    return item if isinstance(item, ArchGraphs) else None


def _text(graphs: ArchGraphs, number: int) -> Any:
    """The one architecture of a batch as text, for a list that holds others than graphs."""
    known_more = graphs.features is not None or graphs.architecture_features is not None
    if len(graphs) != 1 or graphs.simplified or known_more or graphs.op_on != graphs.space.op_on:
        raise InvalidArchitecture(
            f"item {number} is a batch that stands beside texts or dicts and is not one plain architecture; "
            "give all of them as graphs"
        )
    return graphs.space.format(graphs)[0]
