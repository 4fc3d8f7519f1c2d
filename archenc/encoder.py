"""The contract of an encoder: architectures in, vectors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, OpOn, as_graphs
from archenc.graphs.flow import DenseFlow, DenseRows, Flow
from archenc.graphs.history import History, history
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

    @property
    def scored_at_once(self) -> int:
        """Architectures of a batch when many are scored: what a processor's cache holds."""
        return 512

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


class LocalEncoder(Encoder):
    """An encoder each of whose layers sees, of a node, nothing but its operation, its own state and what it
    receives along edges, so that nodes of equal history have equal states.

    It says by which state each node begins and what flows; its layers take :class:`archenc.graphs.flow.Rows`,
    of which there is one for each node or one for each different state. What has equal history is found once
    for a store (:meth:`prepare`). Nothing random may happen before the last layer.

    Attributes:
        depth: number of layers.
    """

    depth: int

    @abstractmethod
    def first_states(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, V): which of the first states each node has."""

    @abstractmethod
    def edges(self, graphs: ArchGraphs) -> Tensor:
        """Float32 (R, V, V), or (R, V, V, K) where edges have kinds: how what a node, i, receives of each, j,
        counts.
        """

    def exists(self, graphs: ArchGraphs) -> Tensor:
        """Bool (R, V): the nodes that there are."""
        return graphs.mask

    def kinds(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, V): the operation of each node, 0 where operations sit on edges."""
        if graphs.op_on == "node":
            return graphs.ops.long()
        return torch.zeros_like(graphs.mask, dtype=torch.int64)

    @property
    def scored_at_once(self) -> int:
        """As above, or more, so that more rows are equal."""
        return 512 if self.history_key() is None else 8192

    def history_key(self) -> Hashable | None:
        """What decides which histories are equal; None where none are shared."""
        return (type(self), self.depth, self.form)

    def prepare(self, graphs: ArchGraphs) -> ArchGraphs:
        graphs, key = super().prepare(graphs), self.history_key()
        if key is not None and len(graphs) and key not in graphs.histories:
            per_pair = self.space.edges_per_pair if graphs.op_on == "edge" else 1
            graphs.histories[key] = history(
                self.first_states(graphs),
                self.kinds(graphs),
                self.exists(graphs),
                self.edges(graphs) * per_pair,
                self.depth,
                num_inputs=self.space.num_inputs,
                share=1 / per_pair,
            )
        return graphs

    def passing(self, graphs: ArchGraphs) -> Flow:
        """What the layers read of prepared graphs.

        On a GPU rows are shared only where nothing is learned: there a dense step costs less than its parts.
        """
        known: History | None = graphs.histories.get(self.history_key())
        if known is not None and (graphs.device.type == "cpu" or not torch.is_grad_enabled()):
            shared = known.flow(graphs.device)
            if shared is not None:
                return shared
        nodes = torch.arange(graphs.num_nodes, device=graphs.device)
        is_input = (nodes < self.space.num_inputs)[:, None]
        rows = DenseRows(self.kinds(graphs), is_input, self.edges(graphs))
        return DenseFlow([rows] * self.depth, self.first_states(graphs))
