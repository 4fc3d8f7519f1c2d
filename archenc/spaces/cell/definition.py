"""The definition of a space of cells, and what makes it sound.

Its parameters may come from a file that somebody sent, so that they are checked and bounded before anything
is built from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from archenc.errors import InvalidParameter
from archenc.files.text import shown
from archenc.graphs import EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, ArchGraphs, OpOn
from archenc.spaces.parameters import (
    MAX_EDGES,
    MAX_NODES,
    MAX_SLOTS,
    choice,
    edge_slots,
    is_whole,
    members,
    node_pairs,
    operation,
    operation_names,
    operation_number,
    space_name,
    whole_number,
)


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

    @cached_property
    def node_ids(self) -> dict[str, int]:
        """The ids of the names of ``ops`` where operations are on nodes."""
        numbers = {name: number + NODE_OFFSET for number, name in enumerate(self.operations)}
        return {**numbers, "input": INPUT, "output": OUTPUT}

    @cached_property
    def example(self) -> str:
        """What an architecture looks like, for messages."""
        operation = json.dumps(self.operations[0])
        if self.topology is not None:
            cell = f"[{operation}, ...]"
        elif self.op_on == "node":
            cell = '{"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"]}'
        else:
            cell = f'{{"nodes": 2, "edges": [[0, 1, {operation}]]}}'
        return cell if self.cells == 1 else f"[{cell}, ...]"

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

    # -- operations of a fixed topology as numbers k, in the order of the edge slots or interior nodes -------

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


def sort_slots(ops: Tensor) -> Tensor:
    """Edge operations (R, S, V, V) with each pair's edges in descending order of their ids.

    So absent ones come last. Operations in other shapes have no slots and stay as they are.
    """
    return ops.sort(dim=1, descending=True).values if ops.dim() == 4 else ops


# -- checks of a whole definition ----------------------------------------------------------------------------


def _check_parameters(space: CellDefinition) -> None:
    """Raise :class:`InvalidParameter` for the first parameter that makes no sense, names and topology
    aside.
    """
    where = f"the space {space.name!r}"
    choice(where, "op_on", space.op_on, ("node", "edge"))
    if space.op_on == "node" and {"input", "output"} & set(space.operations):
        raise InvalidParameter(
            f"{where} calls an operation 'input' or 'output'; choose another name, as the end nodes are "
            "called so"
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
            f"{where}: max_nodes is {space.max_nodes} with {space.num_inputs} inputs; leave room for the "
            "output node"
        )
    if space.op_on == "node" and space.edges_per_pair > 1:
        raise InvalidParameter(
            f"{where}: edges_per_pair is {space.edges_per_pair} with operations on nodes; use op_on='edge' "
            "for parallel edges"
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
    """The edges of a fixed topology; raises :class:`InvalidParameter` unless they join inputs, interior nodes
    and output in order.
    """
    where = f"the space {space.name!r}"
    edges: dict[tuple[int, int], None] = {}  # in their order
    for edge in members(where, "topology", topology, MAX_EDGES):
        nodes = list(edge) if isinstance(edge, Sequence) else [edge]
        if len(nodes) != 2 or not all(_is_node(node, space.max_nodes) for node in nodes):
            remedy = f"give pairs of nodes from 0 to {space.max_nodes - 1}"
            raise InvalidParameter(f"{where}: {shown(nodes)} in the topology is no edge; {remedy}")
        source, target = int(nodes[0]), int(nodes[1])
        if source >= target or target < space.num_inputs:
            remedy = (
                "number the nodes so that edges lead from lower to higher numbers and none enters the "
                f"{space.num_inputs} first"
            )
            raise InvalidParameter(
                f"{where}: the edge {source} -> {target} in the topology leads backwards or into an input; "
                f"{remedy}"
            )
        if (source, target) in edges:
            raise InvalidParameter(
                f"{where}: the edge {source} -> {target} stands in the topology twice; use edges_per_pair "
                "for parallel edges"
            )
        edges[source, target] = None
    if space.max_edges is not None and len(edges) * space.edges_per_pair > space.max_edges:
        raise InvalidParameter(
            f"{where}: the topology has {len(edges)} edges and max_edges is {space.max_edges}; raise "
            "max_edges or drop it"
        )
    if unused := _unused_nodes(space, sorted(edges)):
        raise InvalidParameter(
            f"{where}: node {min(unused)} of the topology lies on no path from input to output; join it or "
            "leave it out"
        )
    return tuple(edges)


def _is_node(node: Any, nodes: int) -> bool:
    return is_whole(node) and 0 <= int(node) < nodes


def _unused_nodes(space: CellDefinition, edges: list[tuple[int, int]]) -> set[int]:
    """The nodes but the inputs that lie on no path from an input to the output; the edges are in ascending
    order of their sources.
    """
    ahead, behind = set(range(space.num_inputs)), {space.max_nodes - 1}
    for source, target in edges:
        if source in ahead:
            ahead.add(target)
    for source, target in reversed(edges):
        if target in behind:
            behind.add(source)
    return set(range(space.num_inputs, space.max_nodes)) - (ahead & behind)
