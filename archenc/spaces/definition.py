"""What makes a CellSpace's definition sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from archenc import transforms
from archenc.errors import InvalidParameter

if TYPE_CHECKING:
    from archenc.spaces.cell import CellSpace


def check_parameters(space: CellSpace) -> None:
    """Raise :class:`InvalidParameter` for the first parameter that makes no sense, the topology aside."""
    where = f"the space {space.name!r}"
    if not isinstance(space.name, str) or not space.name:
        raise InvalidParameter(f"{where} needs a name of at least one letter; give one")
    if space.op_on not in ("node", "edge"):
        raise InvalidParameter(f"{where}: op_on is {space.op_on!r}; choose 'node' or 'edge'")
    if not space.operations or not all(isinstance(op, str) and op for op in space.operations):
        raise InvalidParameter(f"{where}: operations are {space.operations!r}; give at least one name, each of them text")
    if len(set(space.operations)) != len(space.operations):
        twice = next(op for op in space.operations if space.operations.count(op) > 1)
        raise InvalidParameter(f"{where} names the operation {twice!r} twice; give every operation a name of its own")
    if len(space.operations) > 250:
        raise InvalidParameter(f"{where} has {len(space.operations)} operations; give at most 250")
    if space.op_on == "node" and {"input", "output"} & set(space.operations):
        raise InvalidParameter(f"{where} calls an operation 'input' or 'output'; choose another name, as the end nodes are called so")
    for role, op in (("none_op", space.none_op), ("skip_op", space.skip_op)):
        if op is not None and op not in space.operations:
            raise InvalidParameter(f"{where}: {role} {op!r} is no operation; choose one of {', '.join(space.operations)}")
    least = {"num_inputs": 1, "max_nodes": 2, "cells": 1, "edges_per_pair": 1} | ({} if space.max_edges is None else {"max_edges": 1})
    for parameter, minimum in least.items():
        value = getattr(space, parameter)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
            raise InvalidParameter(f"{where}: {parameter} is {value!r}; give a whole number of at least {minimum}")
    if space.max_nodes <= space.num_inputs:
        raise InvalidParameter(f"{where}: max_nodes is {space.max_nodes} with {space.num_inputs} inputs; leave room for the output node")
    if space.op_on == "node" and space.edges_per_pair > 1:
        raise InvalidParameter(
            f"{where}: edges_per_pair is {space.edges_per_pair} with operations on nodes; use op_on='edge' for parallel edges"
        )


def checked_topology(space: CellSpace, topology: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """The edges of a fixed topology; raises :class:`InvalidParameter` unless they join inputs, interior nodes and output in order."""
    where = f"the space {space.name!r}"
    edges: list[tuple[int, int]] = []
    for edge in topology:
        nodes = list(edge) if isinstance(edge, Sequence) else [edge]
        if len(nodes) != 2 or not all(isinstance(node, int | np.integer) and 0 <= node < space.max_nodes for node in nodes):
            raise InvalidParameter(f"{where}: {nodes} in the topology is no edge; give pairs of nodes from 0 to {space.max_nodes - 1}")
        source, target = int(nodes[0]), int(nodes[1])
        if source >= target or target < space.num_inputs:
            remedy = f"number the nodes so that edges lead from lower to higher numbers and none enters the {space.num_inputs} first"
            raise InvalidParameter(f"{where}: the edge {source} -> {target} in the topology leads backwards or into an input; {remedy}")
        if (source, target) in edges:
            raise InvalidParameter(
                f"{where}: the edge {source} -> {target} stands in the topology twice; use edges_per_pair for parallel edges"
            )
        edges.append((source, target))
    if space.max_edges is not None and len(edges) * space.edges_per_pair > space.max_edges:
        raise InvalidParameter(
            f"{where}: the topology has {len(edges)} edges and max_edges is {space.max_edges}; raise max_edges or drop it"
        )
    adjacency = torch.zeros(1, space.max_nodes, space.max_nodes, dtype=torch.uint8)
    for source, target in edges:
        adjacency[0, source, target] = 1
    unused = ~transforms.on_path(adjacency, space.num_inputs)[0]
    unused[: space.num_inputs] = False
    if unused.any():
        node = int(unused.nonzero()[0, 0])
        raise InvalidParameter(f"{where}: node {node} of the topology lies on no path from input to output; join it or leave it out")
    return tuple(edges)
