"""Random cells, mutations and enumeration for a CellSpace; loops run over nodes, never over architectures."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from archenc import transforms
from archenc.errors import InvalidParameter
from archenc.graphs import ABSENT, EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, ArchGraphs
from archenc.hashing import wl_hash

if TYPE_CHECKING:
    from archenc.spaces.cell import CellSpace


def sort_slots(ops: Tensor) -> Tensor:
    """Edge operations (R, S, V, V) with the edges of each pair of nodes in descending order of their ids, so absent ones come last."""
    return ops.sort(dim=1, descending=True).values if ops.dim() == 4 else ops


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


def overwrite_cells(graphs: ArchGraphs, rows: Tensor, cells: ArchGraphs) -> None:
    """Put other cells at ``rows`` of graphs that nobody else holds; a batch of large graphs is not copied for a few of them."""
    graphs.adjacency[rows], graphs.ops[rows], graphs.mask[rows] = cells.adjacency, cells.ops, cells.mask


# -- drawing -----------------------------------------------------------------------------------------------------------


def random_cells(space: CellSpace, rows: int, rng: np.random.Generator) -> ArchGraphs:
    """Pruned random cells of a free topology, some of which may not be valid."""
    nodes, allowed = space.max_nodes, _allowed(space, space.max_nodes)
    mask = torch.ones(rows, nodes, dtype=torch.bool)
    if space.op_on == "node":
        adjacency = torch.from_numpy(rng.random((rows, nodes, nodes)) < space.edge_probability) & allowed
        ops = torch.from_numpy(rng.integers(len(space.operations), size=(rows, nodes), dtype=np.uint8)) + NODE_OFFSET
        ops[:, : space.num_inputs] = INPUT
        ops[:, -1] = OUTPUT
        return transforms.prune(ArchGraphs(space, adjacency.to(torch.uint8), ops, mask))
    shape = (rows, space.edges_per_pair, nodes, nodes)
    present = torch.from_numpy(rng.random(shape) < space.edge_probability) & allowed
    ops = torch.from_numpy(rng.integers(len(space.operations), size=shape, dtype=np.uint8)) + EDGE_OFFSET
    return transforms.prune(from_edge_ops(space, ops * present, mask))


def _allowed(space: CellSpace, nodes: int) -> Tensor:
    """Bool (V, V): the pairs of nodes that an edge may join."""
    allowed = torch.ones(nodes, nodes, dtype=torch.bool).triu(1)
    allowed[:, : space.num_inputs] = False
    return allowed


def from_edge_ops(space: CellSpace, ops: Tensor, mask: Tensor) -> ArchGraphs:
    """Cells from edge operations (R, S, V, V), slots sorted; the adjacency follows from them."""
    adjacency = (ops != ABSENT).any(1).to(torch.uint8)
    ops = sort_slots(ops) if space.edges_per_pair > 1 else ops.squeeze(1)
    return ArchGraphs(space, adjacency, ops, mask)


# -- mutation ----------------------------------------------------------------------------------------------------------


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
    numbers[row, place] = (numbers[row, place] + torch.from_numpy(rng.integers(1, operations, size=rows))) % operations
    return numbers


def mutants(space: CellSpace, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    """One random change in each cell of a free topology, pruned; some may be invalid or equal their parent."""
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


def _change_operation(space: CellSpace, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
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


def _flip_edge(space: CellSpace, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
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


def _split_edge(space: CellSpace, graphs: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
    """Replace an edge i -> j by i -> new -> j where there is room for a node; other rows stay as they are."""
    count, nodes = graphs.mask.shape
    rows = torch.arange(count)
    room = (~graphs.mask).any(1)
    new = (~graphs.mask).to(torch.uint8).argmax(1)
    fresh = _random_ids(count, NODE_OFFSET if space.op_on == "node" else EDGE_OFFSET, len(space.operations), rng)
    mask = graphs.mask.clone()
    mask[rows, new] |= room
    grown, source = _with_split_edge(space, replace(graphs, mask=mask), new, fresh, room, rng)
    key = torch.arange(nodes, dtype=torch.float32).repeat(count, 1)
    behind_source = source.clamp(min=space.num_inputs - 1) + 0.5
    key[rows, new] = torch.where(room, behind_source, key[rows, new])
    return transforms.permute_nodes(grown, key.argsort(dim=1, stable=True))


def _with_split_edge(
    space: CellSpace, graphs: ArchGraphs, new: Tensor, fresh: Tensor, room: Tensor, rng: np.random.Generator
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


# -- enumeration -------------------------------------------------------------------------------------------------------


def enumerate_architectures(space: CellSpace, limit: int) -> ArchGraphs:
    """All architectures; see :meth:`archenc.spaces.cell.CellSpace.enumerate`."""
    if space.topology is not None:
        digits = space.places * space.cells
        refuse_above(space, len(space.operations) ** digits, limit)
        numbers = all_digits(len(space.operations), digits)
        parallel = numbers.reshape(len(numbers), -1, space.edges_per_pair)  # (writings, pairs of nodes, slots)
        return space.from_ops(numbers[(np.diff(parallel, axis=2) <= 0).all((1, 2))])
    return combined_cells(space, _all_cells(space.single_cell, limit), limit)


def combined_cells(space: CellSpace, cells: ArchGraphs, limit: int) -> ArchGraphs:
    """Every architecture of the space that the given single cells make up."""
    refuse_above(space, len(cells) ** space.cells, limit)
    rows = torch.from_numpy(all_digits(len(cells), space.cells)).flatten()
    return ArchGraphs(space, cells.adjacency[rows], cells.ops[rows], cells.mask[rows])


def all_digits(base: int, digits: int) -> np.ndarray:
    """int64 (base ** digits, digits): every combination, the last digit changing fastest."""
    weights = base ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return np.arange(base**digits, dtype=np.int64)[:, None] // weights % base


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """Positions of the first row with each distinct digest (N, 16), in order."""
    keys = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1]))).ravel()
    return np.sort(np.unique(keys, return_index=True)[1])


def refuse_above(space: CellSpace, writings: int, limit: int) -> None:
    """Raise :class:`InvalidParameter` where more than ``limit`` writings would be enumerated."""
    if writings > limit:
        amount = f"{writings:,}" if writings < 10**15 else f"about 10^{int(math.log10(writings))}"
        raise InvalidParameter(
            f"the space {space.name!r} has {amount} writings and enumeration stops at {limit:,}; use sample(n, seed) instead"
        )


def _all_cells(space: CellSpace, limit: int) -> ArchGraphs:
    """One writing of each isomorphism class of cells of a free topology, by number of nodes."""
    highest = len(space.operations) if space.op_on == "edge" else 1
    refuse_above(space, math.comb(highest + space.edges_per_pair, space.edges_per_pair), limit)
    states = _edge_states(space, highest)
    sizes = range(space.num_inputs + 1, space.max_nodes + 1)
    pairs = {n: [(i, j) for j in range(space.num_inputs, n) for i in range(j)] for n in sizes}
    edge_writings = {n: len(states) ** len(pairs[n]) for n in sizes}
    op_writings = {n: len(space.operations) ** (n - space.num_inputs - 1) if space.op_on == "node" else 1 for n in sizes}
    refuse_above(space, sum(edge_writings.values()), limit)
    wirings = {n: _wirings(space, states, pairs[n], n) for n in sizes}
    refuse_above(space, sum(len(wirings[n].adjacency) * op_writings[n] for n in sizes), limit)
    parts = [_with_all_operations(space, wirings[n], n) for n in sizes]
    cells = ArchGraphs(
        space,
        torch.cat([part.adjacency for part in parts]),
        torch.cat([part.ops for part in parts]),
        torch.cat([part.mask for part in parts]),
    )
    return cells[first_of_each(wl_hash(cells))]


def _edge_states(space: CellSpace, highest: int) -> Tensor:
    """(M, S) ids, up to ``highest``: what the slots of a pair of nodes can hold; for operations on nodes, absent or present."""
    held = itertools.combinations_with_replacement(range(highest, -1, -1), space.edges_per_pair)
    return torch.tensor(sorted(held), dtype=torch.uint8)


def _wirings(space: CellSpace, states: Tensor, pairs: list[tuple[int, int]], count: int) -> ArchGraphs:
    """Valid cells of ``count`` nodes with every state of every pair; operations on nodes are all the first one."""
    codes = torch.from_numpy(all_digits(len(states), len(pairs)))
    ops = torch.zeros(len(codes), space.edges_per_pair, space.max_nodes, space.max_nodes, dtype=torch.uint8)
    last = space.max_nodes - 1
    for number, (source, target) in enumerate(pairs):
        ops[:, :, source, last if target == count - 1 else target] = states[codes[:, number]]
    mask = torch.ones(len(codes), space.max_nodes, dtype=torch.bool)
    mask[:, count - 1 : -1] = False
    if space.op_on == "edge":
        cells = from_edge_ops(space, ops, mask)
    else:
        node_ops = torch.where(mask, NODE_OFFSET, 0).to(torch.uint8)
        node_ops[:, : space.num_inputs] = INPUT
        node_ops[:, -1] = OUTPUT
        cells = ArchGraphs(space, (ops[:, 0] != 0).to(torch.uint8), node_ops, mask)
    valid = space.is_valid(cells)
    return take_cells(cells, valid)


def _with_all_operations(space: CellSpace, wirings: ArchGraphs, count: int) -> ArchGraphs:
    interior = count - space.num_inputs - 1
    if space.op_on == "edge" or interior == 0:
        return wirings
    choices = torch.from_numpy(all_digits(len(space.operations), interior) + NODE_OFFSET).to(torch.uint8)
    rows = torch.arange(len(wirings.adjacency)).repeat_interleave(len(choices))
    ops = wirings.ops[rows]
    ops[:, space.num_inputs : count - 1] = choices.repeat(len(wirings.adjacency), 1)
    return ArchGraphs(space, wirings.adjacency[rows], ops, wirings.mask[rows])
