"""GATES: information flows from the input through the cell, and operations gate it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, one_hot

from archenc.encoder import LocalEncoder
from archenc.encoders.modules.nodes import OperationEmbedding
from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, ArchGraphs, OpOn
from archenc.graphs.flow import Flow, Rows, receiving
from archenc.registry.rules import Layers, Size
from archenc.spaces.base import Space

Readout = Literal["mean", "output"]


class GATESEncoder(LocalEncoder):
    r"""Graph-based Architecture encoding (Ning et al., ECCV 2020, section 3.2).

    The state N of the nodes starts at the input and flows along the edges; every operation is a soft gate on
    what passes it. With :math:`A_{ij} = 1` for an edge from j into i, e the operations' embeddings,
    :math:`X = N W`, and :math:`R_i = X_i` on input nodes and 0 elsewhere, a layer computes, for operations on
    nodes and for operations on edges of which up to S may join a pair of nodes,

    .. math::

        N'_i &= \sigma(W_o e_i + b_o) \odot \big((A + I) X\big)_i + R_i + b

        N'_i &= \frac{1}{S} \sum_{j, s} \sigma(W_o e_{ijs} + b_o) \odot X_j + R_i

    with a ReLU after every layer but the last. On edges, "none" carries nothing and the gate of a skip
    connection is 1.

    Args:
        space: any space.
        form: where the operations are taken to sit, by default where the space has them. ``"node"`` puts
            those of an op-on-edge space on the nodes of its line graph, where ``simplify`` can bypass skip
            connections too.
        layers: output size of each layer.
        op_dim: length of an operation's embedding.
        node_dim: length of a node's initial vector.
        hidden_dim: length of the first node states.
        readout: ``"mean"`` over all nodes but the inputs, with a constant divisor, as padding counts as zero
            (default for operations on nodes), or the ``"output"`` node alone (default for operations on
            edges).
        simplify: simplify the graphs first; on edges, skip connections stay and keep their gate of 1.

    Shapes:
        R rows of V nodes; returns (R, layers[-1]).

    Deviation: the gates are computed on the table of operations and gathered, which gives the same numbers as
    computing them at every node.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("gates", space, layers=(32, 32))
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 32])
    """

    invariant = True
    paper: ClassVar[str] = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, arXiv:2004.01899"
    )

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
        layer = GATESNodeLayer if self.form == "node" else GATESEdgeLayer
        sizes = pairwise([hidden_dim, *layers])
        self.flow = nn.ModuleList(layer(space, size, out, op_dim) for size, out in sizes)
        self.depth = len(layers)

    def first_states(self, graphs: ArchGraphs) -> Tensor:
        return self.initial_state.rows(graphs)

    def edges(self, graphs: ArchGraphs) -> Tensor:
        """Operations on nodes: A + I, float32 (R, V, V). On edges: how many edges with operation k lead from
        j into i, over S, (R, V, V - 1, K), for the operations that carry something (:func:`live_ops`) and all
        senders j but the output.
        """
        if graphs.op_on == "node":
            return receiving(graphs.adjacency, graphs.mask, self_loops=True, normalise=False)
        ops = one_hot(graphs.edge_ops()[:, :, :-1].long(), graphs.num_ops)[..., live_ops(graphs.space)]
        return ops.float().mean(dim=1).transpose(1, 2)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        passing, ops = self.passing(graphs), self.op_embedding()
        states = passing.start(self.initial_state())
        layers = cast("Sequence[GATESNodeLayer | GATESEdgeLayer]", self.flow)
        for layer, rows in zip(layers, passing.layers, strict=True):
            states = layer(states, rows, layer.op_gates(ops, rows))
            if layer is not layers[-1]:
                states = torch.relu(states)
        return readout(states, passing, graphs, self.readout)


class InitialState(nn.Module):
    """Node states before the first layer: each input of each cell has a learned vector.

    The other nodes share one that starts at zero and is learned where operations sit on nodes; on edges it
    stays zero.
    """

    def __init__(self, space: Space, node_dim: int, hidden_dim: int, *, learn_others: bool) -> None:
        super().__init__()
        self.cells, self.num_inputs = space.cells, space.num_inputs
        self.inputs = nn.Parameter(torch.randn(space.cells, space.num_inputs, node_dim))
        self.others = nn.Parameter(torch.zeros(space.cells, 1, node_dim)) if learn_others else None
        self.linear = nn.Linear(node_dim, hidden_dim)

    def forward(self) -> Tensor:
        """The table of states, (cells (num_inputs + 1), hidden_dim)."""
        others = torch.zeros_like(self.inputs[:, :1]) if self.others is None else self.others
        states: Tensor = self.linear(torch.cat([self.inputs, others], dim=1).flatten(0, 1))
        return states

    def rows(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, V): which row of the table each node has."""
        cells = torch.arange(graphs.adjacency.shape[0], device=graphs.device) % self.cells
        nodes = torch.arange(graphs.num_nodes, device=graphs.device).clamp(max=self.num_inputs)
        return cells[:, None] * (self.num_inputs + 1) + nodes


class GATESLayer(nn.Module):
    """What all layers share: the weight W and the gates' map W_o, b_o."""

    def __init__(self, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__()
        self.bound = out_dim**-0.5
        self.weight = nn.Parameter(torch.empty(in_dim, out_dim).uniform_(-self.bound, self.bound))
        self.gate = nn.Linear(op_dim, out_dim)

    def gates(self, ops: Tensor) -> Tensor:
        """Operation vectors (..., op_dim) to gates (..., out_dim)."""
        return torch.sigmoid(self.gate(ops))


class GATESNodeLayer(GATESLayer):
    """A layer for operations on nodes."""

    def __init__(self, space: Space, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__(in_dim, out_dim, op_dim)
        self.bias = nn.Parameter(torch.empty(out_dim).uniform_(-self.bound, self.bound))

    def op_gates(self, ops: Tensor, rows: Rows) -> Tensor:
        """The gate of each row, (..., out_dim), from the table of operations."""
        return embedding(rows.kinds, self.gates(ops))

    def forward(self, states: Tensor, rows: Rows, gates: Tensor) -> Tensor:
        """N' (..., out_dim) from the rows' N of the layer before, over A + I, and gates (..., out_dim).

        An input has no predecessor, so that ((A + I) X)_i = X_i and its residual is one more unit of its
        gate.
        """
        return torch.addcmul(self.bias, gates + rows.is_input, rows.received(states @ self.weight))


def live_ops(space: Space) -> list[int]:
    """Ids of the operations on edges that carry something: all but "none"."""
    return [k for k, name in enumerate(space.edge_vocabulary) if k >= EDGE_OFFSET and name != space.none_op]


class GATESEdgeLayer(GATESLayer):
    """A layer for operations on edges, of which up to S may join a pair of nodes."""

    is_skip: Tensor

    def __init__(self, space: Space, in_dim: int, out_dim: int, op_dim: int) -> None:
        super().__init__(in_dim, out_dim, op_dim)
        self.live_ops = live_ops(space)
        is_skip = [space.edge_vocabulary[k] == space.skip_op for k in self.live_ops]
        self.register_buffer("is_skip", torch.tensor(is_skip, dtype=torch.bool)[:, None], persistent=False)

    def op_gates(self, ops: Tensor, rows: Rows) -> Tensor:
        """Gates of the K operations that carry something, (K, out_dim); the same for every row."""
        return torch.where(self.is_skip, 1.0, self.gates(ops[self.live_ops]))

    def forward(self, states: Tensor, rows: Rows, gates: Tensor) -> Tensor:
        """N' (..., out_dim) from the rows' N of the layer before and gates (K, out_dim)."""
        x = states @ self.weight
        return rows.received(x, gates) + rows.own(x) * rows.is_input


# -- what GATES and TA-GATES take from their parameters -----------------------------------------------------


def chosen_form(space: Space, form: OpOn | None) -> OpOn:
    """Where operations are taken to sit: ``form``, or where the space has them.

    Raises:
        InvalidParameter: operations on edges in a space that has them on nodes.
    """
    if form == "edge" and space.op_on == "node":
        raise InvalidParameter(f"the operations of {space.name!r} cannot be put on edges; leave form out")
    return form or space.op_on


def chosen_readout(form: OpOn, readout: Readout | None) -> Readout:
    """``readout``, or the published one for the form."""
    return readout or ("mean" if form == "node" else "output")


def readout(states: Tensor, flow: Flow, graphs: ArchGraphs, kind: Readout) -> Tensor:
    """(R, size): the output node's state, or the mean over all nodes but the inputs."""
    if kind == "output":
        return flow.last(states)
    return flow.mean(states, graphs.mask, graphs.space.num_inputs)
