"""What can be wrong with cells, as tables of rules: where each is broken, and a sentence with the remedy."""

from __future__ import annotations

import torch
from torch import Tensor

from archenc.graphs import ABSENT, INPUT, OUTPUT, PAD, ArchGraphs, paths
from archenc.spaces.cell.definition import CellDefinition

Fault = tuple[Tensor, str]
"""Of a rule: bool (R,) where it is broken, and what is wrong and what to do."""


def form_faults(space: CellDefinition, graphs: ArchGraphs) -> list[Fault]:
    """Where cells are not well-formed (:mod:`archenc.graphs`)."""
    adjacency, ops, mask = graphs.adjacency, graphs.ops, graphs.mask
    edges = adjacency.bool()
    inputs, highest = space.num_inputs, graphs.num_ops - 1
    existing = mask[:, :, None] & mask[:, None, :]
    padding_first = (mask[:, inputs + 1 : -1] & ~mask[:, inputs:-2]).any(1)
    ends = ~(mask[:, :inputs].all(1) & mask[:, -1])
    faults = [
        (_any(adjacency > 1), "the adjacency holds numbers other than 0 and 1; use 1 for an edge"),
        (_any(edges.tril()), "an edge leads backwards; order the nodes topologically"),
        (_any(edges[:, :, :inputs]), "an edge enters an input node; remove it"),
        (_any(edges & ~existing), "an edge ends at a node that does not exist; remove it"),
        (padding_first | ends, "padding lies elsewhere than before the output node; move it there"),
        (_any(ops > highest), f"an operation id is above {highest}; use the ids of {space.name}"),
    ]
    if space.op_on == "edge":
        differ = (graphs.edge_ops() != ABSENT).any(1) != edges
        return [*faults, (_any(differ), "edges and operations differ; give every edge an operation")]
    interior = ops[:, inputs:-1]
    misplaced = (
        _any(ops[:, :inputs] != INPUT)
        | (ops[:, -1] != OUTPUT)
        | _any((interior == INPUT) | (interior == OUTPUT))
    )
    padding = "the mask and the padding of the operations differ; mark exactly the existing nodes"
    return [
        *faults,
        (misplaced, "input or output ids stand elsewhere than at the ends; move them"),
        (_any((ops == PAD) == mask), padding),
    ]


def choice_faults(space: CellDefinition, graphs: ArchGraphs) -> list[Fault]:
    """Where well-formed cells break what the definition says of their edges."""
    if space.topology is not None:
        adjacency, ops, _ = space.fixed_arrays(torch.zeros(1, space.places, dtype=torch.int64))
        differ = _any(graphs.adjacency != adjacency)
        if space.op_on == "edge":
            differ |= _any((graphs.ops != ABSENT) != (ops != ABSENT))
        remedy = "use its edges, one operation each"
        return [(differ, f"the edges are not those of the fixed topology of {space.name}; {remedy}")]
    used = paths.on_path(graphs.adjacency, space.num_inputs)
    used[:, : space.num_inputs] = True
    connected = paths.is_connected(graphs.adjacency, space.num_inputs)
    unused = "a node lies on no path from input to output; cut it with archenc.graphs.transforms.prune"
    faults = [
        (~connected, "no path leads from the input to the output; add an edge"),
        (_any(graphs.mask & ~used), unused),
    ]
    if space.max_edges is not None:
        edges = graphs.adjacency if space.op_on == "node" else (graphs.ops != ABSENT)
        many = edges.flatten(1).sum(1) > space.max_edges
        faults.append((many, f"it has more than {space.max_edges} edges; remove some"))
    return faults


def _any(broken: Tensor) -> Tensor:
    """Bool (R,): which rows hold a True."""
    return broken.flatten(1).any(1)
