"""GATES: information flows from the input through the cell, and operations gate it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from archenc.encoder import Encoder
from archenc.encoders.layers import mean_over_nodes, receiving
from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, INPUT, PAD, ArchGraphs, OpOn
from archenc.rules import Layers, Size
from archenc.spaces.base import Space

Readout = Literal["mean", "output"]


class GATESEncoder(Encoder):
    r"""Graph-based Architecture encoding (Ning et al., ECCV 2020, section 3.2).

    The state N of the nodes starts at the input and flows along the edges; every operation is a soft gate on what passes it. With
    :math:`A_{ij} = 1` for an edge from j into i, e the operations' embeddings, :math:`X = N W`, and :math:`R_i = X_i` on input nodes and 0
    elsewhere, a layer computes, for operations on nodes and for operations on edges of which up to S may join a pair of nodes,

    .. math::

        N'_i &= \sigma(W_o e_i + b_o) \odot \big((A + I) X\big)_i + R_i + b

        N'_i &= \frac{1}{S} \sum_{j, s} \sigma(W_o e_{ijs} + b_o) \odot X_j + R_i

    with a ReLU after every layer but the last. On edges, "none" carries nothing and the gate of a skip connection is 1.

    Args:
        space: any space.
        form: where the operations are taken to sit, by default where the space has them. ``"node"`` puts those of an op-on-edge space
            on the nodes of its line graph, where ``simplify`` can bypass skip connections too.
        layers: output size of each layer.
        op_dim: length of an operation's embedding.
        node_dim: length of a node's initial vector.
        hidden_dim: length of the first node states.
        readout: ``"mean"`` over all nodes but the inputs, with a constant divisor, as padding counts as zero (default for operations on
            nodes), or the ``"output"`` node alone (default for operations on edges).
        simplify: simplify the graphs first; on edges, skip connections stay and keep their gate of 1.

    Shapes:
        R rows of V nodes; returns (R, layers[-1]).

    Deviation: the gates are computed on the table of operations and gathered, which gives the same numbers as computing them at every node.
    """

    invariant = True
    paper: ClassVar[str] = "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, ECCV 2020"

    def __init__(
        self,
        space: Space,
        *,
        form: OpOn | None = None,
        layers: Layers = (128, 128, 128, 128, 128),
        op_dim: Size = 48,
        node_dim: Size = 48,
        hidden_dim: Size = 96,
        readout: Readout | None = None,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.form = chosen_form(space, form)
        self.readout = chosen_readout(self.form, readout)
        self.cell_dim = layers[-1]
        self.op_embedding = OperationEmbedding(space, self.form, op_dim)
        self.initial_state = InitialState(space, node_dim, hidden_dim, learn_others=self.form == "node")
        layer = NodeFlow if self.form == "node" else EdgeFlow
        self.flow = nn.ModuleList(layer(space, size, out, op_dim) for size, out in pairwise([hidden_dim, *layers]))

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        ops: Tensor = self.op_embedding()
        states: Tensor = self.initial_state(graphs)
        edges = incoming_edges(graphs).to(states.dtype)
        keep = is_input(graphs)
        for depth, layer in enumerate(cast("Sequence[NodeFlow | EdgeFlow]", self.flow)):
            states = layer(states, edges, layer.op_gates(ops, graphs.ops), keep)
            if depth < len(self.flow) - 1:
                states = torch.relu(states)
        return read(states, graphs, self.readout)


def chosen_form(space: Space, form: OpOn | None) -> OpOn:
    """Where operations are taken to sit: ``form``, or where the space has them; raises :class:`InvalidParameter` for what cannot be."""
    if form == "edge" and space.op_on == "node":
        raise InvalidParameter(f"the operations of {space.name!r} cannot be put on edges; leave form out")
    return form or space.op_on


def chosen_readout(form: OpOn, readout: Readout | None) -> Readout:
    """``readout``, or the published one for the form."""
    return readout or ("mean" if form == "node" else "output")


def read(states: Tensor, graphs: ArchGraphs, readout: Readout) -> Tensor:
    """(R, V, size) to (R, size): the output node's state, or the mean over all nodes but the inputs."""
    if readout == "output":
        return states[:, -1]
    behind = graphs.space.num_inputs
    return mean_over_nodes(states[:, behind:], graphs.mask[:, behind:])


def is_input(graphs: ArchGraphs) -> Tensor:
    """Bool (V, 1): the nodes whose residual R is kept."""
    return (torch.arange(graphs.num_nodes, device=graphs.device) < graphs.space.num_inputs)[:, None]


def incoming_edges(graphs: ArchGraphs) -> Tensor:
    """What a layer sums over, rows receive.

    Operations on nodes: A + I, float32 (R, V, V). On edges: how many edges with operation k lead from j into i, over S, (R, V, V - 1, K),
    for the operations that carry something (:func:`live_ops`) and all senders j but the output.
    """
    if graphs.op_on == "node":
        return receiving(graphs.adjacency, graphs.mask, self_loops=True, normalise=False)
    ops = one_hot(graphs.edge_ops()[:, :, :-1].long(), graphs.num_ops)[..., live_ops(graphs.space)]
    return ops.float().mean(dim=1).transpose(1, 2)


def live_ops(space: Space) -> list[int]:
    """Ids of the operations on edges that carry something: all but "none"."""
    return [k for k, name in enumerate(space.edge_vocabulary) if k >= EDGE_OFFSET and name != space.none_op]


class OperationEmbedding(nn.Module):
    """The table of operation vectors (num_ops, op_dim); padding and input nodes have the fixed vector zero."""

    learned: Tensor

    def __init__(self, space: Space, form: OpOn, op_dim: int) -> None:
        super().__init__()
        names = space.node_vocabulary if form == "node" else space.edge_vocabulary
        self.table = nn.Parameter(torch.randn(len(names), op_dim))
        learned = torch.ones(len(names), 1)
        learned[PAD] = 0.0
        if form == "node":
            learned[INPUT] = 0.0
        self.register_buffer("learned", learned, persistent=False)

    def forward(self) -> Tensor:
        """(num_ops, op_dim)."""
        return self.table * self.learned


class InitialState(nn.Module):
    """Node states before the first layer, (R, V, hidden_dim): each input node of each cell has a learned vector.

    The other nodes share one that starts at zero and is learned where operations sit on nodes; on edges it stays zero.
    """

    def __init__(self, space: Space, node_dim: int, hidden_dim: int, *, learn_others: bool) -> None:
        super().__init__()
        self.cells, self.num_inputs = space.cells, space.num_inputs
        self.inputs = nn.Parameter(torch.randn(space.cells, space.num_inputs, node_dim))
        self.others = nn.Parameter(torch.zeros(space.cells, 1, node_dim)) if learn_others else None
        self.linear = nn.Linear(node_dim, hidden_dim)

    def forward(self, graphs: ArchGraphs) -> Tensor:
        rest = graphs.num_nodes - self.num_inputs
        others = torch.zeros_like(self.inputs[:, :1]) if self.others is None else self.others
        vectors = torch.cat([self.inputs, others.expand(-1, rest, -1)], dim=1)  # (cells, V, node_dim)
        states: Tensor = self.linear(vectors)
        return states.repeat(graphs.adjacency.shape[0] // self.cells, 1, 1)


class Flow(nn.Module):
    """What all layers share: the weight W and the gates' map W_o, b_o."""

    def __init__(self, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__()
        self.bound = out_dim**-0.5
        self.weight = nn.Parameter(torch.empty(in_dim, out_dim).uniform_(-self.bound, self.bound))
        self.gate = nn.Linear(op_dim, out_dim)

    def gates(self, ops: Tensor) -> Tensor:
        """Operation vectors (..., op_dim) to gates (..., out_dim)."""
        return torch.sigmoid(self.gate(ops))


class NodeFlow(Flow):
    """A layer for operations on nodes."""

    def __init__(self, space: Space, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__(in_dim, out_dim, op_dim)
        self.bias = nn.Parameter(torch.empty(out_dim).uniform_(-self.bound, self.bound))

    def op_gates(self, ops: Tensor, op_ids: Tensor) -> Tensor:
        """The gate of each node, (R, V, out_dim), from the table of operations and the nodes' ids (R, V)."""
        return self.gates(ops)[op_ids.long()]

    def forward(self, states: Tensor, edges: Tensor, gates: Tensor, keep: Tensor) -> Tensor:
        """N' from N (R, V, in_dim), A + I (R, V, V), gates (R, V, out_dim) and the nodes that keep their residual (V, 1).

        A node that keeps its residual has no predecessor, so that ((A + I) X)_i = X_i and the residual is one more unit of its gate.
        """
        return torch.addcmul(self.bias, gates + keep, edges @ (states @ self.weight))


class EdgeFlow(Flow):
    """A layer for operations on edges, of which up to S may join a pair of nodes."""

    is_skip: Tensor

    def __init__(self, space: Space, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__(in_dim, out_dim, op_dim)
        self.live_ops = live_ops(space)
        is_skip = torch.tensor([space.edge_vocabulary[k] == space.skip_op for k in self.live_ops], dtype=torch.bool)
        self.register_buffer("is_skip", is_skip[:, None], persistent=False)

    def op_gates(self, ops: Tensor, op_ids: Tensor) -> Tensor:
        """The gates of the K operations that carry something, (K, out_dim); the same for every architecture."""
        return torch.where(self.is_skip, 1.0, self.gates(ops[self.live_ops]))

    def forward(self, states: Tensor, edges: Tensor, gates: Tensor, keep: Tensor) -> Tensor:
        """N' from N (R, V, in_dim), edges (R, V, V - 1, K), gates (K, out_dim) and the nodes that keep their residual (V, 1)."""
        x = states @ self.weight
        messages = torch.einsum("rjh,kh->rjkh", x[:, :-1], gates)  # what node j would send through an edge with operation k
        return torch.einsum("rijk,rjkh->rih", edges, messages) + x * keep
