"""Genotypes with their operations on nodes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from archenc.graphs import ABSENT, EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, PAD, ArchGraphs, transforms

INPUTS = 2


def node_form(graphs: ArchGraphs, intermediate: int, source: Tensor, slot: Tensor, ids: Tensor) -> ArchGraphs:
    """Each operation as a node, fed by an input or by both operations of its input node.

    Args:
        graphs: R cells with operations on edges.
        intermediate: how many intermediate nodes n a cell has.
        source: int64 (R, n, 2), the nodes from which the two edges into each of them come.
        slot: int64 (R, n, 2), the slots of these edges.
        ids: (R, n, 2), the ids of their operations.
    """
    rows, size = len(graphs.adjacency), INPUTS + 2 * intermediate + 1
    ops = torch.full((rows, size), PAD, dtype=torch.uint8, device=graphs.device)
    ops[:, :INPUTS], ops[:, -1] = INPUT, OUTPUT
    ops[:, INPUTS:-1] = torch.where(ids == ABSENT, PAD, ids - EDGE_OFFSET + NODE_OFFSET).flatten(1)
    # which node of the cell each node of the new form computes a term of; the output reads what is joined
    term_of = torch.cat(
        [torch.arange(INPUTS), torch.arange(INPUTS, INPUTS + intermediate).repeat_interleave(2)]
    ).to(graphs.device)
    adjacency = torch.zeros(rows, size, size, dtype=torch.bool, device=graphs.device)
    adjacency[:, :-1, INPUTS:-1] = term_of[:, None] == source.flatten(1)[:, None, :]
    adjacency[:, INPUTS:-1, -1] = graphs.adjacency[:, INPUTS:-1, -1].bool().repeat_interleave(2, dim=1)
    mask = ops != PAD
    adjacency &= mask[:, :, None] & mask[:, None, :]
    features = graphs.edge_features()
    if features is not None:
        row = torch.arange(rows, device=graphs.device)[:, None, None]
        node = torch.arange(INPUTS, INPUTS + intermediate, device=graphs.device)[:, None]
        features = pad(
            features[row, slot, source, node].flatten(1, 2) * mask[:, INPUTS:-1, None], (0, 0, INPUTS, 1)
        )
    form = replace(
        graphs,
        adjacency=adjacency.to(torch.uint8),
        ops=ops,
        mask=mask,
        simplified=False,
        features=features,
    )
    return transforms.keep_nodes(form, mask)
