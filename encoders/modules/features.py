"""What fixed and sequence encodings read off a cell: edge bits, operation numbers, one-hot vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.spaces.base import Space


def edge_pairs(space: Space, *, simplify: bool = False) -> Tensor:
    """int64 (2, E): sources and targets of the pairs of nodes that one architecture joins and another not.

    In an op-on-node space these are all pairs (i, j) with i < j and j no input node, in the order of the
    adjacency matrix read row by row; none if the topology is fixed, unless the graphs are simplified, which
    may give any of them. Op-on-edge spaces have none: there the operation says whether there is an edge.
    """
    if space.op_on == "edge" or (space.topology is not None and not simplify):
        return torch.zeros((2, 0), dtype=torch.int64)
    nodes = range(space.max_nodes)
    pairs = [(i, j) for i in nodes for j in nodes[space.num_inputs :] if i < j]
    return torch.tensor(pairs, dtype=torch.int64).T


def edge_bits(graphs: ArchGraphs, pairs: Tensor) -> Tensor:
    """Uint8 (R, E): whether each of the ``pairs`` (2, E) is an edge."""
    return graphs.adjacency[:, pairs[0], pairs[1]]


def num_positions(space: Space) -> int:
    """Places of a cell that hold an operation: its interior nodes, or its edge slots."""
    return space.max_nodes - space.num_inputs - 1 if space.op_on == "node" else len(space.edge_slots())


def node_by_node(space: Space, pairs: Tensor) -> Tensor:
    """Int64 (E + P,): the order that takes edge bits, then operations, to node after node.

    Each node has its incoming edges before it. Where operations sit on edges, they stay in their order.
    """
    if space.op_on == "edge":
        return torch.arange(num_positions(space))
    interior = torch.arange(space.num_inputs, space.num_inputs + num_positions(space))
    return torch.argsort(torch.cat([2 * pairs[1], 2 * interior + 1]), stable=True)


def operation_numbers(graphs: ArchGraphs) -> Tensor:
    """Uint8 (R, P): k + 1 at each place that holds the space's k-th operation, 0 where there is none.

    The places are the interior nodes, or the edge slots in the order of
    :meth:`archenc.spaces.base.Space.edge_slots`.
    """
    if graphs.op_on == "node":
        interior = graphs.ops[:, graphs.space.num_inputs : -1]
        return torch.where(interior >= NODE_OFFSET, interior - (NODE_OFFSET - 1), 0)
    source, target, slot = graphs.space.edge_slots().to(graphs.device).T
    return graphs.edge_ops()[:, slot, source, target]


def has_absent(space: Space, *, simplify: bool) -> bool:
    """Whether "no operation" is a state of its own: where edges carry the operations and may be missing."""
    return space.op_on == "edge" and (space.topology is None or simplify)


def one_hot(numbers: Tensor, num_ops: int, *, absent: bool = False) -> Tensor:
    """Uint8 (R, P * num_ops) from operation numbers (R, P).

    With ``absent`` each place gets one more bit, first, for number 0. Without it a place that holds nothing
    is all zeros.
    """
    states = torch.arange(0 if absent else 1, num_ops + 1, dtype=numbers.dtype, device=numbers.device)
    return (numbers[:, :, None] == states).flatten(1).to(torch.uint8)


def present_indices(bits: Tensor, width: int) -> Tensor:
    """Int64 (R, width): the 1-based positions of each row's ones in ascending order, then zeros.

    Args:
        bits: (R, F) zeros and ones with at most ``width`` ones a row.
        width: length of the list.
    """
    rows, columns = bits.nonzero(as_tuple=True)  # sorted by row, then column
    counts = bits.sum(1, dtype=torch.int64)
    place = torch.arange(len(rows), device=bits.device) - (counts.cumsum(0) - counts)[rows]
    indices = torch.zeros((len(bits), width), dtype=torch.int64, device=bits.device)
    indices[rows, place] = columns + 1
    return indices
