"""TA-GATES: operations are encoded by imitating how an architecture is trained, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.encoders.gates import (
    Flow,
    InitialState,
    NodeFlow,
    OperationEmbedding,
    Readout,
    chosen_form,
    chosen_readout,
    is_input,
    read,
)
from archenc.encoders.layers import receiving
from archenc.errors import InvalidParameter
from archenc.graphs import ABSENT, EDGE_OFFSET, ArchGraphs, OpOn
from archenc.spaces.base import Space

SymmetryBreaking = Literal["none", "random"]


class TAGATESEncoder(Encoder):
    r"""Training-Analogous GATES (Ning et al., NeurIPS 2022, section 3).

    The vectors e of the operations of one architecture start from those of their kinds and are refined over T steps. Step t is

    1. forward: GATES' layers carry the information from the input through the cell, gated by e, to node states y;
    2. the gradient of a loss at the output is imitated by an MLP of the output's state, :math:`b = \mathrm{MLP}_b(y_\text{out})`;
    3. backward: further GATES layers carry b along the reversed edges, gated by e, to node states b_y;
    4. update: :math:`e \leftarrow e + 0.1\, M \odot \mathrm{MLP}_u([\bar e; \bar y; b_y])`, where a bar stops the gradient and M masks
       the operations that are updated.

    The last step is the forward pass alone, and its node states are read out as in GATES. Weights are shared over the steps. For
    operations on edges, y and b_y in the update are the messages of the last layers through the edge itself.

    Args:
        space: any space.
        steps: T; by default 3 for operations on nodes and 4 on edges.
        form: where the operations are taken to sit, see :class:`archenc.encoders.gates.GATESEncoder`.
        layers: output size of each forward and each backward layer; by default 5 x 128 on nodes and 3 x 128 on edges.
        op_dim, node_dim, hidden_dim, readout: as in GATES.
        update_dim: hidden size of the MLP of the update.
        symmetry_breaking: ``"random"`` adds noise from N(0, 0.1²) to the first operation vectors in training, so that equal operations in
            different places get different vectors; ``"none"`` does not.
        simplify: simplify the graphs first.

    Shapes:
        R rows; returns (R, layers[-1]).

    On edges only the operations with parameters are updated (all but "none", skip connections and pooling), on nodes all are, as in the
    published configurations.

    Deviations: the paper's main results break the symmetry with per-operation zero-cost scores that were not published; these rows are
    TA-GATES without them. Noise is drawn in training only, so that an architecture has one encoding. Where several edges join a pair of
    nodes, the update sees messages as for one edge; the published configurations of such cells use the states of the edge's ends.
    """

    invariant = True
    paper: ClassVar[str] = "Ning et al., TA-GATES: An Encoding Scheme for Neural Network Architectures, NeurIPS 2022"

    def __init__(
        self,
        space: Space,
        *,
        steps: int | None = None,
        form: OpOn | None = None,
        layers: Sequence[int] | None = None,
        op_dim: int = 48,
        node_dim: int = 48,
        hidden_dim: int = 96,
        update_dim: int = 128,
        readout: Readout | None = None,
        symmetry_breaking: SymmetryBreaking = "none",
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        if symmetry_breaking not in get_args(SymmetryBreaking):
            raise InvalidParameter(f"there is no symmetry_breaking {symmetry_breaking!r}; choose 'none' or 'random'")
        self.form = chosen_form(space, form)
        on_nodes = self.form == "node"
        self.steps = steps or (3 if on_nodes else 4)
        self.readout = chosen_readout(self.form, readout)
        self.symmetry_breaking = symmetry_breaking
        sizes = layers or [128] * (5 if on_nodes else 3)
        self.cell_dim = sizes[-1]
        self.op_embedding = OperationEmbedding(space, self.form, op_dim)
        self.initial_state = InitialState(space, node_dim, hidden_dim, learn_others=on_nodes)
        stack = NodeStack if on_nodes else EdgeStack
        self.forward_flow = stack(space, [hidden_dim, *sizes], op_dim)
        self.backward_flow = stack(space, [self.cell_dim, *sizes], op_dim)
        self.output_gradient = mlp(self.cell_dim, self.cell_dim, self.cell_dim)
        self.update = mlp(op_dim + 2 * self.cell_dim, update_dim, op_dim)
        self.register_buffer("updated", torch.tensor(updated_ops(space, self.form))[:, None], persistent=False)

    updated: Tensor

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        ids = self.forward_flow.op_ids(graphs).long()
        table: Tensor = self.op_embedding()
        ops = table[ids]
        if self.symmetry_breaking == "random" and self.training:
            ops = ops + 0.1 * torch.randn_like(ops)
        first: Tensor = self.initial_state(graphs)
        ahead, behind = self.forward_flow.edges(graphs, reverse=False), self.backward_flow.edges(graphs, reverse=True)
        is_output = torch.arange(graphs.num_nodes, device=graphs.device)[:, None] == graphs.num_nodes - 1
        updated = self.updated[ids]
        for _ in range(self.steps - 1):
            states, passed = self.forward_flow(first, ahead, ops, ids, is_input(graphs))
            gradient = self.output_gradient(states[:, -1:]) * is_output
            _, returned = self.backward_flow(gradient, behind, ops, ids, is_output)
            change = self.update(torch.cat([ops.detach(), passed.detach(), returned], dim=-1))
            ops = ops + 0.1 * updated * change
        states, _ = self.forward_flow(first, ahead, ops, ids, is_input(graphs))
        return read(states, graphs, self.readout)


def mlp(in_dim: int, hidden: int, out_dim: int) -> nn.Sequential:
    """Linear, ReLU, Linear."""
    return nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, out_dim))


def updated_ops(space: Space, form: OpOn) -> list[bool]:
    """M for each id of the vocabulary: everything on nodes; on edges the operations that have parameters."""
    if form == "node":
        return [True] * len(space.node_vocabulary)
    fixed = (space.none_op, space.skip_op)
    return [k >= EDGE_OFFSET and name not in fixed and "pool" not in name for k, name in enumerate(space.edge_vocabulary)]


class NodeStack(nn.Module):
    """GATES' layers for operations on nodes with a vector for each node's operation."""

    def __init__(self, space: Space, sizes: Sequence[int], op_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(NodeFlow(space, size, out, op_dim) for size, out in pairwise(sizes))

    def op_ids(self, graphs: ArchGraphs) -> Tensor:
        """(R, V)."""
        return graphs.ops

    def edges(self, graphs: ArchGraphs, *, reverse: bool) -> Tensor:
        """A + I, or its transpose, (R, V, V), rows receive."""
        a = receiving(graphs.adjacency, graphs.mask, self_loops=True, normalise=False)
        return a.transpose(1, 2) if reverse else a

    def forward(self, states: Tensor, edges: Tensor, ops: Tensor, ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Final states (R, V, size), which are also what the update of the operations sees."""
        edges = edges.to(states.dtype)
        for depth, layer in enumerate(cast("Sequence[NodeFlow]", self.layers)):
            states = layer(states, edges, layer.gates(ops), keep)
            if depth < len(self.layers) - 1:
                states = torch.relu(states)
        return states, states


class EdgeMessages(Flow):
    """One of GATES' layers for operations on edges, with a gate for each edge."""

    def forward(self, states: Tensor, ends: tuple[Tensor, Tensor], gates: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """New states (R, V, size) and the messages (R, E, size) that made them.

        Args:
            states: (R, V, in_dim).
            ends: int64 (E,) sender of each edge, and (V, E) with 1 / S where an edge is received.
            gates: (R, E, size), zero where there is no edge.
            keep: (V, 1), the nodes that keep their residual.
        """
        sender, receiver = ends
        x = states @ self.weight
        messages = gates * x[:, sender]
        return receiver.to(x.dtype) @ messages + x * keep, messages


class EdgeStack(nn.Module):
    """GATES' layers for operations on edges with a vector for each edge's operation; the edges are the slots of the space."""

    slots: Tensor

    def __init__(self, space: Space, sizes: Sequence[int], op_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EdgeMessages(size, out, op_dim) for size, out in pairwise(sizes))
        self.edges_per_pair = space.edges_per_pair
        names = space.edge_vocabulary
        self.register_buffer("slots", space.edge_slots(), persistent=False)
        dead = [k == ABSENT or name == space.none_op for k, name in enumerate(names)]
        fixed = [-math.inf if gone else math.inf if name == space.skip_op else 0.0 for gone, name in zip(dead, names, strict=True)]
        self.register_buffer("fixed", torch.tensor(fixed)[:, None], persistent=False)

    fixed: Tensor

    def op_ids(self, graphs: ArchGraphs) -> Tensor:
        """(R, E)."""
        source, target, slot = self.slots.T
        return graphs.edge_ops()[:, slot, source, target]

    def edges(self, graphs: ArchGraphs, *, reverse: bool) -> tuple[Tensor, Tensor]:
        """Senders (E,) and receivers (V, E); see :class:`EdgeMessages`."""
        source, target, _ = self.slots.T
        sender, receiver = (target, source) if reverse else (source, target)
        nodes = torch.arange(graphs.num_nodes, device=graphs.device)
        return sender, (nodes[:, None] == receiver) / self.edges_per_pair

    def forward(self, states: Tensor, edges: tuple[Tensor, Tensor], ops: Tensor, ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Final states (R, V, size) and the messages of the last layer (R, E, size)."""
        fixed = self.fixed[ids]  # the logistic function of -inf and inf, 0 and 1, are the gates of no edge and of a skip connection
        messages = ops
        for depth, layer in enumerate(cast("Sequence[EdgeMessages]", self.layers)):
            gates = torch.sigmoid(layer.gate(ops) + fixed)
            states, messages = layer(states, edges, gates, keep)
            if depth < len(self.layers) - 1:
                states = torch.relu(states)
        return states, messages
