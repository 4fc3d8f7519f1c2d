"""What several learned encoders compute on the matrices of a cell."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


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
