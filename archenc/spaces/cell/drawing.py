"""Random cells and mutations of a free topology; loops run over nodes, never over architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidParameter
from archenc.graphs import ABSENT, EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, ArchGraphs, transforms
from archenc.spaces.base import Space
from archenc.spaces.cell.definition import sort_slots

_ROUNDS = 1_000  # of drawing again what was not good


def take_cells(graphs: ArchGraphs, rows: Tensor) -> ArchGraphs:
    """Single cells, by row."""
    return graphs.map_arrays(lambda array: array[rows])


def put_cells(graphs: ArchGraphs, rows: Tensor, cells: ArchGraphs) -> ArchGraphs:
    """A copy of ``graphs`` with other cells at ``rows``."""
    return replace(
        graphs,
        adjacency=graphs.adjacency.index_copy(0, rows, cells.adjacency),
        ops=graphs.ops.index_copy(0, rows, cells.ops),
        mask=graphs.mask.index_copy(0, rows, cells.mask),
    )


def _overwrite_cells(graphs: ArchGraphs, rows: Tensor, cells: ArchGraphs) -> None:
    """Put other cells at ``rows`` of graphs that nobody else holds.

    A batch of large graphs is not copied for a few of them.
    """
    graphs.adjacency[rows], graphs.ops[rows], graphs.mask[rows] = cells.adjacency, cells.ops, cells.mask


# -- drawing -------------------------------------------------------------------------------------------------


def until_good(
    space: Space,
    count: int,
    propose: Callable[[Tensor], ArchGraphs],
    good: Callable[[ArchGraphs, Tensor], Tensor],
) -> ArchGraphs:
    """Cells from ``propose(rows)``, asked again for the rows that are not yet ``good(cells, rows)``.

    Raises:
        InvalidParameter: some are still not after very many rounds.
    """
    rows = torch.arange(count)
    result = propose(rows)
    rows = rows[~good(result, rows)]
    for _ in range(_ROUNDS):
        if not len(rows):
            return result
        proposed = propose(rows)
        accepted = good(proposed, rows)
        _overwrite_cells(result, rows[accepted], take_cells(proposed, accepted))
        rows = rows[~accepted]
    rounds = f"in {_ROUNDS} rounds of drawing"
    raise InvalidParameter(f"no valid architecture of {space.name!r} was found {rounds}; loosen its limits")


def random_cells(space: Space, rows: int, edge_probability: float, rng: np.random.Generator) -> ArchGraphs:
    """Pruned random cells of a free topology, some of which may not be valid."""
    nodes, allowed = space.max_nodes, _allowed(space, space.max_nodes)
    mask = torch.ones(rows, nodes, dtype=torch.bool)
    if space.op_on == "node":
        adjacency = torch.from_numpy(rng.random((rows, nodes, nodes)) < edge_probability) & allowed
        numbers = rng.integers(len(space.operations), size=(rows, nodes), dtype=np.uint8)
        ops = torch.from_numpy(numbers) + NODE_OFFSET
        ops[:, : space.num_inputs] = INPUT
        ops[:, -1] = OUTPUT
        return transforms.prune(ArchGraphs(space, adjacency.to(torch.uint8), ops, mask))
    shape = (rows, space.edges_per_pair, nodes, nodes)
    present = torch.from_numpy(rng.random(shape) < edge_probability) & allowed
    ops = torch.from_numpy(rng.integers(len(space.operations), size=shape, dtype=np.uint8)) + EDGE_OFFSET
    return transforms.prune(from_edge_ops(space, ops * present, mask))


def _allowed(space: Space, nodes: int) -> Tensor:
    """Bool (V, V): the pairs of nodes that an edge may join."""
    allowed = torch.ones(nodes, nodes, dtype=torch.bool).triu(1)
    allowed[:, : space.num_inputs] = False
    return allowed


def from_edge_ops(space: Space, ops: Tensor, mask: Tensor) -> ArchGraphs:
    """Cells from edge operations (R, S, V, V), slots sorted; the adjacency follows from them."""
    adjacency = (ops != ABSENT).any(1).to(torch.uint8)
    ops = sort_slots(ops) if space.edges_per_pair > 1 else ops.squeeze(1)
    return ArchGraphs(space, adjacency, ops, mask)


# -- mutation ------------------------------------------------------------------------------------------------


def pick(candidates: Tensor, rng: np.random.Generator) -> Tensor:
    """int64 (R,): a random True position in each row of ``candidates`` (R, M); 0 where there is none."""
    return (torch.from_numpy(rng.random(tuple(candidates.shape))) * candidates).argmax(1)


def change_one(numbers: Tensor, operations: int, rng: np.random.Generator) -> Tensor:
    """Operation numbers (R, L) with one of each row changed to another operation."""
    rows, places = numbers.shape
    if operations < 2 or places == 0:
        return numbers
    numbers = numbers.clone()
    row, place = torch.arange(rows), torch.from_numpy(rng.integers(places, size=rows))
    step = torch.from_numpy(rng.integers(1, operations, size=rows))
    numbers[row, place] = (numbers[row, place] + step) % operations
    return numbers


def mutants(parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    """One random change in each cell of a free topology, pruned; some may be invalid or unchanged."""
    space = parents.space
    changes = [_change_operation, _flip_edge, _split_edge]
    kind = torch.from_numpy(rng.integers(len(changes), size=len(parents.adjacency)))
    adjacency, ops, mask = parents.adjacency, parents.ops, parents.mask
    for number, change in enumerate(changes):
        child = change(space, parents, rng)
        chosen = kind == number
        adjacency = torch.where(chosen[:, None, None], child.adjacency, adjacency)
        ops = torch.where(chosen.reshape(-1, *([1] * (ops.dim() - 1))), child.ops, ops)
        mask = torch.where(chosen[:, None], child.mask, mask)
    return transforms.prune(ArchGraphs(space, adjacency, ops, mask))


def _other_ids(ids: Tensor, offset: int, operations: int, rng: np.random.Generator) -> Tensor:
    """Another operation for each id (R,)."""
    step = torch.from_numpy(rng.integers(1, max(operations, 2), size=len(ids)))
    return ((ids.long() - offset + step) % operations + offset).to(torch.uint8)


def _random_ids(rows: int, offset: int, operations: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.integers(operations, size=rows, dtype=np.uint8)) + offset


def _change_operation(space: Space, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    rows = torch.arange(len(graphs.adjacency))
    if space.op_on == "node":
        interior = graphs.mask.clone()
        interior[:, : space.num_inputs] = False
        interior[:, -1] = False
        ops = graphs.ops.clone()
        at = pick(interior, rng)
        changed = _other_ids(ops[rows, at], NODE_OFFSET, len(space.operations), rng)
        ops[rows, at] = torch.where(interior.any(1), changed, ops[rows, at])
        return replace(graphs, ops=ops)
    ops = graphs.edge_ops().clone(memory_format=torch.contiguous_format)
    flat = ops.flatten(1)  # a view
    at = pick(flat != ABSENT, rng)
    flat[rows, at] = _other_ids(flat[rows, at], EDGE_OFFSET, len(space.operations), rng)
    return from_edge_ops(space, ops, graphs.mask)


def _flip_edge(space: Space, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    rows = torch.arange(len(graphs.adjacency))
    candidates = _allowed(space, graphs.num_nodes) & graphs.mask[:, :, None] & graphs.mask[:, None, :]
    if space.op_on == "node":
        adjacency = graphs.adjacency.clone(memory_format=torch.contiguous_format)
        flat = adjacency.flatten(1)  # a view
        flat[rows, pick(candidates.flatten(1), rng)] ^= 1
        return replace(graphs, adjacency=adjacency)
    ops = graphs.edge_ops().clone(memory_format=torch.contiguous_format)
    flat = ops.flatten(1)
    at = pick(candidates[:, None].expand(ops.shape).flatten(1), rng)
    fresh = _random_ids(len(rows), EDGE_OFFSET, len(space.operations), rng)
    flat[rows, at] = torch.where(flat[rows, at] == ABSENT, fresh, ABSENT)
    return from_edge_ops(space, ops, graphs.mask)


def _split_edge(space: Space, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    """Replace an edge i -> j by i -> new -> j where there is room for a node; other rows stay as they are."""
    count, nodes = graphs.mask.shape
    rows = torch.arange(count)
    room = (~graphs.mask).any(1)
    new = (~graphs.mask).to(torch.uint8).argmax(1)
    offset = NODE_OFFSET if space.op_on == "node" else EDGE_OFFSET
    fresh = _random_ids(count, offset, len(space.operations), rng)
    mask = graphs.mask.clone()
    mask[rows, new] |= room
    grown, source = _with_split_edge(space, replace(graphs, mask=mask), new, fresh, room, rng)
    key = torch.arange(nodes, dtype=torch.float32).repeat(count, 1)
    behind_source = source.clamp(min=space.num_inputs - 1) + 0.5
    key[rows, new] = torch.where(room, behind_source, key[rows, new])
    return transforms.permute_nodes(grown, key.argsort(dim=1, stable=True))


def _with_split_edge(
    space: Space, graphs: ArchGraphs, new: Tensor, fresh: Tensor, room: Tensor, rng: np.random.Generator
) -> tuple[ArchGraphs, Tensor]:
    rows, nodes = torch.arange(len(new)), graphs.num_nodes
    if space.op_on == "node":
        adjacency, ops = graphs.adjacency.clone(), graphs.ops.clone()
        source, target = _unflatten(pick(adjacency.flatten(1) != 0, rng), nodes)
        adjacency[rows, source, target] = torch.where(room, 0, adjacency[rows, source, target])
        adjacency[rows, source, new] |= room
        adjacency[rows, new, target] |= room
        ops[rows, new] = torch.where(room, fresh, ops[rows, new])
        return replace(graphs, adjacency=adjacency, ops=ops), source
    ops = graphs.edge_ops().clone(memory_format=torch.contiguous_format)
    at = pick(ops.flatten(1) != ABSENT, rng)
    slot = at // (nodes * nodes)
    source, target = _unflatten(at % (nodes * nodes), nodes)
    moved = ops[rows, slot, source, target]
    ops[rows, slot, source, target] = torch.where(room, ABSENT, moved)
    ops[rows, 0, source, new] = torch.where(room, moved, ops[rows, 0, source, new])
    ops[rows, 0, new, target] = torch.where(room, fresh, ops[rows, 0, new, target])
    return from_edge_ops(space, ops, graphs.mask), source


def _unflatten(at: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    return at // nodes, at % nodes
