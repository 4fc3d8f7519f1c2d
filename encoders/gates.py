"""GATES: information flows from the input through the cell, and operations gate it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from archenc.encoder import Encoder
from archenc.encoders.modules.gates_family import (
    GATESLayer,
    GATESNodeLayer,
    InitialState,
    Readout,
    chosen_form,
    chosen_readout,
    is_input,
    readout,
)
from archenc.encoders.modules.layers import receiving
from archenc.encoders.modules.nodes import OperationEmbedding
from archenc.graphs import EDGE_OFFSET, ArchGraphs, OpOn
from archenc.registry.rules import Layers, Size
from archenc.spaces.base import Space


class GATESEncoder(Encoder):
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

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        ops: Tensor = self.op_embedding()
        states: Tensor = self.initial_state(graphs)
        edges = incoming_edges(graphs).to(states.dtype)
        keep = is_input(graphs)
        for depth, layer in enumerate(cast("Sequence[GATESNodeLayer | GATESEdgeLayer]", self.flow)):
            states = layer(states, edges, layer.op_gates(ops, graphs.ops), keep)
            if depth < len(self.flow) - 1:
                states = torch.relu(states)
        return readout(states, graphs, self.readout)


def incoming_edges(graphs: ArchGraphs) -> Tensor:
    """What a layer sums over, rows receive.

    Operations on nodes: A + I, float32 (R, V, V). On edges: how many edges with operation k lead from j into
    i, over S, (R, V, V - 1, K), for the operations that carry something (:func:`live_ops`) and all senders j
    but the output.
    """
    if graphs.op_on == "node":
        return receiving(graphs.adjacency, graphs.mask, self_loops=True, normalise=False)
    ops = one_hot(graphs.edge_ops()[:, :, :-1].long(), graphs.num_ops)[..., live_ops(graphs.space)]
    return ops.float().mean(dim=1).transpose(1, 2)


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

    def op_gates(self, ops: Tensor, op_ids: Tensor) -> Tensor:
        """Gates of the K operations that carry something, (K, out_dim); the same for every architecture."""
        return torch.where(self.is_skip, 1.0, self.gates(ops[self.live_ops]))

    def forward(self, states: Tensor, edges: Tensor, gates: Tensor, keep: Tensor) -> Tensor:
        """N' from N (R, V, in_dim).

        Args:
            states: N.
            edges: (R, V, V - 1, K), see :func:`incoming_edges`.
            gates: (K, out_dim).
            keep: (V, 1), the nodes that keep their residual.
        """
        x = states @ self.weight
        # what node j would send through an edge with operation k
        messages = torch.einsum("rjh,kh->rjkh", x[:, :-1], gates)
        return torch.einsum("rijk,rjkh->rih", edges, messages) + x * keep
