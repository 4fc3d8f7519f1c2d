"""What a pretraining left behind: encoders with their weights, and embeddings of whole spaces.

Weights have a place, the folder of their pretraining, or a name: the entry points of the group ``archenc.pretrained`` are packages whose
folders, each with ``pretraining.json`` and ``weights.safetensors``, are the names.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from archenc.checkpoints import CARD, EMBEDDINGS, REMEDY, WEIGHTS, read_described, read_description
from archenc.encoder import Encoder
from archenc.errors import CorruptFile, DataNotFound, InvalidArchitecture, UnknownName
from archenc.graphs import ArchGraphs, OpOn
from archenc.hashing import keys, wl_hash
from archenc.registry import create_encoder, declared, normalise
from archenc.sealed import as_large_as, load_state, rebuilding, saved_arrays
from archenc.spaces import from_config
from archenc.spaces.base import Space
from archenc.torch_state import own_state

# -- where ---------------------------------------------------------------------------------------------------------------


def pretrained_folders() -> dict[str, Path]:
    """The folder of every name, sorted."""
    folders: dict[str, Path] = {}
    for point in declared("archenc.pretrained"):
        package = Path(point.load().__file__).parent
        folders |= {path.parent.name: path.parent for path in package.glob(f"*/{CARD}")}
    return dict(sorted(folders.items()))


def pretrained_folder(folder_or_name: str | Path) -> Path:
    """The folder of pretrained weights; raises :class:`UnknownName` if it is neither a name nor a folder that holds some."""
    names = pretrained_folders()
    if isinstance(folder_or_name, str) and normalise(folder_or_name) in names:
        return names[normalise(folder_or_name)]
    folder = Path(folder_or_name)
    if (folder / CARD).is_file():
        return folder
    near = difflib.get_close_matches(str(folder_or_name), names, n=1)
    if folder.is_dir():
        raise DataNotFound(f"there is no finished pretraining in {folder} ({CARD} is missing); give the folder of 'archenc pretrain --out'")
    remedy = f"did you mean {near[0]!r}?" if near else "give a folder of 'archenc pretrain --out', or a name of 'archenc list pretrained'"
    raise UnknownName(f"there are no pretrained weights {str(folder_or_name)!r}; {remedy}")


def read_card(folder_or_name: str | Path) -> dict[str, Any]:
    """What is known of pretrained weights: settings, figures, history, seconds, machine."""
    return read_description(pretrained_folder(folder_or_name) / CARD)


def weights_checksum(folder_or_name: str | Path) -> str:
    """Hexadecimal SHA-256 of the weights, by which results made with them are told apart."""
    checksum: str = read_card(folder_or_name)["sha256"][WEIGHTS]
    return checksum


# -- encoders ------------------------------------------------------------------------------------------------------------


def load_pretrained(folder_or_name: str | Path) -> Encoder:
    """The encoder that was pretrained, on the CPU and in evaluation mode.

    Args:
        folder_or_name: the folder of a finished pretraining, or one of :func:`archenc.list_pretrained`.

    Raises:
        UnknownName, DataNotFound: there are no such weights.
        CorruptFile: they are damaged, or not those of the encoder that the card names.
    """
    folder = pretrained_folder(folder_or_name)
    card = read_description(folder / CARD)
    arrays = read_described(folder / WEIGHTS, card)
    settings = card["settings"]
    with rebuilding(folder / CARD, REMEDY), own_state(seed=0), as_large_as(arrays.values()):
        space = from_config(settings["space"])
        encoder = create_encoder(settings["encoder"], space, simplify=settings["simplify"], **settings["encoder_params"])
        load_state(encoder, arrays)
    return encoder.eval()


class FrozenEncoder(Encoder):
    """An encoder whose weights no longer change, as a fixed encoding: the same architectures always get the same vectors."""

    fixed = True

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.space, simplify=encoder.simplify)
        self.form, self.cell_dim, self.parts = encoder.form, encoder.cell_dim, encoder.parts
        self.encoder = encoder.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in evaluation mode: no dropout, and no change of running statistics."""
        super().train(False)
        return self

    def prepare(self, graphs: ArchGraphs) -> ArchGraphs:
        return self.encoder.prepare(graphs)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return self.encoder.encode_cells(graphs)


# -- embeddings ----------------------------------------------------------------------------------------------------------


def index_hashes(graphs: ArchGraphs, form: OpOn | None, simplified: bool) -> np.ndarray:
    """(N, 16) uint8: canonical hashes (:func:`archenc.hashing.wl_hash`) of architectures in the form in which an encoder sees them.

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
    def _order(self) -> np.ndarray:
        return np.argsort(keys(self.hashes), kind="stable")

    def rows(self, graphs: ArchGraphs) -> np.ndarray:
        """int64 (n,): the row of each architecture, that of an isomorphic one included.

        Raises:
            InvalidArchitecture: an architecture of another space, or one without an embedding.
        """
        if graphs.space != self.space:
            raise InvalidArchitecture(f"these are embeddings of {self.space.name!r}, not of {graphs.space.name!r}; pretrain on that space")
        wanted = keys(index_hashes(graphs, self.card["form"], self.card["settings"]["simplify"]))
        known = keys(self.hashes)
        place = np.searchsorted(known, wanted, sorter=self._order)
        rows: np.ndarray = self._order[np.minimum(place, len(known) - 1)]
        missing = np.flatnonzero(known[rows] != wanted)
        if missing.size:
            raise InvalidArchitecture(
                f"architecture {missing[0]} ({missing.size} such in all) has no embedding here; encode it by archenc.load_pretrained"
            )
        return rows

    def lookup(self, graphs: ArchGraphs) -> np.ndarray:
        """float32 (n, dim): the embeddings of architectures; raises like :meth:`rows`.

        Of isomorphic architectures, which an encoder that is not ``invariant`` tells apart, it is that of the first one.
        """
        found: np.ndarray = self.values[self.rows(graphs)]
        return found

    def __repr__(self) -> str:
        return f"Embeddings({self.card['settings']['encoder']} on {self.space.name}: {len(self)} x {self.dim})"


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
        raise DataNotFound(f"{path} is missing; make embeddings by archenc.load_pretrained({str(folder)!r}).encode(graphs)")
    arrays = read_described(path, card)
    with rebuilding(path, REMEDY):
        values, hashes = saved_arrays(arrays, {"embeddings": ((None, None), "f"), "hashes": ((None, 16), "u")})
        if not len(values) == len(hashes) > 0:
            raise CorruptFile(f"there are {len(values)} embeddings and {len(hashes)} hashes; {REMEDY}")
    with rebuilding(place / CARD, REMEDY):
        space = from_config(card["settings"]["space"])
    return Embeddings(values, hashes, card, space)
