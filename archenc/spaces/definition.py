"""The definition of a space of cells, and what makes it sound.

Its parameters may come from a file that somebody sent, so that they are checked and bounded before anything
is built from them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, ArchGraphs, OpOn
from archenc.text import listed, shown

MAX_NODES = 10_000
"""Most nodes of an architecture, those of all its cells together, also in the node form."""
MAX_EDGES = 100_000
"""Most edges of a fixed topology."""
MAX_OPERATIONS = 250  # ids are bytes
MAX_SLOTS = 250
MAX_NAME = 100
"""Most characters of a name."""


@dataclass(frozen=True)
class CellDefinition:
    """What the cells of a space are: the parameters of ``CellSpace``, checked and bounded.

    Lists of operations and of edges become tuples.

    Raises:
        InvalidParameter: parameters that describe no space.
    """

    name: str
    operations: Sequence[str]
    op_on: OpOn
    max_nodes: int
    max_edges: int | None
    topology: Sequence[Sequence[int]] | None
    num_inputs: int
    none_op: str | None
    skip_op: str | None
    cells: int
    edges_per_pair: int

    def __post_init__(self) -> None:
        set_field = partial(object.__setattr__, self)  # what is read from the parameters replaces them
        set_field("name", space_name(self.name))
        set_field("operations", operation_names(f"the space {self.name!r}", self.operations))
        _check_parameters(self)
        set_field("topology", None if self.topology is None else _checked_topology(self, self.topology))
        _check_size(self)

    def node_pairs(self) -> list[tuple[int, int]]:
        """The (source, target) pairs that an edge may join, by target and source."""
        return node_pairs(self.num_inputs, self.max_nodes)

    @property
    def num_pairs(self) -> int:
        """How many pairs of nodes an edge joins or may join."""
        if self.topology is not None:
            return len(self.topology)
        return (self.max_nodes * (self.max_nodes - 1) - self.num_inputs * (self.num_inputs - 1)) // 2

    @property
    def places(self) -> int:
        """Operations of a cell of a fixed topology."""
        if self.op_on == "edge":
            return self.num_pairs * self.edges_per_pair
        return self.max_nodes - self.num_inputs - 1

    def edge_slots(self) -> Tensor:
        """(E, 3) int64: see :meth:`archenc.spaces.base.Space.edge_slots`."""
        pairs = self.node_pairs() if self.topology is None else self.topology
        return edge_slots(pairs, self.edges_per_pair)

    @property
    def ops_shape(self) -> tuple[int, ...]:
        """Shape of the operation ids of one cell."""
        if self.op_on == "node":
            return (self.max_nodes,)
        slots = (self.edges_per_pair,) if self.edges_per_pair > 1 else ()
        return (*slots, self.max_nodes, self.max_nodes)

    def row_name(self, row: int) -> str:
        """What a row of a batch is called in messages."""
        architecture, cell = divmod(row, self.cells)
        return f"architecture {architecture}" + (f", cell {cell}" if self.cells > 1 else "")

    def operation_number(self, name: str, where: str) -> int:
        """Number k of an operation; see :meth:`archenc.spaces.base.Space.operation_number`."""
        return operation_number(self.name, self.operations, name, where)

    # -- operations of a fixed topology as numbers k, in the order of the edge slots or interior nodes -----------

    def fixed_arrays(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Adjacency, operation ids and mask of the cells that have these operations, int64 (R, places)."""
        rows, nodes = len(numbers), self.max_nodes
        adjacency = torch.zeros(nodes, nodes, dtype=torch.uint8)
        for source, target in self.topology or ():
            adjacency[source, target] = 1
        ops = torch.zeros((rows, *self.ops_shape), dtype=torch.uint8)
        if self.op_on == "node":
            ops[:, : self.num_inputs], ops[:, -1] = INPUT, OUTPUT
            ops[:, self.num_inputs : -1] = (numbers + NODE_OFFSET).to(torch.uint8)
        else:
            from_node, to_node, slot = self.edge_slots().T
            slots = ops.reshape(rows, self.edges_per_pair, nodes, nodes)  # a view
            slots[:, slot, from_node, to_node] = (numbers + EDGE_OFFSET).to(torch.uint8)
            ops = sort_slots(ops)
        return adjacency.repeat(rows, 1, 1), ops, torch.ones(rows, nodes, dtype=torch.bool)

    def fixed_numbers(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, places): the operations of each cell."""
        if self.op_on == "node":
            return graphs.ops[:, self.num_inputs : -1].long() - NODE_OFFSET
        source, target, slot = self.edge_slots().T
        return graphs.edge_ops()[:, slot, source, target].long() - EDGE_OFFSET


def operation_number(space: str, operations: Sequence[str], name: str, where: str) -> int:
    """Number k of the operation called ``name``; raises :class:`InvalidArchitecture` saying ``where``."""
    try:
        return operations.index(name)
    except ValueError:
        known = listed(operations)
        raise InvalidArchitecture(
            f"{where}: unknown operation {shown(name)}; {space} knows {known}"
        ) from None


def node_pairs(num_inputs: int, max_nodes: int) -> list[tuple[int, int]]:
    """The (source, target) pairs that an edge may join, by target and source."""
    return [(i, j) for j in range(num_inputs, max_nodes) for i in range(j)]


def edge_slots(pairs: Iterable[Sequence[int]], edges_per_pair: int) -> Tensor:
    """(E, 3) int64: source, target and slot of every place of an operation, by target, source, slot."""
    ordered = sorted(pairs, key=lambda edge: (edge[1], edge[0]))
    slots = [(source, target, slot) for source, target in ordered for slot in range(edges_per_pair)]
    return torch.tensor(slots, dtype=torch.int64).reshape(-1, 3)


def sort_slots(ops: Tensor) -> Tensor:
    """Edge operations (R, S, V, V) with each pair's edges in descending order of their ids.

    So absent ones come last. Operations in other shapes have no slots and stay as they are.
    """
    return ops.sort(dim=1, descending=True).values if ops.dim() == 4 else ops


# -- checks of single parameters -----------------------------------------------------------------------------


def is_whole(value: Any) -> bool:
    """Whether this is a whole number, Python's or numpy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(where: str, parameter: str, value: Any, least: int, most: int) -> int:
    """The number as an int; raises :class:`InvalidParameter` unless it is a whole one from ``least`` to ``most``."""
    if not is_whole(value) or not least <= value <= most:
        raise InvalidParameter(
            f"{where}: {parameter} is {shown(value)}; give a whole number from {least} to {most:,}"
        )
    return int(value)


def members(where: str, parameter: str, values: Any, most: int) -> tuple[Any, ...]:
    """The items of a list; raises :class:`InvalidParameter` for what is none, a text too, or is longer than ``most``."""
    try:
        if isinstance(values, str | bytes | Mapping):
            raise TypeError
        found = tuple(itertools.islice(values, most + 1))
    except TypeError:
        raise InvalidParameter(f"{where}: {parameter} is {shown(values)}; give a list") from None
    if len(found) > most:
        number = len(values) if isinstance(values, Sized) else len(found)
        raise InvalidParameter(f"{where}: {number:,} {parameter} are too many; give at most {most:,}")
    return found


def whole_numbers(
    where: str, parameter: str, values: Any, least: int, most: int, length: int
) -> tuple[int, ...]:
    """The numbers of a list of at most ``length``; raises :class:`InvalidParameter` like :func:`whole_number`."""
    return tuple(
        whole_number(where, f"an item of {parameter}", value, least, most)
        for value in members(where, parameter, values, length)
    )


def truth(where: str, parameter: str, value: Any) -> bool:
    """The truth value; raises :class:`InvalidParameter` for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidParameter(f"{where}: {parameter} is {shown(value)}; give true or false")
    return bool(value)


def choice(where: str, parameter: str, value: Any, known: Sequence[str]) -> str:
    """One of the known texts; raises :class:`InvalidParameter` for anything else."""
    if not isinstance(value, str) or value not in known:
        raise InvalidParameter(f"{where}: {parameter} is {shown(value)}; choose one of {listed(known)}")
    return value


def operation(where: str, role: str, value: Any, operations: Sequence[str]) -> str | None:
    """The operation that has this role, or None; raises :class:`InvalidParameter` for anything else."""
    if value is None or (isinstance(value, str) and value in operations):
        return value
    raise InvalidParameter(
        f"{where}: {role} {shown(value)} is no operation; choose one of {listed(operations)}"
    )


def space_name(name: Any) -> str:
    """The name of a space, any text that is not too long; raises :class:`InvalidParameter` for anything else."""
    if not _is_name(name):
        raise InvalidParameter(
            f"the space {shown(name)} needs a name of text; give one of 1 to {MAX_NAME} characters"
        )
    return str(name)


def operation_names(where: str, operations: Any) -> tuple[str, ...]:
    """The names of the operations; raises :class:`InvalidParameter` unless they are different and no texts of architectures."""
    names = members(where, "operations", operations, MAX_OPERATIONS)
    if not names or not all(map(_is_name, names)):
        remedy = f"give at least one name, each of them text of 1 to {MAX_NAME} characters"
        raise InvalidParameter(f"{where}: operations are {shown(operations)}; {remedy}")
    if len(set(names)) != len(names):
        twice = next(op for op in names if names.count(op) > 1)
        raise InvalidParameter(
            f"{where} names the operation {shown(twice)} twice; give every operation a name of its own"
        )
    for name in names:
        if _is_json(name):
            raise InvalidParameter(
                f"{where}: the operation {shown(name)} is the JSON text of something else; choose another name"
            )
    return names


def _is_name(value: Any) -> bool:
    try:
        return isinstance(value, str) and 0 < len(value) <= MAX_NAME and bool(value.encode())
    except UnicodeEncodeError:  # half of a pair of surrogates, which no file can hold
        return False


def _is_json(text: str) -> bool:
    """Whether this is the JSON text of a list or a dict, and could so be an architecture."""
    try:
        return isinstance(json.loads(text), list | dict)
    except ValueError:
        return False


# -- checks of a whole definition ----------------------------------------------------------------------------


def _check_parameters(space: CellDefinition) -> None:
    """Raise :class:`InvalidParameter` for the first parameter that makes no sense, names and topology aside."""
    where = f"the space {space.name!r}"
    choice(where, "op_on", space.op_on, ("node", "edge"))
    if space.op_on == "node" and {"input", "output"} & set(space.operations):
        raise InvalidParameter(
            f"{where} calls an operation 'input' or 'output'; choose another name, as the end nodes are called so"
        )
    operation(where, "none_op", space.none_op, space.operations)
    operation(where, "skip_op", space.skip_op, space.operations)
    bounds = {
        "num_inputs": (1, MAX_NODES),
        "max_nodes": (2, MAX_NODES),
        "cells": (1, MAX_NODES),
        "edges_per_pair": (1, MAX_SLOTS),
    }
    if space.max_edges is not None:
        bounds["max_edges"] = (1, MAX_NODES**2)
    for parameter, (least, most) in bounds.items():
        whole_number(where, parameter, getattr(space, parameter), least, most)
    if space.max_nodes <= space.num_inputs:
        raise InvalidParameter(
            f"{where}: max_nodes is {space.max_nodes} with {space.num_inputs} inputs; leave room for the output node"
        )
    if space.op_on == "node" and space.edges_per_pair > 1:
        raise InvalidParameter(
            f"{where}: edges_per_pair is {space.edges_per_pair} with operations on nodes; use op_on='edge' for parallel edges"
        )


def _check_size(space: CellDefinition) -> None:
    """Raise :class:`InvalidParameter` if an architecture has too many nodes, as it is or in the node form."""
    slots = 0 if space.op_on == "node" else space.num_pairs * space.edges_per_pair
    nodes = space.cells * max(space.max_nodes, slots)
    if nodes > MAX_NODES:
        what = "places for operations" if slots > space.max_nodes else "nodes"
        raise InvalidParameter(
            f"the space {space.name!r} has {nodes:,} {what} in an architecture; give at most {MAX_NODES:,}"
        )


def _checked_topology(space: CellDefinition, topology: Any) -> tuple[tuple[int, int], ...]:
    """The edges of a fixed topology; raises :class:`InvalidParameter` unless they join inputs, interior nodes and output in order."""
    where = f"the space {space.name!r}"
    edges: dict[tuple[int, int], None] = {}  # in their order
    for edge in members(where, "topology", topology, MAX_EDGES):
        nodes = list(edge) if isinstance(edge, Sequence) else [edge]
        if len(nodes) != 2 or not all(_is_node(node, space.max_nodes) for node in nodes):
            remedy = f"give pairs of nodes from 0 to {space.max_nodes - 1}"
            raise InvalidParameter(f"{where}: {shown(nodes)} in the topology is no edge; {remedy}")
        source, target = int(nodes[0]), int(nodes[1])
        if source >= target or target < space.num_inputs:
            remedy = f"number the nodes so that edges lead from lower to higher numbers and none enters the {space.num_inputs} first"
            raise InvalidParameter(
                f"{where}: the edge {source} -> {target} in the topology leads backwards or into an input; {remedy}"
            )
        if (source, target) in edges:
            raise InvalidParameter(
                f"{where}: the edge {source} -> {target} stands in the topology twice; use edges_per_pair for parallel edges"
            )
        edges[source, target] = None
    if space.max_edges is not None and len(edges) * space.edges_per_pair > space.max_edges:
        raise InvalidParameter(
            f"{where}: the topology has {len(edges)} edges and max_edges is {space.max_edges}; raise max_edges or drop it"
        )
    if unused := _unused_nodes(space, sorted(edges)):
        raise InvalidParameter(
            f"{where}: node {min(unused)} of the topology lies on no path from input to output; join it or leave it out"
        )
    return tuple(edges)


def _is_node(node: Any, nodes: int) -> bool:
    return is_whole(node) and 0 <= int(node) < nodes


def _unused_nodes(space: CellDefinition, edges: list[tuple[int, int]]) -> set[int]:
    """The nodes but the inputs that lie on no path from an input to the output; the edges are in ascending order of their sources."""
    ahead, behind = set(range(space.num_inputs)), {space.max_nodes - 1}
    for source, target in edges:
        if source in ahead:
            ahead.add(target)
    for source, target in reversed(edges):
        if target in behind:
            behind.add(source)
    return set(range(space.num_inputs, space.max_nodes)) - (ahead & behind)
