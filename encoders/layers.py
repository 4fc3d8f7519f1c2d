"""Modules that several learned encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archenc.graphs import ArchGraphs
from archenc.spaces.base import Space


class OperationFeatures(nn.Module):
    """A learned vector for each kind of node (padding, inputs, output, operations), mapped linearly: e -> E e + c.

    What follows is done once on this small table and then gathered, which gives the same numbers as doing it at every node. Each input
    of a cell has a vector of its own.

    Args:
        space: the search space.
        op_dim: length of a vector.
        out_dim: length after the linear map.
    """

    def __init__(self, space: Space, op_dim: int, out_dim: int) -> None:
        super().__init__()
        kinds = len(space.node_vocabulary)
        self.embedding = nn.Parameter(torch.randn(kinds + space.num_inputs - 1, op_dim))
        self.linear = nn.Linear(op_dim, out_dim)
        # the first input is in the vocabulary, the others follow behind it
        self.further_inputs = torch.arange(kinds, kinds + space.num_inputs - 1)

    def forward(self) -> Tensor:
        """The table, (kinds, out_dim)."""
        features: Tensor = self.linear(self.embedding)
        return features

    def rows(self, graphs: ArchGraphs) -> Tensor:
        """Int64 (R, V): each node's row of the table, for graphs with operations on nodes."""
        rows, inputs = graphs.ops.long(), len(self.further_inputs)
        further = self.further_inputs.to(rows.device).expand(len(rows), inputs)
        return torch.cat([rows[:, :1], further, rows[:, inputs + 1 :]], dim=1)


def receiving(adjacency: Tensor, mask: Tensor, *, self_loops: bool, normalise: bool) -> Tensor:
    """The matrix A of a graph convolution, float32 (R, V, V): ``A[i, j]`` is the weight of the message from j to i.

    Args:
        adjacency: (R, V, V) with ``adjacency[i, j] = 1`` for an edge from i to j.
        mask: bool (R, V).
        self_loops: A + I, on the nodes that exist.
        normalise: A_ij / sqrt(r_i c_j) with row and column sums r and c (1 where they are 0): Kipf and Welling's
            D^-1/2 A D^-1/2 for directed edges.
    """
    a = adjacency.transpose(1, 2).float()
    if self_loops:
        a = a + torch.diag_embed(mask.float())
    if normalise:
        received, sent = a.sum(2, keepdim=True), a.sum(1, keepdim=True)
        a = a / (received.clamp(min=1) * sent.clamp(min=1)).sqrt()
    return a


def mean_over_nodes(states: Tensor, mask: Tensor) -> Tensor:
    """(R, V, d) to (R, d): the sum over existing nodes by V, which stays the divisor where there is padding."""
    return (states * mask[..., None]).sum(1) / mask.shape[1]
