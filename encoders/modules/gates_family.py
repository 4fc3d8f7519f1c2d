"""What GATES and TA-GATES share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from archenc.encoders.modules.layers import mean_over_nodes
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, OpOn
from archenc.spaces.base import Space

Readout = Literal["mean", "output"]


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


def readout(states: Tensor, graphs: ArchGraphs, kind: Readout) -> Tensor:
    """(R, V, size) to (R, size): the output node's state, or the mean over all nodes but the inputs."""
    if kind == "output":
        return states[:, -1]
    behind = graphs.space.num_inputs
    return mean_over_nodes(states[:, behind:], graphs.mask[:, behind:])


def is_input(graphs: ArchGraphs) -> Tensor:
    """Bool (V, 1): the nodes whose residual R is kept."""
    nodes: Tensor = torch.arange(graphs.num_nodes, device=graphs.device)
    return (nodes < int(graphs.space.num_inputs))[:, None]


class InitialState(nn.Module):
    """Node states before the first layer, (R, V, hidden_dim): each input of each cell has a learned vector.

    The other nodes share one that starts at zero and is learned where operations sit on nodes; on edges it
    stays zero.
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

    def op_gates(self, ops: Tensor, op_ids: Tensor) -> Tensor:
        """The gate of each node, (R, V, out_dim), from the table of operations and the nodes' ids (R, V)."""
        return self.gates(ops)[op_ids.long()]

    def forward(self, states: Tensor, edges: Tensor, gates: Tensor, keep: Tensor) -> Tensor:
        """N' from N (R, V, in_dim), A + I (R, V, V), gates (R, V, out_dim) and who keeps the residual (V, 1).

        A node that keeps its residual has no predecessor, so that ((A + I) X)_i = X_i and the residual is one
        more unit of its gate.
        """
        return torch.addcmul(self.bias, gates + keep, edges @ (states @ self.weight))
