"""Measures of a latent space of cells: what is rebuilt, and what random points decode to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archenc.graphs import INPUT, OUTPUT, PAD, ArchGraphs
from archenc.graphs.hashing import wl_hash
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import prune
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace


def rebuilt(
    op_logits: Tensor, edge_logits: Tensor, columns: Tensor, adjacency: Tensor
) -> tuple[Tensor, Tensor]:
    """Which operations, bool (R, V), and which pairs i < j of nodes, bool (R, V (V - 1) / 2), are rebuilt.

    The most probable operation of a node must be its own, all operations of a place without a node improbable
    (below 1/2), and an edge probable (above 1/2) exactly where there is one.

    Args:
        op_logits: (R, V, C).
        edge_logits: (R, V, V), of which the upper triangle counts.
        columns: int64 (R, V), the right column, -1 where there is no node.
        adjacency: (R, V, V).
    """
    best = torch.where((columns >= 0) | (op_logits > 0).any(-1), op_logits.argmax(-1), -1)
    nodes = edge_logits.shape[1]
    i, j = torch.triu_indices(nodes, nodes, 1)
    return best == columns, ((edge_logits > 0) == adjacency.bool())[:, i, j]


def draws(means: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random points of the latent space, (count, cells, V, d): normal, each number as over ``means``.

    Args:
        means: (N, cells, V, d), the latent means of the architectures trained on; points have the mean and
            the deviation of each number over the first dimension.
        count: how many points.
        generator: on the device of ``means``.
    """
    noise = torch.randn(
        count, *means.shape[1:], generator=generator, dtype=torch.float32, device=means.device
    )
    return noise * means.std(0) + means.mean(0)


def quality(space: Space, ops: Tensor, edges: Tensor, simplified: bool = False) -> dict[str, float]:
    """Percent of decoded cells that are valid, and of the valid ones that are distinct up to isomorphism.

    ``validity`` and ``uniqueness`` follow the code of arch2vec (NeurIPS 2020): what counts is the labels of
    the nodes, input and output at the ends and operations between them; where the wiring is a part of the
    choice, a path must lead from input to output; where it is not, no node may be missing, unless graphs are
    simplified. Cells are told apart as they were decoded. ``strict_validity`` and ``strict_uniqueness`` ask
    moreover that the cell belongs to the space once the nodes on no path from input to output are cut, and
    tell apart what is left. They are omitted where that cannot be said: for simplified graphs and for line
    graphs of a free topology.

    Args:
        space: the search space.
        ops: uint8 (R, V), ids of the decoded operations in op-on-node form; R is a multiple of the cells of
            an architecture.
        edges: bool (R, V, V), the decoded edges, of which the upper triangle counts.
        simplified: whether the encoder sees simplified graphs.
    """
    inputs = space.num_inputs
    graphs = ArchGraphs(space, edges.triu(1).to(torch.uint8), ops, torch.ones_like(ops, dtype=torch.bool))
    inside = ops[:, inputs:-1]
    valid = (ops[:, :inputs] == INPUT).all(1) & (ops[:, -1] == OUTPUT)
    valid &= ~((inside == INPUT) | (inside == OUTPUT)).any(1)
    pruned = graphs
    if space.topology is None:
        valid &= is_connected(graphs.adjacency, inputs)
        pruned = prune(graphs)
    elif not simplified:
        valid &= (inside != PAD).all(1)
    figures = _shares(_whole(valid, space), wl_hash(graphs), "")
    legal = None if simplified else _has_legal_wiring(pruned)
    if legal is None:
        return figures
    return figures | _shares(_whole(valid & legal, space), wl_hash(pruned), "strict_")


def _has_legal_wiring(graphs: ArchGraphs) -> Tensor | None:
    space: Space = graphs.space
    if space.topology is not None:  # all architectures have the same wiring
        right = space.node_form(space.sample(1)).adjacency[:1]
        return (graphs.adjacency == right).flatten(1).all(1)
    if space.op_on == "node" and isinstance(space, CellSpace):
        return space.is_valid(graphs)
    return None


def _whole(of_cells: Tensor, space: Space) -> np.ndarray:
    """Bool (N,): whether it holds for all cells of an architecture."""
    return of_cells.reshape(-1, space.cells).all(1).numpy()


def _shares(valid: np.ndarray, hashes: np.ndarray, prefix: str) -> dict[str, float]:
    count = int(valid.sum())
    distinct = len(np.unique(hashes[valid], axis=0))
    return {
        f"{prefix}validity": 100.0 * count / len(valid),
        f"{prefix}uniqueness": 100.0 * distinct / max(count, 1),
    }
