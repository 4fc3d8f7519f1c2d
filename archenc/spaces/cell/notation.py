"""How the cells of a definition are read and written: dicts, JSON text and lists of operations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture
from archenc.files.text import shown
from archenc.graphs import EDGE_OFFSET, PAD, ArchGraphs
from archenc.graphs.paths import nodes_on_path, target_sets, topological_order
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
        item = load_json(item, where, space.name, space.example)
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


def load_json(text: str | bytes, where: str, space: str, example: str) -> Any:
    """The value of a JSON text; raises :class:`InvalidArchitecture` that says ``where`` it stood and shows a
    right one.
    """
    try:
        if isinstance(text, str):
            return _JSON.decode(text)
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


_JSON = json.JSONDecoder(object_pairs_hook=_dict_of_different_keys)


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
    targets = target_sets(adjacency)
    order = topological_order(targets, inputs, output, where)
    if space.topology is None:
        used = nodes_on_path(targets, order, inputs, output)
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
    if order == list(range(len(adjacency))):
        return Cell(adjacency, ops)
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
    names = list(names)
    adjacency, *others = [_binary_matrix(matrix, len(names), where) for matrix in matrices]
    if any(not np.array_equal(adjacency, other) for other in others):
        raise InvalidArchitecture(f"{where}: 'adjacency' and 'matrix' differ; give one of them")
    inputs = [node for node, name in enumerate(names) if name == "input"]
    outputs = [node for node, name in enumerate(names) if name == "output"]
    if len(inputs) != space.num_inputs or len(outputs) != 1:
        remedy = f"name {space.num_inputs} 'input' and one 'output'"
        raise InvalidArchitecture(f"{where}: {len(inputs)} input and {len(outputs)} output nodes; {remedy}")
    ids = [space.node_ids.get(name, PAD) for name in names]
    if PAD in ids:
        node = ids.index(PAD)
        space.operation_number(names[node], f"{where}, node {node}")  # raises
    return adjacency, np.array(ids, dtype=np.uint8), inputs, outputs[0]


def _binary_matrix(matrix: Any, nodes: int, where: str) -> np.ndarray:
    if (flat := _bytes_of_lists(matrix, nodes)) is not None:
        return np.frombuffer(flat, dtype=np.uint8).reshape(nodes, nodes)
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


def _bytes_of_lists(matrix: Any, nodes: int) -> bytes | None:
    """The numbers of a square matrix if it is a list of lists of zeros and ones, as almost all are; checking
    other things takes NumPy a hundred times as long.
    """
    if type(matrix) is not list or len(matrix) != nodes or any(type(row) is not list for row in matrix):
        return None
    try:
        flat = b"".join(map(bytes, matrix))
    except (TypeError, ValueError):
        return None
    square = nodes > 0 and all(len(row) == nodes for row in matrix)
    return flat if square and not flat.strip(b"\0\1") else None


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
    given = []
    for cell in cells:
        if isinstance(cell, list):
            wiring, filled, _ = space.fixed_arrays(torch.tensor([cell]))
            cell = Cell(wiring[0].numpy(), filled.reshape(ops_shape).numpy())
        given.append(cell)
    mask = np.zeros((rows, nodes), dtype=bool)
    counts = np.array([len(cell.adjacency) for cell in given], dtype=np.int64)
    for count in np.unique(counts).tolist():
        alike = np.flatnonzero(counts == count)
        place = np.array([*range(count - 1), nodes - 1])
        row = alike[:, None]
        mask[row, place] = True
        adjacency[row[:, None], place[:, None], place] = np.array(
            [given[k].adjacency for k in alike.tolist()]
        )
        ids = np.array([given[k].ops for k in alike.tolist()])
        if space.op_on == "node":
            ops[row, place] = ids
        else:
            slot = np.arange(space.edges_per_pair)[:, None, None]
            ops[row[:, None, None], slot, place[:, None], place] = ids
    tensor = torch.from_numpy(ops)
    if space.op_on == "edge":
        tensor = sort_slots(tensor) if space.edges_per_pair > 1 else tensor.squeeze(1)
    return torch.from_numpy(adjacency), tensor, torch.from_numpy(mask)


# -- writing -------------------------------------------------------------------------------------------------


def write(space: CellDefinition, graphs: ArchGraphs) -> list[str]:
    """Compact JSON of each architecture."""
    if space.topology is not None:
        cells = [_compact([space.operations[k] for k in row]) for row in space.fixed_numbers(graphs).tolist()]
    elif space.op_on == "node":
        cells = _write_node_cells(graphs)
    else:
        cells = [_compact(cell) for cell in _edge_cells(space, graphs)]
    if space.cells == 1:
        return cells
    parts = (cells[start : start + space.cells] for start in range(0, len(cells), space.cells))
    return [f"[{','.join(part)}]" for part in parts]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _write_node_cells(graphs: ArchGraphs) -> list[str]:
    """Rows of numbers are turned into text once, however many cells have them."""
    ops, exists = graphs.ops.numpy(), graphs.ops.numpy() != PAD
    order, counts = np.argsort(~exists, axis=1, kind="stable"), exists.sum(1)
    names = [_compact(name) for name in graphs.space.node_vocabulary]
    texts = [""] * len(ops)
    for count in np.unique(counts[counts > 0]).tolist():
        rows = np.flatnonzero(counts == count)
        row, nodes = rows[:, None], order[rows, :count]
        edges = graphs.adjacency.numpy()[row[:, None], nodes[:, :, None], nodes[:, None]]
        lines = _row_texts(edges.reshape(-1, count), list(map(str, range(256))))
        labels = _row_texts(ops[row, nodes], names)
        for number, (at, label) in enumerate(zip(rows.tolist(), labels, strict=True)):
            matrix = ",".join(lines[number * count : (number + 1) * count])
            texts[at] = f'{{"adjacency":[{matrix}],"ops":{label}}}'
    return texts


def _row_texts(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    """The list of names that each row of numbers (N, k) stands for, as text."""
    flat, width = rows.tobytes(), rows.shape[1]
    parts = [flat[start : start + width] for start in range(0, len(flat), width)]
    texts = {part: f"[{','.join([names[number] for number in part])}]" for part in set(parts)}
    return [texts[part] for part in parts]


def _edge_cells(space: CellDefinition, graphs: ArchGraphs) -> list[dict[str, Any]]:
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
