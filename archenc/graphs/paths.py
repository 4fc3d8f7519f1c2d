"""Which nodes of a cell lie on paths, from adjacency matrices alone: of many cells by loops over nodes, never
over architectures, and of one that is being read, by sets of nodes.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture
from archenc.files.text import shown


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


# -- of one graph -------------------------------------------------------------------------------------------


def target_sets(adjacency: np.ndarray) -> list[int]:
    """For each node of a matrix (n, n) of zeros and ones the nodes to which an edge leads, as a number whose
    byte t is 1 for node t: such sets are joined and compared at once.
    """
    flat, nodes = adjacency.tobytes(), len(adjacency)
    return [int.from_bytes(flat[first : first + nodes], "little") for first in range(0, nodes**2, nodes)]


def topological_order(targets: list[int], inputs: list[int], output: int, where: str) -> list[int]:
    """Inputs first, output last, and of the nodes that could come next always the lowest.

    Args:
        targets: of each node, as :func:`target_sets` gives them.
        inputs: nodes.
        output: a node.
        where: what the graph is called in messages.

    Raises:
        InvalidArchitecture: there is a cycle.
    """
    nodes = len(targets)
    ends = inputs == list(range(len(inputs))) and output == nodes - 1
    if ends and not any(edges & (1 << 8 * node + 8) - 1 for node, edges in enumerate(targets)):
        return list(range(nodes))  # every edge leads from a lower to a higher number
    following = [
        [target for target, edge in enumerate(edges.to_bytes(nodes, "little")) if edge] for edges in targets
    ]
    waiting = [0] * nodes
    for target in chain.from_iterable(following):
        waiting[target] += 1
    order: list[int] = []
    ready = [(node not in inputs, node) for node in range(nodes) if waiting[node] == 0]
    heapify(ready)
    while ready:
        node = heappop(ready)[1]
        order.append(node)
        for target in following[node]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heappush(ready, (target not in inputs, target))
    if len(order) < nodes:
        stuck = sorted(set(range(nodes)) - set(order))
        raise InvalidArchitecture(
            f"{where}: the graph has a cycle among the nodes {shown(stuck)}; remove an edge of it"
        )
    middle = [node for node in order if node not in inputs and node != output]
    return [*inputs, *middle, output]


def nodes_on_path(targets: list[int], order: list[int], inputs: list[int], output: int) -> bytes:
    """For each node 1 if it lies on a path from an input to the output, else 0; the arguments are those of
    :func:`topological_order`, and what it gives.
    """
    ahead = sum(1 << 8 * node for node in inputs)
    behind = 1 << 8 * output
    for node in order:
        if ahead >> 8 * node & 1:
            ahead |= targets[node]
    for node in reversed(order):
        if targets[node] & behind:
            behind |= 1 << 8 * node
    return (ahead & behind).to_bytes(len(targets), "little")
