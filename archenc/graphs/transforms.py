"""Changes of form over a whole batch: reachability, pruning, bypassing, line graphs.

Every function works on dense arrays (R, V, V); loops run over nodes, never over architectures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from archenc.graphs.conventions import ABSENT, EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, PAD
from archenc.graphs.paths import on_path
from archenc.graphs.store import ArchGraphs

WIDE = 64
"""Nodes from which on the work of a batch follows the nodes that it has, and not those that its space
allows.
"""


def narrowed(graphs: ArchGraphs, spare: int = 0) -> ArchGraphs:
    """Graphs of many nodes without the last places that no row uses, but for ``spare`` of them; others as
    they are.

    Of graphs with operations on nodes. The result is no batch of the space any more, whose arrays all have as
    many nodes: it is for what passes over a batch once, or is :func:`widened` again.
    """
    nodes = graphs.num_nodes
    if nodes < WIDE or graphs.op_on == "edge" or not len(graphs.mask):
        return graphs
    edges = graphs.adjacency.amax(0)
    used = (edges.amax(0) > 0) | (edges.amax(1) > 0) | (graphs.ops != PAD).any(0) | graphs.mask.any(0)
    used[: graphs.space.num_inputs] = True
    kept = int(used[:-1].nonzero().max()) + 1 + spare
    if kept >= nodes - 1:
        return graphs
    place = torch.tensor([*range(kept), nodes - 1], device=graphs.device)
    return graphs.map_arrays(
        lambda array: array[:, place] if array is not graphs.adjacency else array[:, place][:, :, place]
    )


def widened(graphs: ArchGraphs, nodes: int) -> ArchGraphs:
    """Graphs with operations on nodes, and without features, in arrays of as many nodes as that, the output
    last.
    """
    more = nodes - graphs.num_nodes
    if not more:
        return graphs
    ops, mask = (
        torch.cat([array[:, :-1], array.new_zeros(len(array), more), array[:, -1:]], 1)
        for array in (graphs.ops, graphs.mask)
    )
    adjacency = graphs.adjacency.new_zeros(len(ops), nodes, nodes)
    last = graphs.num_nodes - 1
    adjacency[:, :last, :last] = graphs.adjacency[:, :last, :last]
    adjacency[:, :last, -1] = graphs.adjacency[:, :last, -1]
    return replace(graphs, adjacency=adjacency, ops=ops, mask=mask)


def permute_nodes(graphs: ArchGraphs, order: Tensor) -> ArchGraphs:
    """Reorder nodes: new node ``k`` of row ``r`` is old node ``order[r, k]``; ``order`` is int64 (R, V)."""

    def single(values: Tensor) -> Tensor:
        return values.gather(
            -1,
            order.reshape(order.shape[0], *([1] * (values.dim() - 2)), order.shape[1]).expand(values.shape),
        )

    def both(matrix: Tensor) -> Tensor:
        index = order.reshape(order.shape[0], *([1] * (matrix.dim() - 3)), order.shape[1])
        rows = index.unsqueeze(-1).expand(matrix.shape)
        return matrix.gather(-2, rows).gather(-1, index.unsqueeze(-2).expand(matrix.shape))

    of_ops = single if graphs.op_on == "node" else both
    features = None if graphs.features is None else of_ops(graphs.features.movedim(-1, 1)).movedim(1, -1)
    return replace(
        graphs,
        adjacency=both(graphs.adjacency),
        ops=of_ops(graphs.ops),
        mask=single(graphs.mask),
        features=features,
    )


def keep_nodes(graphs: ArchGraphs, keep: Tensor) -> ArchGraphs:
    """The graphs without the nodes where ``keep`` (R, V) is False and without their edges; the rest closes
    up, the output stays last.

    Input nodes and the output node are always kept.
    """
    keep = keep & graphs.mask
    keep[:, : graphs.space.num_inputs] = True
    keep[:, -1] = True
    pairs = keep[:, :, None] & keep[:, None, :]
    if graphs.op_on == "node":
        ops = torch.where(keep, graphs.ops, PAD)
    else:
        ops = graphs.ops * (pairs if graphs.ops.dim() == 3 else pairs.unsqueeze(1))
    cut = replace(graphs, adjacency=graphs.adjacency * pairs, ops=ops, mask=keep).with_features(
        graphs.features
    )
    place = torch.where(keep, 0, 1)
    place[:, -1] = 2  # behind the padding
    return permute_nodes(cut, torch.argsort(place, dim=1, stable=True))


def prune(graphs: ArchGraphs) -> ArchGraphs:
    """The graphs without the nodes that lie on no input-output path, whatever their operations are
    (NAS-Bench-101, section 2).
    """
    return keep_nodes(graphs, on_path(graphs.adjacency, graphs.space.num_inputs))


def bypass_nodes(graphs: ArchGraphs, bypass: Tensor) -> ArchGraphs:
    """Op-on-node graphs in which each node where ``bypass`` (R, V) is True is replaced by edges from its
    sources to its targets.

    Two routes between the same pair of nodes become one edge: an adjacency matrix does not count them.
    """
    edges = graphs.adjacency.bool()
    for node in range(graphs.num_nodes):
        through = bypass[:, node, None, None] & edges[:, :, node, None] & edges[:, node, None, :]
        edges = edges | through
    return keep_nodes(replace(graphs, adjacency=edges.to(torch.uint8)), ~bypass)


def node_op(graphs: ArchGraphs, name: str | None) -> Tensor:
    """Bool (R, V): the nodes that carry the operation called ``name`` (nowhere, if the space has none
    such).
    """
    if name is None:
        return torch.zeros_like(graphs.mask)
    carries: Tensor = graphs.ops == graphs.space.operations.index(name) + NODE_OFFSET
    return carries


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

    A skip edge stays: between given nodes it cannot be bypassed without a change of the node set. Encoders
    that work on edges treat it as the identity (GATES' fixed gate); the node form (:func:`line_graph`)
    bypasses it.
    """
    live = live_edges(graphs)
    used = on_path(live.any(1), graphs.space.num_inputs)
    live &= (used[:, :, None] & used[:, None, :]).unsqueeze(1)
    ops = torch.where(live, graphs.edge_ops(), ABSENT).reshape(graphs.ops.shape)
    return replace(graphs, adjacency=live.any(1).to(torch.uint8), ops=ops).with_features(graphs.features)


def simplify(graphs: ArchGraphs) -> ArchGraphs:
    """The same computations without what computes nothing; see :func:`simplify_nodes` and
    :func:`simplify_edges`.
    """
    simple = simplify_nodes(graphs) if graphs.op_on == "node" else simplify_edges(graphs)
    return replace(simple, simplified=True)


def line_graph(graphs: ArchGraphs) -> ArchGraphs:
    """Op-on-edge graphs in op-on-node form: each operation becomes a node, between the input nodes and one
    output node.

    An operation on edge i -> j feeds the operations on edges j -> k; operations that leave an input node are
    fed by it, those that enter the output node feed it. The nodes are ordered by (target, source, slot),
    which is a topological order and the order of NAS-Bench-201's architecture string. Slots that no
    architecture of the space can use get no node, and absent operations are padding. Features go with their
    operations; those of the input and output nodes are zero.
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
    features = graphs.edge_features()
    if features is not None:
        features = pad(features[:, slot, source, target], (0, 0, space.num_inputs, 1))
    return keep_nodes(
        replace(graphs, adjacency=adjacency, ops=ops, mask=mask, simplified=False, features=features), mask
    )


def isomorphic_twin(graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
    """The same architectures with their interior nodes relabelled at random, in a topological order.

    In a space of a fixed topology only relabellings that give back that topology are used; where a "none"
    edge would then point backwards, it is turned round, as it carries nothing. Rows without such a
    relabelling stay as they are.
    """
    rng = np.random.default_rng(seed)
    turnable = graphs.op_on == "edge" and graphs.space.topology is not None
    live = live_edges(graphs).any(1) if turnable else graphs.adjacency.bool()
    order = _random_topological_order(live, graphs.mask, graphs.space.num_inputs, rng)
    twin = permute_nodes(graphs, order)
    if graphs.op_on == "edge":
        ops, features = _turned(twin.ops), twin.features
        if features is not None:
            features = _turned(features.movedim(-1, 1)).movedim(1, -1)
        adjacency = (ops.reshape(graphs.edge_ops().shape) != ABSENT).any(1).to(torch.uint8)
        twin = replace(twin, ops=ops, adjacency=adjacency, features=features)
    if graphs.space.topology is None:
        return twin
    same = (twin.adjacency == graphs.adjacency).flatten(1).all(1)

    def chosen(turned: Tensor, given: Tensor) -> Tensor:
        return torch.where(same.reshape(-1, *([1] * (given.dim() - 1))), turned, given)

    features = (
        None if twin.features is None or graphs.features is None else chosen(twin.features, graphs.features)
    )
    return replace(
        graphs, ops=chosen(twin.ops, graphs.ops), mask=chosen(twin.mask, graphs.mask), features=features
    )


def _turned(edges: Tensor) -> Tensor:
    """(..., V, V) with what points backwards turned round."""
    return edges.triu() + edges.tril().transpose(-1, -2)


def _random_topological_order(
    edges: Tensor, mask: Tensor, num_inputs: int, rng: np.random.Generator
) -> Tensor:
    """int64 (R, V): inputs first, then the interior nodes in random topological order, padding and the output
    node where they are.
    """
    rows, nodes = mask.shape
    order = torch.arange(nodes).repeat(rows, 1)
    open_ = mask.clone()
    open_[:, :num_inputs] = False
    open_[:, -1] = False
    for place in range(num_inputs, nodes - 1):
        waiting = (edges & open_[:, :, None]).any(1)
        ready = open_ & ~waiting
        chosen = (torch.from_numpy(rng.random((rows, nodes))) * ready).argmax(1)
        any_left = open_.any(1)
        order[:, place] = torch.where(any_left, chosen, order[:, place])
        open_[any_left.nonzero()[:, 0], chosen[any_left]] = False
    return order
