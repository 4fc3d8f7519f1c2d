"""Changes of form over a whole batch: reachability, pruning, bypassing, line graphs.

Every function works on dense arrays (R, V, V); loops run over nodes, never over architectures.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from archenc.graphs import ABSENT, EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, PAD, ArchGraphs


def reachability(adjacency: Tensor) -> Tensor:
    """Transitive closure: uint8 (R, V, V), 1 where a path of at least one edge leads from i to j."""
    closure = adjacency.bool()
    for node in range(adjacency.shape[-1]):  # Warshall: allow paths through one more node at a time
        closure = closure | (closure[:, :, node, None] & closure[:, None, node, :])
    return closure.to(torch.uint8)


def on_path(adjacency: Tensor, num_inputs: int = 1) -> Tensor:
    """Bool (R, V): the nodes that lie on some path from an input node to the output node (both ends included)."""
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


def permute_nodes(graphs: ArchGraphs, order: Tensor) -> ArchGraphs:
    """Reorder nodes: new node ``k`` of row ``r`` is old node ``order[r, k]``; ``order`` is int64 (R, V)."""

    def both(matrix: Tensor) -> Tensor:
        index = order.reshape(order.shape[0], *([1] * (matrix.dim() - 3)), order.shape[1])
        rows = index.unsqueeze(-1).expand(matrix.shape)
        return matrix.gather(-2, rows).gather(-1, index.unsqueeze(-2).expand(matrix.shape))

    ops = graphs.ops.gather(1, order) if graphs.op_on == "node" else both(graphs.ops)
    return replace(graphs, adjacency=both(graphs.adjacency), ops=ops, mask=graphs.mask.gather(1, order))


def keep_nodes(graphs: ArchGraphs, keep: Tensor) -> ArchGraphs:
    """Op-on-node graphs without the nodes where ``keep`` (R, V) is False; the rest closes up, the output stays last.

    Input and output nodes are always kept.
    """
    ends = (graphs.ops == INPUT) | (graphs.ops == OUTPUT)
    keep = (keep & graphs.mask) | ends
    pairs = keep[:, :, None] & keep[:, None, :]
    cut = replace(
        graphs,
        adjacency=graphs.adjacency * pairs,
        ops=torch.where(keep, graphs.ops, PAD),
        mask=keep,
    )
    place = torch.where(keep, 0, 1)
    place[:, -1] = 2  # behind the padding
    return permute_nodes(cut, torch.argsort(place, dim=1, stable=True))


def bypass_nodes(graphs: ArchGraphs, bypass: Tensor) -> ArchGraphs:
    """Op-on-node graphs in which each node where ``bypass`` (R, V) is True is replaced by edges from its sources to its targets.

    Two routes between the same pair of nodes become one edge: an adjacency matrix does not count them.
    """
    edges = graphs.adjacency.bool()
    for node in range(graphs.num_nodes):
        through = bypass[:, node, None, None] & edges[:, :, node, None] & edges[:, node, None, :]
        edges = edges | through
    return keep_nodes(replace(graphs, adjacency=edges.to(torch.uint8)), ~bypass)


def node_op(graphs: ArchGraphs, name: str | None) -> Tensor:
    """Bool (R, V): the nodes that carry the operation called ``name`` (nowhere, if the space has none such)."""
    if name is None:
        return torch.zeros_like(graphs.mask)
    return graphs.ops == graphs.space.operations.index(name) + NODE_OFFSET


def simplify_nodes(graphs: ArchGraphs) -> ArchGraphs:
    """Cut "none" nodes and nodes on no input-output path, then bypass skip connections."""
    space = graphs.space
    alive = ~node_op(graphs, space.none_op) & graphs.mask
    edges = graphs.adjacency * (alive[:, :, None] & alive[:, None, :])
    used = on_path(edges, space.num_inputs)
    pruned = keep_nodes(replace(graphs, adjacency=edges), used)
    return bypass_nodes(pruned, node_op(pruned, space.skip_op)) if space.skip_op is not None else pruned


def live_edges(graphs: ArchGraphs) -> Tensor:
    """Bool like ``edge_ops()`` (R, S, V, V): edges that carry an operation other than "none"."""
    ops = graphs.edge_ops()
    live = ops != ABSENT
    if graphs.space.none_op is not None:
        live &= ops != graphs.space.operations.index(graphs.space.none_op) + EDGE_OFFSET
    return live


def simplify_edges(graphs: ArchGraphs) -> ArchGraphs:
    """Cut "none" edges and edges on no input-output path.

    A skip edge stays: between given nodes it cannot be bypassed without a change of the node set. Encoders that work on edges treat it as
    the identity (GATES' fixed gate); the node form (:func:`line_graph`) bypasses it.
    """
    live = live_edges(graphs)
    used = on_path(live.any(1), graphs.space.num_inputs)
    live &= (used[:, :, None] & used[:, None, :]).unsqueeze(1)
    ops = torch.where(live, graphs.edge_ops(), ABSENT)
    return replace(graphs, adjacency=live.any(1).to(torch.uint8), ops=ops.reshape(graphs.ops.shape))


def simplify(graphs: ArchGraphs) -> ArchGraphs:
    """The same computations without what computes nothing; see :func:`simplify_nodes` and :func:`simplify_edges`."""
    simple = simplify_nodes(graphs) if graphs.op_on == "node" else simplify_edges(graphs)
    return replace(simple, simplified=True)


def line_graph(graphs: ArchGraphs) -> ArchGraphs:
    """Op-on-edge graphs in op-on-node form: each operation becomes a node, between the input nodes and one output node.

    An operation on edge i -> j feeds the operations on edges j -> k; operations that leave an input node are fed by it, those that enter
    the output node feed it. The nodes are ordered by (target, source, slot), which is a topological order and the order of
    NAS-Bench-201's architecture string. Slots that no architecture of the space can use get no node, and absent operations are padding.
    """
    space = graphs.space
    slots = space.edge_slots()  # (E, 3): source, target, slot
    source, target, slot = slots.T
    ends = torch.cat([torch.arange(space.num_inputs), target, torch.tensor([-2])])
    starts = torch.cat([torch.full((space.num_inputs,), -1), source, torch.tensor([graphs.num_nodes - 1])])
    template = (ends[:, None] == starts[None, :]).to(graphs.device)

    ids = graphs.edge_ops()[:, slot, source, target]
    rows = ids.shape[0]
    ids = torch.where(ids == ABSENT, PAD, ids - EDGE_OFFSET + NODE_OFFSET)
    first = torch.full((rows, space.num_inputs), INPUT, dtype=ids.dtype, device=ids.device)
    last = torch.full((rows, 1), OUTPUT, dtype=ids.dtype, device=ids.device)
    ops = torch.cat([first, ids, last], dim=1).to(torch.uint8)
    mask = ops != PAD
    adjacency = (template & mask[:, :, None] & mask[:, None, :]).to(torch.uint8)
    return keep_nodes(replace(graphs, adjacency=adjacency, ops=ops, mask=mask, simplified=False), mask)
