"""Embeddings of whole spaces, as a pretraining leaves them behind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from archenc.errors import CorruptFile, DataNotFound, InvalidArchitecture
from archenc.files.sealed import rebuilding, saved_arrays
from archenc.graphs import ArchGraphs, OpOn
from archenc.graphs.hashing import HashIndex, sortable_keys, wl_hash
from archenc.pretraining.folder import CARD, EMBEDDINGS, REMEDY, read_described, read_description
from archenc.pretraining.weights import pretrained_folder
from archenc.spaces import from_config
from archenc.spaces.base import Space


def index_hashes(graphs: ArchGraphs, form: OpOn | None, simplified: bool) -> np.ndarray:
    """(N, 16) uint8: canonical hashes (:func:`archenc.graphs.hashing.wl_hash`) of architectures in the form
    in which an encoder sees them.

    That form may keep more apart than ``graphs.hash()`` does: in NAS-Bench-201, the places of "none" edges.
    """
    if (form or graphs.space.op_on) == "node":
        graphs = graphs.space.node_form(graphs)
    return wl_hash(graphs.space.simplify(graphs) if simplified and not graphs.simplified else graphs)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The embeddings of the architectures that an encoder was pretrained on.

    Attributes:
        values: float32 (N, dim), in the order of the graphs that were pretrained on.
        hashes: uint8 (N, 16), of the same architectures: :func:`index_hashes`.
        card: what is known of their pretraining.
        space: the search space.

    Examples:
        >>> import tempfile
        >>> import archenc
        >>> graphs = archenc.create_space("nasbench201").sample(20, seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     card = archenc.pretrain("arch2vec", graphs, folder, epochs=1)
        ...     embeddings = archenc.load_embeddings(folder)
        >>> embeddings.lookup(graphs[:3]).shape == (3, embeddings.dim)
        True
    """

    values: np.ndarray
    hashes: np.ndarray
    card: dict[str, Any]
    space: Space

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.values.shape[1])

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex(sortable_keys(self.hashes))

    def rows(self, graphs: ArchGraphs) -> np.ndarray:
        """int64 (n,): the row of each architecture, that of an isomorphic one included.

        Raises:
            InvalidArchitecture: an architecture of another space, or one without an embedding.
        """
        if graphs.space != self.space:
            raise InvalidArchitecture(
                f"these are embeddings of {self.space.name!r}, not of {graphs.space.name!r}; pretrain on "
                "that space"
            )
        form, simplified = self.card["form"], self.card["settings"]["simplify"]
        rows = self._index.find(sortable_keys(index_hashes(graphs, form, simplified)))
        missing = np.flatnonzero(rows < 0)
        if missing.size:
            raise InvalidArchitecture(
                f"architecture {missing[0]} ({missing.size} such in all) has no embedding here; encode it by "
                "archenc.load_pretrained"
            )
        return rows

    def lookup(self, graphs: ArchGraphs) -> np.ndarray:
        """float32 (n, dim): the embeddings of architectures; raises like :meth:`rows`.

        Of isomorphic architectures, which an encoder that is not ``invariant`` tells apart, it is that of the
        first one.
        """
        found: np.ndarray = self.values[self.rows(graphs)]
        return found

    def __repr__(self) -> str:
        return (
            f"Embeddings({self.card['settings']['encoder']} on {self.space.name}: {len(self)} x {self.dim})"
        )


def load_embeddings(folder: str | Path) -> Embeddings:
    """The embeddings that a pretraining wrote in the end.

    Raises:
        UnknownName, DataNotFound: there is no finished pretraining, or only its weights.
        CorruptFile: the files are damaged or do not belong together.
    """
    place = pretrained_folder(folder)
    card = read_description(place / CARD)
    path = place / EMBEDDINGS
    if not path.is_file():
        raise DataNotFound(
            f"{path} is missing; make embeddings by archenc.load_pretrained({str(folder)!r}).encode(graphs)"
        )
    arrays = read_described(path, card)
    with rebuilding(path, REMEDY):
        values, hashes = saved_arrays(
            arrays, {"embeddings": ((None, None), "f"), "hashes": ((None, 16), "u")}
        )
        if not len(values) == len(hashes) > 0:
            raise CorruptFile(f"there are {len(values)} embeddings and {len(hashes)} hashes; {REMEDY}")
    with rebuilding(place / CARD, REMEDY):
        space = from_config(card["settings"]["space"])
    return Embeddings(values, hashes, card, space)
