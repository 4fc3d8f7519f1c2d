"""How states flow along the edges of cells: what a layer of message passing reads, row by row.

A layer says what it does to the rows it is given (:class:`Rows`) and to what they receive. There are two
kinds of rows. :class:`DenseFlow` has one for each node of each cell. :class:`SharedFlow` has one for each
*different* state, as nodes of equal history (:mod:`archenc.graphs.history`) are computed once: a batch of 512
cells of NAS-Bench-101 has 3,584 nodes and some 15 to 1,250 different states after one to five layers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import embedding, embedding_bag, pad


class Rows(ABC):
    """What one layer reads.

    Attributes:
        kinds: int64, of any shape S: the number of each row's operation.
        is_input: bool, broadcast to S with an axis of 1 behind: which rows are input nodes.
    """

    kinds: Tensor
    is_input: Tensor

    @abstractmethod
    def own(self, x: Tensor) -> Tensor:
        """(S, d): what each row has in ``x``, which has a row for each of the layer before."""

    @abstractmethod
    def received(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        """(S, d): the sum of what each row receives of ``x``, itself included where the flow says so.

        Args:
            x: as in :meth:`own`.
            gates: (K, d), what passes an edge of each kind is multiplied by; None where edges have no kinds.
        """


class Flow(ABC):
    """One pass through the layers of an encoder.

    Attributes:
        layers: what each of them reads.
    """

    layers: Sequence[Rows]

    @abstractmethod
    def start(self, table: Tensor) -> Tensor:
        """The states before the first layer, from the table (T, d) of those that there are."""

    @abstractmethod
    def mean(self, states: Tensor, mask: Tensor, behind: int) -> Tensor:
        """(R, d): the sum of the last layer's states over nodes that exist, as ``mask`` (R, V) says, from
        node ``behind`` on, by V - behind, the divisor where there is padding, too.
        """

    @abstractmethod
    def last(self, states: Tensor) -> Tensor:
        """(R, d): the state of each cell's last node."""


# -- a row for each node -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DenseRows(Rows):
    """R cells of V nodes.

    Attributes:
        kinds: (R, V).
        is_input: (V, 1).
        edges: (R, V, V), ``edges[r, i, j]`` weighs what i receives from j; (R, V, V', K) where edges have
            kinds, for the first V' nodes as senders.
    """

    kinds: Tensor
    is_input: Tensor
    edges: Tensor

    def own(self, x: Tensor) -> Tensor:
        return x

    def received(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        edges = self.edges.to(x.dtype)
        if gates is None:
            return edges @ x
        sent = torch.einsum("rjh,kh->rjkh", x[:, : edges.shape[2]], gates)
        return torch.einsum("rijk,rjkh->rih", edges, sent)


@dataclass(frozen=True)
class DenseFlow(Flow):
    """The nodes of R cells.

    Attributes:
        layers: what each of them reads.
        first: int64 (R, V), which first state each node has.
    """

    layers: Sequence[DenseRows]
    first: Tensor

    def start(self, table: Tensor) -> Tensor:
        return embedding(self.first, table)

    def mean(self, states: Tensor, mask: Tensor, behind: int) -> Tensor:
        return mean_over_nodes(states[:, behind:], mask[:, behind:])

    def last(self, states: Tensor) -> Tensor:
        return states[:, -1]


def receiving(adjacency: Tensor, mask: Tensor, *, self_loops: bool, normalise: bool) -> Tensor:
    """The matrix A of a graph convolution, float32 (R, V, V): ``A[i, j]`` weighs the message from j to i.

    Args:
        adjacency: (R, V, V) with ``adjacency[i, j] = 1`` for an edge from i to j.
        mask: bool (R, V).
        self_loops: A + I, on the nodes that exist.
        normalise: A_ij / sqrt(r_i c_j) with row and column sums r and c (1 where they are 0): Kipf and
            Welling's D^-1/2 A D^-1/2 for directed edges.
    """
    a = adjacency.transpose(1, 2).float()
    if self_loops:
        a = a + torch.diag_embed(mask.float())
    if normalise:
        received, sent = a.sum(2, keepdim=True), a.sum(1, keepdim=True)
        a = a / (received.clamp(min=1) * sent.clamp(min=1)).sqrt()
    return a


def with_global_node(adjacency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Adjacency (R, V + 1, V + 1) and mask (R, V + 1) with one more node, to which all others lead."""
    edges = pad(mask.to(adjacency), (0, 1))[..., None]
    return torch.cat([pad(adjacency, (0, 0, 0, 1)), edges], dim=2), pad(mask, (0, 1), value=True)


def mean_over_nodes(states: Tensor, mask: Tensor) -> Tensor:
    """(R, V, d) to (R, d): the sum over existing nodes by V, the divisor where there is padding too."""
    return (states * mask[..., None]).sum(1) / mask.shape[1]


# -- a row for each different state --------------------------------------------------------------------------


class Sums(Function):
    """Sums of rows, (U, d): ``index`` (E,) says of which rows of x (U', d), and ``starts`` (U,) where each
    begins.

    What goes back is a sum of rows, too, so that nothing is scattered: ``index_back`` (E,) and
    ``starts_back`` (U',) say of which sums each row of x was a part.
    """

    @staticmethod
    def forward(x: Tensor, index: Tensor, starts: Tensor, index_back: Tensor, starts_back: Tensor) -> Tensor:
        return embedding_bag(index, x, starts, mode="sum")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        index, starts, index_back, starts_back = ctx.saved_tensors
        return summed(grad, index_back, starts_back, index, starts), None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, *places: Tensor) -> tuple[Tensor, int]:
        """Several x as one with longer rows."""
        batched = x.movedim(in_dims[0] or 0, 1)
        sums = summed(batched.flatten(1), *places)
        return sums.reshape(len(sums), *batched.shape[1:]), 1


def summed(x: Tensor, *places: Tensor) -> Tensor:
    """:class:`Sums` of x."""
    sums: Tensor = Sums.apply(x, *places)  # type: ignore[no-untyped-call]
    return sums


@dataclass(frozen=True)
class SharedRows(Rows):
    """U different states.

    Attributes:
        kinds: (U,).
        is_input: (U, 1).
        before: int64 (U,), the row of each in the layer before.
        senders: int64 (E,), the rows of the layer before whose messages are received, by receiver.
        carriers: int64 (E,), the kinds of the edges they come by.
        starts: int64 (U,), where the messages of each row begin.
        heads, receivers: int64 (E,), who receives them, by receiver and by sender.
        starts_of_senders: int64 (U',), where those of each row of the layer before begin.
        share: what a message counts.
    """

    kinds: Tensor
    is_input: Tensor
    before: Tensor
    senders: Tensor
    carriers: Tensor
    starts: Tensor
    heads: Tensor
    receivers: Tensor
    starts_of_senders: Tensor
    share: float

    def own(self, x: Tensor) -> Tensor:
        return embedding(self.before, x)

    def received(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        if gates is None:
            return summed(x, self.senders, self.starts, self.receivers, self.starts_of_senders)
        messages = embedding(self.senders, x) * embedding(self.carriers, gates)
        every = torch.arange(len(messages), device=messages.device)
        return summed(messages, every, self.starts, self.heads, every) * self.share


@dataclass(frozen=True)
class SharedFlow(Flow):
    """The different rows of a batch.

    Attributes:
        layers: of each layer.
        places: int64 (R, V), the row that each node has behind the last layer; any where there is none.
        states: how many first states of the table there are in the store.
    """

    layers: Sequence[SharedRows]
    places: Tensor
    states: int

    def start(self, table: Tensor) -> Tensor:
        return table[: self.states]

    def mean(self, states: Tensor, mask: Tensor, behind: int) -> Tensor:
        exists = mask[:, behind:]
        counts, used = exists.sum(1), self.places[:, behind:][exists]
        order, times = torch.argsort(used, stable=True), torch.bincount(used, minlength=len(states))
        cells = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        starts, back = (numbers.cumsum(0) - numbers for numbers in (counts, times))
        return summed(states, used, starts, cells[order], back) / exists.shape[1]

    def last(self, states: Tensor) -> Tensor:
        return embedding(self.places[:, -1], states)
