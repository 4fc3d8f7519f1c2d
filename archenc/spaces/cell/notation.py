"""How the cells of a definition are read and written: dicts, JSON text and lists of operations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture
from archenc.files.text import shown
from archenc.graphs import EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, PAD, ArchGraphs
from archenc.spaces.base import is_list
from archenc.spaces.cell.definition import CellDefinition, sort_slots
from archenc.spaces.parameters import is_whole


class Cell(NamedTuple):
    """One cell of n nodes in topological order, output last: adjacency (n, n) and ops (n,) or (S, n, n) as
    ids.
    """

    adjacency: np.ndarray
    ops: np.ndarray


# -- reading -------------------------------------------------------------------------------------------------


def read_one(space: CellDefinition, item: Any, where: str) -> list[Cell | list[int]]:
    """The cells of one architecture; lists of operations of a fixed topology as their numbers k."""
    cells = _split_cells(space, item, where)
    names = [where] if space.cells == 1 else [f"{where}, cell {number}" for number in range(space.cells)]
    return [_read_cell(space, cell, name) for cell, name in zip(cells, names, strict=True)]


def is_part(space: CellDefinition, item: Any) -> bool:
    """Whether an item of a sequence is an operation, or one cell of several, and not an architecture."""
    if space.topology is not None and _is_op(space, item):
        return True
    if (
        _takes_pairs(space)
        and is_list(item)
        and len(item) > 0
        and all(isinstance(name, str) for name in item)
    ):
        return True  # the operations of a pair (matrix, operations)
    return space.cells > 1 and (
        isinstance(item, Mapping) or (space.topology is not None and _is_ops_of_cell(space, item))
    )


def _takes_pairs(space: CellDefinition) -> bool:
    """Whether a cell may be written as (adjacency matrix, names of the operations)."""
    return space.op_on == "node" and space.topology is None and space.cells == 1


def _is_op(space: CellDefinition, item: Any) -> bool:
    return isinstance(item, int | np.integer) or (isinstance(item, str) and item in space.operations)


def _is_ops_of_cell(space: CellDefinition, item: Any) -> bool:
    """Whether this lists operations, but not those of all cells."""
    return is_list(item) and len(item) != space.cells * space.places and any(_is_op(space, op) for op in item)


def _split_cells(space: CellDefinition, item: Any, where: str) -> list[Any]:
    if isinstance(item, str | bytes):
        item = load_json(item, where, space.name, _example(space))
    if space.cells == 1:
        return [item]
    if (
        space.topology is not None
        and is_list(item)
        and 0 < len(item) == space.cells * space.places
        and _is_op(space, item[0])
    ):
        return [item[start : start + space.places] for start in range(0, len(item), space.places)]
    if not is_list(item) or len(item) != space.cells:
        raise InvalidArchitecture(
            f"{where}: an architecture of {space.name} has {space.cells} cells; give a list of {space.cells}"
        )
    return list(item)


def _example(space: CellDefinition) -> str:
    """What an architecture looks like, for messages."""
    operation = json.dumps(space.operations[0])
    if space.topology is not None:
        cell = f"[{operation}, ...]"
    elif space.op_on == "node":
        cell = '{"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"]}'
    else:
        cell = f'{{"nodes": 2, "edges": [[0, 1, {operation}]]}}'
    return cell if space.cells == 1 else f"[{cell}, ...]"


def load_json(text: str | bytes, where: str, space: str, example: str) -> Any:
    """The value of a JSON text; raises :class:`InvalidArchitecture` that says ``where`` it stood and shows a
    right one.
    """
    try:
        return json.loads(text, object_pairs_hook=_dict_of_different_keys)
    except (ValueError, RecursionError):
        remedy = f"write it as {example}"
        raise InvalidArchitecture(
            f"{where}: {shown(text)} is not the JSON text of an architecture of {space}; {remedy}"
        ) from None


def _dict_of_different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict; raises :class:`ValueError` where one value would hide another."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def read_ops(space: CellDefinition, cell: Any, where: str) -> list[int]:
    """Numbers k of a cell's operations, given by name or number."""
    if len(cell) != space.places:
        raise InvalidArchitecture(
            f"{where}: {len(cell)} operations for a cell of {space.places}; give one for each place"
        )
    return [op_number(space, op, f"{where}, place {place}") for place, op in enumerate(cell)]


def op_number(space: CellDefinition, op: Any, where: str) -> int:
    """Number k of an operation given by name or by k itself."""
    if isinstance(op, str):
        return space.operation_number(op, where)
    if not is_whole(op) or not 0 <= op < len(space.operations):
        raise InvalidArchitecture(
            f"{where}: {shown(op)} is no operation; give a name of {space.name} or a number from 0 to "
            f"{len(space.operations) - 1}"
        )
    return int(op)


def _read_cell(space: CellDefinition, cell: Any, where: str) -> Cell | list[int]:
    """A cell in topological order and without nodes on no input-output path."""
    if space.topology is not None and is_list(cell):
        return read_ops(space, cell, where)
    if _takes_pairs(space) and is_list(cell) and len(cell) == 2 and is_list(cell[1]):
        cell = {"adjacency": cell[0], "ops": cell[1]}
    if not isinstance(cell, Mapping):
        keys = "'adjacency' and 'ops'" if space.op_on == "node" else "'edges'"
        raise InvalidArchitecture(
            f"{where}: a {type(cell).__name__} is no cell of {space.name}; give a dict with {keys}"
        )
    read_dict = _read_node_cell if space.op_on == "node" else _read_edge_cell
    adjacency, ops, inputs, output = read_dict(space, cell, where)
    order = _topological_order(adjacency, inputs, output, where)
    if space.topology is None:
        used = _on_path(adjacency, order, inputs, output)
        order = [node for node in order if used[node] or node in inputs or node == output]
    if len(order) > space.max_nodes:
        raise InvalidArchitecture(
            f"{where}: {len(order)} nodes, and {space.name} allows {space.max_nodes}; remove some"
        )
    if space.topology is not None and len(order) < space.max_nodes:
        raise InvalidArchitecture(
            f"{where}: {len(order)} nodes, and the fixed topology of {space.name} has {space.max_nodes}; use "
            "all of them"
        )
    picked = np.array(order)
    return Cell(
        adjacency[np.ix_(picked, picked)], ops[picked] if ops.ndim == 1 else ops[:, picked][:, :, picked]
    )


_Parts = tuple[np.ndarray, np.ndarray, list[int], int]


def _read_node_cell(space: CellDefinition, cell: Mapping[str, Any], where: str) -> _Parts:
    names = cell.get("ops")
    matrices = [cell[key] for key in ("adjacency", "matrix") if cell.get(key) is not None]
    if names is None or not matrices:
        missing = "ops" if names is None else "adjacency"
        raise InvalidArchitecture(f"{where}: the key {missing!r} is missing; give both 'adjacency' and 'ops'")
    if not is_list(names) or not all(isinstance(name, str) for name in names):
        raise InvalidArchitecture(f"{where}: 'ops' is not a list of names; give one operation name a node")
    adjacency, *others = (_binary_matrix(matrix, len(names), where) for matrix in matrices)
    if any(not np.array_equal(adjacency, other) for other in others):
        raise InvalidArchitecture(f"{where}: 'adjacency' and 'matrix' differ; give one of them")
    inputs = [node for node, name in enumerate(names) if name == "input"]
    outputs = [node for node, name in enumerate(names) if name == "output"]
    if len(inputs) != space.num_inputs or len(outputs) != 1:
        remedy = f"name {space.num_inputs} 'input' and one 'output'"
        raise InvalidArchitecture(f"{where}: {len(inputs)} input and {len(outputs)} output nodes; {remedy}")
    special = {"input": INPUT, "output": OUTPUT}
    ids = [
        special[name]
        if name in special
        else space.operation_number(name, f"{where}, node {node}") + NODE_OFFSET
        for node, name in enumerate(names)
    ]
    return adjacency, np.array(ids, dtype=np.uint8), inputs, outputs[0]


def _binary_matrix(matrix: Any, nodes: int, where: str) -> np.ndarray:
    try:
        adjacency = np.asarray(matrix)
    except (ValueError, TypeError, RuntimeError):
        remedy = f"give {nodes} rows of {nodes} numbers"
        raise InvalidArchitecture(
            f"{where}: the rows of the adjacency are no rows or differ in length; {remedy}"
        ) from None
    if adjacency.shape != (nodes, nodes):
        raise InvalidArchitecture(
            f"{where}: an adjacency of shape {adjacency.shape} for {nodes} operations; make it {nodes} x "
            f"{nodes}"
        )
    if adjacency.dtype.kind not in "buif" or not np.isin(adjacency, (0, 1)).all():
        raise InvalidArchitecture(
            f"{where}: the adjacency holds something other than 0 and 1; use 1 for an edge"
        )
    return adjacency.astype(np.uint8)


def _read_edge_cell(space: CellDefinition, cell: Mapping[str, Any], where: str) -> _Parts:
    edges: Any = cell.get("edges")
    nodes = cell.get("nodes", space.max_nodes)
    if not is_list(edges):
        raise InvalidArchitecture(
            f"{where}: the key 'edges' is missing or no list; give [source, target, operation] triples"
        )
    if not is_whole(nodes) or not space.num_inputs < nodes <= space.max_nodes:
        raise InvalidArchitecture(
            f"{where}: {shown(nodes)} nodes; give a whole number from {space.num_inputs + 1} to "
            f"{space.max_nodes}"
        )
    adjacency = np.zeros((nodes, nodes), dtype=np.uint8)
    ops = np.zeros((space.edges_per_pair, nodes, nodes), dtype=np.uint8)
    for number, edge in enumerate(edges):
        place = f"{where}, edge {number}"
        if not is_list(edge) or len(edge) != 3:
            raise InvalidArchitecture(f"{place}: {shown(edge)} is no edge; write [source, target, operation]")
        source, target = (_node_number(node, nodes, place) for node in edge[:2])
        slot = int(adjacency[source, target])
        if slot == space.edges_per_pair:
            raise InvalidArchitecture(
                f"{place}: more edges {source} -> {target} than the {slot} that {space.name} allows; remove "
                "one"
            )
        ops[slot, source, target] = op_number(space, edge[2], place) + EDGE_OFFSET
        adjacency[source, target] += 1
    return (adjacency > 0).astype(np.uint8), ops, list(range(space.num_inputs)), nodes - 1


def _node_number(node: Any, nodes: int | np.integer, where: str) -> int:
    if not is_whole(node) or not 0 <= node < nodes:
        raise InvalidArchitecture(f"{where}: {shown(node)} is no node; give a number from 0 to {nodes - 1}")
    return int(node)


def _topological_order(adjacency: np.ndarray, inputs: list[int], output: int, where: str) -> list[int]:
    """Inputs first, output last, and of the nodes that could come next always the lowest; raises on a
    cycle.
    """
    waiting = adjacency.sum(axis=0, dtype=np.int64)
    order: list[int] = []
    ready = [(node not in inputs, node) for node in np.flatnonzero(waiting == 0).tolist()]
    heapify(ready)
    while ready:
        node = heappop(ready)[1]
        order.append(node)
        for target in np.flatnonzero(adjacency[node]).tolist():
            waiting[target] -= 1
            if waiting[target] == 0:
                heappush(ready, (target not in inputs, target))
    if len(order) < len(adjacency):
        stuck = sorted(set(range(len(adjacency))) - set(order))
        raise InvalidArchitecture(
            f"{where}: the graph has a cycle among the nodes {shown(stuck)}; remove an edge of it"
        )
    middle = [node for node in order if node not in inputs and node != output]
    return [*inputs, *middle, output]


def _on_path(adjacency: np.ndarray, order: list[int], inputs: list[int], output: int) -> np.ndarray:
    ahead = np.isin(np.arange(len(adjacency)), inputs)
    behind = np.arange(len(adjacency)) == output
    for node in order:
        ahead[node] |= (ahead & (adjacency[:, node] == 1)).any()
    for node in reversed(order):
        behind[node] |= (behind & (adjacency[node] == 1)).any()
    used: np.ndarray = ahead & behind
    return used


def stack(space: CellDefinition, cells: Sequence[Cell | list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Adjacency, operation ids and mask of cells, padded to the space's nodes, the output moved to the last.

    Those given by numbers k are of the fixed topology.
    """
    if space.topology is not None and all(isinstance(cell, list) for cell in cells):
        numbers = np.array(cells, dtype=np.int64).reshape(len(cells), space.places)
        return space.fixed_arrays(torch.from_numpy(numbers))
    rows, nodes = len(cells), space.max_nodes
    adjacency = np.zeros((rows, nodes, nodes), dtype=np.uint8)
    ops_shape = (nodes,) if space.op_on == "node" else (space.edges_per_pair, nodes, nodes)
    ops = np.zeros((rows, *ops_shape), dtype=np.uint8)
    mask = np.zeros((rows, nodes), dtype=bool)
    for row, cell in enumerate(cells):
        if isinstance(cell, list):
            wiring, ids, _ = space.fixed_arrays(torch.tensor([cell]))
            cell = Cell(wiring[0].numpy(), ids.reshape(ops_shape).numpy())
        place = np.array([*range(len(cell.adjacency) - 1), nodes - 1])
        mask[row, place] = True
        adjacency[row][np.ix_(place, place)] = cell.adjacency
        if space.op_on == "node":
            ops[row, place] = cell.ops
        else:
            ops[row][:, place[:, None], place] = cell.ops
    tensor = torch.from_numpy(ops)
    if space.op_on == "edge":
        tensor = sort_slots(tensor) if space.edges_per_pair > 1 else tensor.squeeze(1)
    return torch.from_numpy(adjacency), tensor, torch.from_numpy(mask)


# -- writing -------------------------------------------------------------------------------------------------


def write(space: CellDefinition, graphs: ArchGraphs) -> list[str]:
    """Compact JSON of each architecture."""
    if space.topology is not None:
        rows = space.fixed_numbers(graphs).tolist()
        cells: list[Any] = [[space.operations[k] for k in row] for row in rows]
    else:
        cells = (_write_node_cell if space.op_on == "node" else _write_edge_cell)(space, graphs)
    if space.cells == 1:
        return [_compact(cell) for cell in cells]
    return [_compact(cells[start : start + space.cells]) for start in range(0, len(cells), space.cells)]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _write_node_cell(space: CellDefinition, graphs: ArchGraphs) -> list[dict[str, Any]]:
    adjacency, ops = graphs.adjacency.numpy(), graphs.ops.numpy()
    vocabulary = graphs.space.node_vocabulary
    cells = []
    for row in range(len(ops)):
        nodes = np.flatnonzero(ops[row] != PAD)
        names = [vocabulary[k] for k in ops[row, nodes]]
        cells.append({"adjacency": adjacency[row][np.ix_(nodes, nodes)].tolist(), "ops": names})
    return cells


def _write_edge_cell(space: CellDefinition, graphs: ArchGraphs) -> list[dict[str, Any]]:
    ops, mask = graphs.edge_ops().numpy(), graphs.mask.numpy()
    cells = []
    for row in range(len(ops)):
        nodes = np.flatnonzero(mask[row])
        number = {int(node): k for k, node in enumerate(nodes)}
        slot, source, target = np.nonzero(ops[row])
        by_pair = np.lexsort((slot, source, target))
        edges = [
            [
                number[int(source[e])],
                number[int(target[e])],
                space.operations[ops[row, slot[e], source[e], target[e]] - EDGE_OFFSET],
            ]
            for e in by_pair
        ]
        cells.append({"nodes": len(nodes), "edges": edges})
    return cells
