"""Which nodes of a cell lie on paths, from adjacency matrices alone.

Loops run over nodes, never over architectures.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reachability(adjacency: Tensor) -> Tensor:
    """Transitive closure: uint8 (R, V, V), 1 where a path of at least one edge leads from i to j."""
    closure = adjacency.bool()
    for node in range(adjacency.shape[-1]):  # Warshall: allow paths through one more node at a time
        closure = closure | (closure[:, :, node, None] & closure[:, None, node, :])
    return closure.to(torch.uint8)


def on_path(adjacency: Tensor, num_inputs: int = 1) -> Tensor:
    """Bool (R, V): the nodes that lie on some path from an input node to the output node (both ends
    included).
    """
    edges = adjacency.bool()
    nodes = adjacency.shape[-1]
    ahead = torch.zeros(edges.shape[:2], dtype=torch.bool, device=edges.device)
    ahead[:, :num_inputs] = True
    behind = torch.zeros_like(ahead)
    behind[:, -1] = True
    for node in range(num_inputs, nodes):
        ahead[:, node] |= (ahead & edges[:, :, node]).any(1)
    for node in range(nodes - 2, -1, -1):
        behind[:, node] |= (behind & edges[:, node, :]).any(1)
    return ahead & behind


def is_connected(adjacency: Tensor, num_inputs: int = 1) -> Tensor:
    """Bool (R,): whether any path leads from an input node to the output node."""
    return on_path(adjacency, num_inputs)[:, -1]
