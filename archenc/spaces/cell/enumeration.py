"""All cells of a definition; loops run over nodes, never over architectures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidParameter
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, ArchGraphs
from archenc.graphs.hashing import sortable_keys, wl_hash
from archenc.spaces.base import Space
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.drawing import from_edge_ops, take_cells

LIMIT = 2_000_000
"""Most writings that are enumerated."""


def refuse_above(space: str, writings: int) -> None:
    """Raise :class:`InvalidParameter` where more than :data:`LIMIT` writings would be enumerated."""
    if writings > LIMIT:
        amount = f"{writings:,}" if writings < 10**15 else f"about 10^{int(math.log10(writings))}"
        remedy = "use sample(n, seed) instead"
        raise InvalidParameter(
            f"the space {space!r} has {amount} writings and enumeration stops at {LIMIT:,}; {remedy}"
        )


def all_digits(base: int, digits: int) -> np.ndarray:
    """int64 (base ** digits, digits): every combination, the last digit changing fastest."""
    weights = base ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return np.arange(base**digits, dtype=np.int64)[:, None] // weights % base


def first_of_each(digests: np.ndarray) -> np.ndarray:
    """Positions of the first row with each distinct digest (N, 16), in order."""
    return np.sort(np.unique(sortable_keys(digests), return_index=True)[1])


def fixed_numbers(space: CellDefinition) -> np.ndarray:
    """int64 (N, cells * places): all choices of operations of a fixed topology, parallel edges once."""
    digits = space.places * space.cells
    refuse_above(space.name, len(space.operations) ** digits)
    numbers = all_digits(len(space.operations), digits)
    parallel = numbers.reshape(len(numbers), -1, space.edges_per_pair)  # (writings, pairs of nodes, slots)
    return numbers[(np.diff(parallel, axis=2) <= 0).all((1, 2))]


def combined_cells(space: Space, cells: ArchGraphs) -> ArchGraphs:
    """Every architecture of the space that the given single cells make up."""
    refuse_above(space.name, len(cells) ** space.cells)
    rows = torch.from_numpy(all_digits(len(cells), space.cells)).flatten()
    return ArchGraphs(space, cells.adjacency[rows], cells.ops[rows], cells.mask[rows])


def free_cells(space: Space, is_valid: Callable[[ArchGraphs], Tensor]) -> ArchGraphs:
    """One writing of each isomorphism class of cells of a free topology, by number of nodes.

    Args:
        space: of single cells.
        is_valid: bool (R,), which cells belong to it.
    """
    highest = len(space.operations) if space.op_on == "edge" else 1
    refuse_above(space.name, math.comb(highest + space.edges_per_pair, space.edges_per_pair))
    states = _edge_states(space, highest)
    sizes = range(space.num_inputs + 1, space.max_nodes + 1)
    pairs = {n: [(i, j) for j in range(space.num_inputs, n) for i in range(j)] for n in sizes}
    edge_writings = {n: len(states) ** len(pairs[n]) for n in sizes}
    choices = len(space.operations) if space.op_on == "node" else 1  # for each interior node
    op_writings = {n: choices ** (n - space.num_inputs - 1) for n in sizes}
    refuse_above(space.name, sum(edge_writings.values()))
    wirings = {}
    for n in sizes:
        written = _wirings(space, states, pairs[n], n)
        wirings[n] = take_cells(written, is_valid(written))
    refuse_above(space.name, sum(len(wirings[n].adjacency) * op_writings[n] for n in sizes))
    parts = [_with_all_operations(space, wirings[n], n) for n in sizes]
    cells = ArchGraphs(
        space,
        torch.cat([part.adjacency for part in parts]),
        torch.cat([part.ops for part in parts]),
        torch.cat([part.mask for part in parts]),
    )
    return cells[first_of_each(wl_hash(cells))]


def _edge_states(space: Space, highest: int) -> Tensor:
    """(M, S) ids, up to ``highest``: what the slots of a pair of nodes can hold.

    For operations on nodes, 0 is absent and 1 is present.
    """
    held = itertools.combinations_with_replacement(range(highest, -1, -1), space.edges_per_pair)
    return torch.tensor(sorted(held), dtype=torch.uint8)


def _wirings(space: Space, states: Tensor, pairs: list[tuple[int, int]], count: int) -> ArchGraphs:
    """Cells of ``count`` nodes with every state of every pair; operations on nodes are all the first one."""
    codes = torch.from_numpy(all_digits(len(states), len(pairs)))
    ops = torch.zeros(len(codes), space.edges_per_pair, space.max_nodes, space.max_nodes, dtype=torch.uint8)
    last = space.max_nodes - 1
    for number, (source, target) in enumerate(pairs):
        ops[:, :, source, last if target == count - 1 else target] = states[codes[:, number]]
    mask = torch.ones(len(codes), space.max_nodes, dtype=torch.bool)
    mask[:, count - 1 : -1] = False
    if space.op_on == "edge":
        return from_edge_ops(space, ops, mask)
    node_ops = torch.where(mask, NODE_OFFSET, 0).to(torch.uint8)
    node_ops[:, : space.num_inputs] = INPUT
    node_ops[:, -1] = OUTPUT
    return ArchGraphs(space, (ops[:, 0] != 0).to(torch.uint8), node_ops, mask)


def _with_all_operations(space: Space, wirings: ArchGraphs, count: int) -> ArchGraphs:
    interior = count - space.num_inputs - 1
    if space.op_on == "edge" or interior == 0:
        return wirings
    choices = torch.from_numpy(all_digits(len(space.operations), interior) + NODE_OFFSET).to(torch.uint8)
    rows = torch.arange(len(wirings.adjacency)).repeat_interleave(len(choices))
    ops = wirings.ops[rows]
    ops[:, space.num_inputs : count - 1] = choices.repeat(len(wirings.adjacency), 1)
    return ArchGraphs(space, wirings.adjacency[rows], ops, wirings.mask[rows])
