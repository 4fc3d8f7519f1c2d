"""One architecture as a networkx graph, and back."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
import torch

from archenc.errors import InvalidArchitecture
from archenc.files.text import shown
from archenc.graphs.conventions import EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, SpaceOfGraphs
from archenc.graphs.store import ArchGraphs
from archenc.graphs.to_networkx import to_networkx as to_networkx


def from_networkx(graph: nx.Graph, space: SpaceOfGraphs, where: str = "the graph") -> ArchGraphs:
    """A batch of the one architecture that a graph of networkx describes, as :func:`to_networkx` does.

    Nodes may come in any order; where several orders are topological, whole numbers as names and then the
    order in the graph decide. Operations on nodes are the node attribute ``op``, with one ``"input"`` for
    each input and one ``"output"``. Operations on edges are the edge attribute ``op``; what no edge enters is
    an input and what no edge leaves the output, unless the node attribute ``role`` says so. The nodes of
    several cells have the attribute ``cell``. What lies on no input-output path is cut where the space does
    so, too.

    Args:
        graph: directed.
        space: the space of the architecture.
        where: what the graph is called in messages.

    Raises:
        InvalidArchitecture: what is wrong with it, or that it does not belong to the space.
    """
    if not graph.is_directed():
        raise InvalidArchitecture(
            f"{where}: the graph has no directions; give a DiGraph or MultiDiGraph of networkx"
        )
    cells = [
        [node for node, cell in graph.nodes(data="cell", default=0) if cell == number]
        for number in range(space.cells)
    ]
    left_over = graph.number_of_nodes() - sum(map(len, cells))
    if left_over or not all(cells):
        fault = f"{left_over} nodes are in no cell" if left_over else "a cell has no nodes"
        raise InvalidArchitecture(
            f"{where}: {fault} of {space.name}; set the node attribute 'cell' to 0 ... {space.cells - 1}"
        )
    rows = [_Row(graph.subgraph(cell), space, where) for cell in cells]
    try:
        graphs: ArchGraphs = space.validate(_batch(rows, space))
    except InvalidArchitecture as error:
        raise InvalidArchitecture(error.called(where)) from None
    return graphs


_Found = tuple[tuple[int, ...], int, dict[str, Any]]
"""Place in the array of operations, id and attributes of an operation."""


class _Row:
    """One cell: its nodes in order, the output last, and the operations of its nodes or edges."""

    def __init__(self, graph: Any, space: SpaceOfGraphs, where: str) -> None:
        self.where, self.space, self.on_nodes = where, space, space.op_on == "node"
        order = self._topological(graph)
        inputs = [node for node in order if self._is_end(graph, node, "input")]
        outputs = [node for node in order if self._is_end(graph, node, "output")]
        if len(inputs) != space.num_inputs or len(outputs) != 1:
            remedy = (
                f"{space.name} has {space.num_inputs} and 1, named by the attribute "
                f"{'op' if self.on_nodes else 'role'!r}"
            )
            raise InvalidArchitecture(
                f"{where}: {len(inputs)} input and {len(outputs)} output nodes; {remedy}"
            )
        if space.reads_only_paths:
            used = {node for start in inputs for node in nx.descendants(graph, start)} & nx.ancestors(
                graph, outputs[0]
            )
            order = [node for node in order if node in used]
        middle = [node for node in order if node not in inputs and node not in outputs]
        self.nodes = [*inputs, *middle, *outputs]
        if len(self.nodes) > space.max_nodes:
            raise InvalidArchitecture(
                f"{where}: {len(self.nodes)} nodes, and {space.name} allows {space.max_nodes}; remove some"
            )
        self.graph = graph.subgraph(self.nodes)

    def _topological(self, graph: Any) -> list[Hashable]:
        numbered = all(isinstance(node, int) for node in graph)
        rank = {node: place for place, node in enumerate(sorted(graph) if numbered else graph)}
        try:
            return list(nx.lexicographical_topological_sort(graph, key=rank.__getitem__))
        except nx.NetworkXUnfeasible:
            raise InvalidArchitecture(f"{self.where}: the graph has a cycle; remove an edge of it") from None

    def _is_end(self, graph: Any, node: Hashable, kind: str) -> bool:
        named = graph.nodes[node].get("op" if self.on_nodes else "role")
        if self.on_nodes or named is not None:
            return bool(named == kind)
        return not (graph.in_degree(node) if kind == "input" else graph.out_degree(node))

    def number(self, values: dict[str, Any], what: str) -> int:
        """Number k of an operation from the attributes of its node or edge."""
        if not isinstance(name := values.get("op"), str):
            raise InvalidArchitecture(
                f"{self.where}: {what} has no attribute 'op'; give it the name of an operation of "
                f"{self.space.name}"
            )
        return self.space.operation_number(name, f"{self.where}, {what}")


def _batch(rows: list[_Row], space: SpaceOfGraphs) -> ArchGraphs:
    """Cells in the arrays of the space, not yet validated."""
    on_nodes, nodes, slots = space.op_on == "node", space.max_nodes, space.edges_per_pair
    adjacency = np.zeros((len(rows), nodes, nodes), dtype=np.uint8)
    ops = np.zeros((len(rows), nodes) if on_nodes else (len(rows), slots, nodes, nodes), dtype=np.uint8)
    mask = np.zeros((len(rows), nodes), dtype=bool)
    features: dict[tuple[int, ...], Any] = {}
    for at, row in enumerate(rows):
        place = dict(zip(row.nodes, [*range(len(row.nodes) - 1), nodes - 1], strict=True))
        mask[at, list(place.values())] = True
        for source, target in row.graph.edges():
            adjacency[at, place[source], place[target]] = 1
        for index, number, values in _node_ops(row, place, at) if on_nodes else _edge_ops(row, place, at):
            ops[index] = number
            if values.get("features") is not None:
                features[index] = values["features"]
    tensor = torch.from_numpy(ops if on_nodes or slots > 1 else ops[:, 0])
    graphs = ArchGraphs(space, torch.from_numpy(adjacency), tensor, torch.from_numpy(mask))
    return (
        graphs.with_features(_as_array(features, ops, on_nodes, rows[0].where).reshape(*tensor.shape, -1))
        if features
        else graphs
    )


def _node_ops(row: _Row, place: dict[Hashable, int], at: int) -> list[_Found]:
    inputs = row.nodes[: row.space.num_inputs]
    ends = {**dict.fromkeys(inputs, INPUT), row.nodes[-1]: OUTPUT}
    return [
        (
            (at, place[node]),
            ends[node] if node in ends else row.number(values, f"node {shown(node)}") + NODE_OFFSET,
            values,
        )
        for node, values in row.graph.nodes(data=True)
    ]


def _edge_ops(row: _Row, place: dict[Hashable, int], at: int) -> list[_Found]:
    """Those that join the same two nodes are in descending order of their ids."""
    edges = [
        (
            row.number(values, f"edge {shown(source)} -> {shown(target)}") + EDGE_OFFSET,
            place[source],
            place[target],
            values,
        )
        for source, target, values in row.graph.edges(data=True)
    ]
    found: list[_Found] = []
    taken = dict.fromkeys([(source, target) for _, source, target, _ in edges], 0)
    for number, source, target, values in sorted(edges, key=lambda edge: -edge[0]):
        slot = taken[source, target]
        if slot == row.space.edges_per_pair:
            raise InvalidArchitecture(
                f"{row.where}: more edges {source} -> {target} than the {slot} of {row.space.name}; remove "
                "one"
            )
        taken[source, target] += 1
        found.append(((at, slot, source, target), number, values))
    return found


def _as_array(
    features: dict[tuple[int, ...], Any], ops: np.ndarray, on_nodes: bool, where: str
) -> np.ndarray:
    """The features at their places, NaN where an operation has none, which is refused later; an input or
    output may have none.
    """
    try:
        vectors = np.array(list(features.values()), dtype=np.float32)
        if vectors.ndim != 2:
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidArchitecture(
            f"{where}: the attributes 'features' are no lists of equally many numbers; correct or remove them"
        ) from None
    ends = np.isin(ops, (INPUT, OUTPUT)) & on_nodes
    array = np.repeat(np.where(ends, 0.0, np.nan)[..., None], vectors.shape[1], axis=-1)
    array[tuple(np.array(list(features)).T)] = vectors
    return array
