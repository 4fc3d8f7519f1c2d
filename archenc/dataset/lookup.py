"""Which rows of a data set hold given architectures."""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.graphs import ArchGraphs, as_graphs
from archenc.graphs.given import as_items, is_hash
from archenc.graphs.hashing import HashIndex, sortable_keys
from archenc.spaces.base import checked_graphs


class Lookup:
    """The rows of a batch of architectures, by their canonical hashes, which are computed once."""

    def __init__(self, graphs: ArchGraphs) -> None:
        self.graphs = graphs
        digests = graphs.hash()
        self._twins = HashIndex(sortable_keys(digests))
        self._same = None if self._twins.distinct else HashIndex(_array_keys(graphs, digests))

    def rows(self, architectures: Any, notation: str | None) -> np.ndarray:
        """int64: of each architecture the first row that is the same, else the first that is isomorphic, else
        -1.
        """
        if isinstance(architectures, ArchGraphs):
            return self._rows_of(architectures)
        space, items = self.graphs.space, as_items(architectures)
        items = [architectures] if items is None else items
        hashes = [at for at, item in enumerate(items) if is_hash(item, space)]
        if not hashes:
            return self._rows_of(as_graphs(items, space, notation))
        digests = np.array([bytes.fromhex(items[at].strip()) for at in hashes], dtype="S16")
        stand_in = space.format(space.sample(1, 0))[0]
        others = [
            stand_in if is_hash(item, space) else item for item in items
        ]  # so that a message names the position of a wrong one
        rows = self._rows_of(as_graphs(others, space, notation))
        rows[hashes] = self._twins.find(digests)
        return rows

    def _rows_of(self, graphs: ArchGraphs) -> np.ndarray:
        checked_graphs(self.graphs.space, graphs)
        if graphs.op_on != self.graphs.op_on:
            graphs = graphs.space.node_form(graphs)
        if self.graphs.simplified and not graphs.simplified:
            graphs = graphs.space.simplify(graphs)
        digests = graphs.hash()
        rows = self._twins.find(sortable_keys(digests))
        if self._same is None or graphs.ops.shape[1:] != self.graphs.ops.shape[1:]:
            return rows
        same = self._same.find(_array_keys(graphs, digests))
        return np.where(same >= 0, same, rows)


def _array_keys(graphs: ArchGraphs, digests: np.ndarray) -> np.ndarray:
    """(N,) of bytes, equal where hashes and arrays are."""
    arrays = [array.cpu().reshape(len(graphs), -1).numpy() for array in (graphs.adjacency, graphs.ops)]
    table = np.ascontiguousarray(np.concatenate([digests, *arrays], axis=1))
    found: np.ndarray = table.view(f"S{table.shape[1]}")[:, 0]
    return found
