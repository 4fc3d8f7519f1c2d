"""The contract of an encoder: architectures in, vectors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, OpOn, as_graphs
from archenc.registry.parameters import Checked
from archenc.spaces.base import Space
from archenc.torch_state import plain_torch

NUMBERS_PER_BATCH = 2**24
"""Pairs of nodes, or of a node and an operation, in a batch of :meth:`Encoder.encode`: what encoders make of
them has to fit memory.
"""


class Encoder(Checked, nn.Module, ABC):
    """Maps each architecture of a space to a vector.

    A subclass sets the class attributes, calls ``super().__init__(space, simplify=simplify)`` first, sets
    ``self.cell_dim``, and implements :meth:`encode_cells`. Every other keyword of its ``__init__`` is a
    hyper-parameter with a default, whose annotation is checked (:mod:`archenc.registry.rules`).

    Attributes:
        form: the form of graphs it works on: ``"node"``, ``"edge"``, or None for the form in which the space
            gives them. An encoder that offers the choice sets it on the instance.
        fixed: True for an encoding without parameters, which is computed once for a whole store.
        invariant: True if isomorphic architectures get the same encoding.
        paper: authors, venue, year and section of the source.
        cell_dim: length of the encoding of one cell.
        parts: of how many equal parts, one behind the other, the encoding of an architecture consists: 1, or
            one for each time of its training at which heads of several outputs predict its accuracy (anytime
            TA-GATES).
        simplify: whether graphs are simplified first (:meth:`archenc.spaces.base.Space.simplify`).

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("path", space, kind="onehot", cutoff=30)
        >>> encoder.encode(space.sample(4, seed=0)).shape
        (4, 30)
    """

    form: OpOn | None = None
    fixed: ClassVar[bool] = False
    invariant: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    cell_dim: int
    parts: int = 1

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        reason = self.unsupported(space)
        if reason is not None:
            raise InvalidParameter(
                f"the encoder {type(self).__name__} cannot encode the space {space.name!r}: {reason}"
            )
        super().__init__()
        self.space = space
        self.simplify = simplify

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        """Why the encoder is not defined on ``space``, with the remedy, or None if it is."""
        if cls.form == "edge" and space.op_on == "node":
            return "it needs operations on edges, and this space has them on nodes; choose another encoder"
        return None

    @property
    def dim(self) -> int:
        """Length of the encoding of an architecture: its cells' encodings in a row."""
        return self.cell_dim * self.space.cells

    def prepare(self, graphs: ArchGraphs) -> ArchGraphs:
        """The graphs in the form the encoder works on; does nothing when they already are. Do it once for a
        store, not per batch.

        Raises:
            InvalidParameter: graphs of another space, or in op-on-node form for an encoder that works on
                edges.
            InvalidArchitecture: something else than graphs.
        """
        graphs = as_graphs(graphs, self.space)
        if graphs.space is not self.space and graphs.space != self.space:
            raise InvalidParameter(
                f"{type(self).__name__} was built for {self.space.name!r} and got graphs of "
                f"{graphs.space.name!r}; build another"
            )
        form = self.form or self.space.op_on
        if form == "node":
            graphs = self.space.node_form(graphs)
        elif graphs.op_on == "node":
            raise InvalidParameter(
                f"{type(self).__name__} works on edges and got graphs in node form; give them as "
                f"{self.space.name!r} does"
            )
        if self.simplify and not graphs.simplified:
            graphs = self.space.simplify(graphs)
        return graphs

    @abstractmethod
    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        """Encode each row of prepared graphs.

        Shapes:
            graphs: R rows; returns (R, cell_dim) float32.
        """

    def auxiliary_loss(self, graphs: ArchGraphs, encodings: Tensor) -> Tensor | None:
        """What the encoder adds to the supervised loss of a batch in training, already weighted; None for
        nothing.

        Args:
            graphs: the prepared batch.
            encodings: (N, dim), what :meth:`forward` gave for it.
        """
        return None

    def forward(self, graphs: ArchGraphs) -> Tensor:
        """(N, dim) float32."""
        graphs = self.prepare(graphs)
        return self.encode_cells(graphs).reshape(-1, self.dim)

    def encode(self, graphs: ArchGraphs, batch_size: int = 8192) -> np.ndarray:
        """Encode a whole store without gradients, (N, dim) float32, in smaller batches if graphs are large.

        It leaves the train/eval mode as it was.
        """
        training, graphs = self.training, as_graphs(graphs, self.space)
        encodings = np.empty((len(graphs), self.dim), dtype=np.float32)
        self.eval()
        try:
            with plain_torch(graphs.device), torch.no_grad():
                prepared = self.prepare(graphs)
                numbers = (
                    self.space.cells * prepared.num_nodes * max(prepared.num_nodes, prepared.num_ops)
                )  # of an architecture
                rows = max(1, min(batch_size, NUMBERS_PER_BATCH // numbers))
                for start in range(0, len(graphs), rows):
                    encodings[start : start + rows] = self(prepared[start : start + rows]).cpu()
        finally:
            self.train(training)
        return encodings
