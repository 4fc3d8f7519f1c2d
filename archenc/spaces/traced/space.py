"""OperationSpace: graphs of the operations of real networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, ArchGraphs
from archenc.hashing import sweep_hash
from archenc.spaces.cell import CellSpace
from archenc.spaces.traced.network import FEATURES, Drawing
from archenc.spaces.traced.vocabulary import OPERATIONS, OTHER


class OperationSpace(CellSpace):
    """Real networks as graphs: one input node, one node for each operation of the vocabulary, one output node.

    A network's inputs are one joint input node; each input of a network of several has a node ``"argument"`` behind it. All outputs lead
    to the one output node. What only hands its input on is contracted (dropout, views and reshapes, casts, copies); transposes, slices and
    concatenations are nodes. An operation that reads a value twice (x + x) has one edge from it.

    Graphs that come from networks carry :data:`~archenc.spaces.traced.network.FEATURES`. Here they are part of the architecture in so far
    as :meth:`hash` tells networks of different sizes apart; texts do not have them.

    Args:
        max_nodes: most nodes of a network, input and output included, at most 10,000.
        operations: the vocabulary, or a part of it; what is not in it becomes ``"other"``.
    """

    def __init__(self, *, max_nodes: int = 256, operations: Sequence[str] = OPERATIONS) -> None:
        super().__init__("operations", operations, max_nodes=max_nodes)
        self.edge_probability = min(0.5, 3 / max_nodes)  # networks are sparse

    def config(self) -> dict[str, Any]:
        return {"name": "operations", "parameters": {"max_nodes": int(self.max_nodes), "operations": list(self.operations)}}

    def place(self, drawings: Sequence[Drawing]) -> ArchGraphs:
        """The drawn networks as a batch with features.

        Raises:
            InvalidArchitecture: a network has more nodes than the space allows, or an operation that is not in its vocabulary.
        """
        rows, nodes = len(drawings), self.max_nodes
        adjacency = np.zeros((rows, nodes, nodes), dtype=np.uint8)
        ops = np.zeros((rows, nodes), dtype=np.uint8)
        features = np.zeros((rows, nodes, len(FEATURES)), dtype=np.float32)
        for row, drawing in enumerate(drawings):
            size = len(drawing.features)
            if size > nodes:
                remedy = f"pass space=OperationSpace(max_nodes={size})"
                raise InvalidArchitecture(f"network {row}: {size} nodes, and the space allows {nodes}; {remedy}")
            place = np.array([*range(size - 1), nodes - 1])  # the output comes last
            ops[row, place] = [INPUT, *(self._number(name, row) + NODE_OFFSET for name in drawing.names), OUTPUT]
            features[row, place] = drawing.features
            source, target = np.array(drawing.edges).T
            adjacency[row, place[source], place[target]] = 1
        return self.graphs(adjacency, ops).with_features(features)

    def _number(self, name: str, row: int) -> int:
        known = OTHER if name not in self.operations and OTHER in self.operations else name
        return self.operation_number(known, f"network {row}")

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for isomorphic networks with equal features (to four decimals), whatever ``max_nodes`` is
        (:func:`archenc.hashing.sweep_hash`).
        """
        return sweep_hash(graphs)
