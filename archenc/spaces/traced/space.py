"""OperationSpace: graphs of the operations of real networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from archenc.errors import InvalidArchitecture
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, ArchGraphs
from archenc.graphs.hashing import sweep_hash
from archenc.graphs.transforms import narrowed, widened
from archenc.spaces.cell import CellSpace, drawing
from archenc.spaces.traced.network import FEATURES, Drawing
from archenc.spaces.traced.vocabulary import OPERATIONS, OTHER

EDGES_PER_NODE = 3
"""Of a random network before it is pruned, at most: networks are sparse."""


class OperationSpace(CellSpace):
    """Real networks as graphs: one input node, one node for each operation of the vocabulary, one output
    node.

    A network's inputs are one joint input node; each input of a network of several has a node ``"argument"``
    behind it. All outputs lead to the one output node. What only hands its input on is contracted (dropout,
    views and reshapes, casts, copies); transposes, slices and concatenations are nodes. An operation that
    reads a value twice (x + x) has one edge from it.

    Graphs that come from networks carry :data:`~archenc.spaces.traced.network.FEATURES`. Here they are part
    of the architecture in so far as :meth:`hash` tells networks of different sizes apart; texts do not have
    them.

    Args:
        max_nodes: most nodes of a network, input and output included, at most 10,000.
        operations: the vocabulary, or a part of it; what is not in it becomes ``"other"``.

    Examples:
        >>> import torch
        >>> from archenc.spaces import from_module
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
        >>> from_module(model, torch.zeros(1, 3, 8, 8))
        ArchGraphs(operations: 1 architectures, 256 nodes, ops on nodes)
    """

    def __init__(self, *, max_nodes: int = 256, operations: Sequence[str] = OPERATIONS) -> None:
        super().__init__("operations", operations, max_nodes=max_nodes)
        self.edge_probability = min(0.5, EDGES_PER_NODE / max_nodes)

    def config(self) -> dict[str, Any]:
        return {
            "name": "operations",
            "parameters": {"max_nodes": int(self.max_nodes), "operations": list(self.operations)},
        }

    def place(self, drawings: Sequence[Drawing]) -> ArchGraphs:
        """The drawn networks as a batch with features.

        Raises:
            InvalidArchitecture: a network has more nodes than the space allows, or an operation that is not
                in its vocabulary.
        """
        rows, nodes = len(drawings), self.max_nodes
        adjacency = np.zeros((rows, nodes, nodes), dtype=np.uint8)
        ops = np.zeros((rows, nodes), dtype=np.uint8)
        features = np.zeros((rows, nodes, len(FEATURES)), dtype=np.float32)
        for row, network in enumerate(drawings):
            size = len(network.features)
            if size > nodes:
                remedy = f"pass space=OperationSpace(max_nodes={size})"
                fault = f"{size} nodes, and the space allows {nodes}"
                raise InvalidArchitecture(f"network {row}: {fault}; {remedy}", row)
            place = np.array([*range(size - 1), nodes - 1])  # the output comes last
            ops[row, place] = [
                INPUT,
                *(self._number(name, row) + NODE_OFFSET for name in network.names),
                OUTPUT,
            ]
            features[row, place] = network.features
            source, target = np.array(network.edges).T
            adjacency[row, place[source], place[target]] = 1
        return self.graphs(adjacency, ops).with_features(features)

    def _number(self, name: str, row: int) -> int:
        known = OTHER if name not in self.operations and OTHER in self.operations else name
        try:
            return self.operation_number(known, f"network {row}")
        except InvalidArchitecture as error:
            error.position = row
            raise

    # -- work that follows the nodes that are there, as ``max_nodes`` may be far above them ------------------

    def faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        return super().faults(narrowed(graphs))

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Edges are drawn one after the other, by the gaps between them, and never as a matrix of all
        pairs.
        """
        nodes = self.max_nodes
        row, source, target = _random_edges(rows, nodes, self.edge_probability, rng)
        inputs, outputs = np.arange(rows) * nodes, np.arange(rows) * nodes + nodes - 1
        tail, head = row * nodes + source, row * nodes + target
        used = _reached(rows * nodes, inputs, tail, head) & _reached(rows * nodes, outputs, head, tail)
        used[inputs] = used[outputs] = True
        existing = used.reshape(rows, nodes)
        place = existing.cumsum(1) - 1
        place[:, -1] = nodes - 1
        kept = used[tail] & used[head]
        row, source, target = row[kept], place[row[kept], source[kept]], place[row[kept], target[kept]]
        adjacency, ops = (
            np.zeros((rows, nodes, nodes), dtype=np.uint8),
            np.zeros((rows, nodes), dtype=np.uint8),
        )
        adjacency[row, source, target] = 1
        ops[np.nonzero(existing)[0], place[existing]] = (
            rng.integers(len(self.operations), size=existing.sum()) + NODE_OFFSET
        )
        ops[:, 0], ops[:, -1] = INPUT, OUTPUT
        return self.graphs(adjacency, ops)

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        return widened(drawing.mutants(narrowed(parents, spare=1), rng), self.max_nodes)

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for isomorphic networks with equal features (to four decimals), whatever
        ``max_nodes`` is (:func:`archenc.graphs.hashing.sweep_hash`).
        """
        return sweep_hash(graphs)


def _random_edges(
    rows: int, nodes: int, probability: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, source and target of the edges of random graphs, where each pair of nodes is joined with the same
    probability.
    """
    pairs = nodes * (nodes - 1) // 2
    expected = rows * pairs * probability
    gaps = rng.geometric(
        probability, size=int(expected + 10 * np.sqrt(expected) + 10)
    )  # more than enough of them
    at = gaps.cumsum() - 1
    row, pair = np.divmod(at[at < rows * pairs], pairs)
    target = ((1 + np.sqrt(1 + 8 * pair)) / 2).astype(
        np.int64
    )  # the pairs in the order of their targets: 0-1, 0-2, 1-2, 0-3, ...
    return row, pair - target * (target - 1) // 2, target


def _reached(nodes: int, start: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bool (nodes,): what the edges lead to from ``start``, which is part of it."""
    reached = np.zeros(nodes, dtype=bool)
    reached[start] = True
    while not reached[ahead := target[reached[source]]].all():
        reached[ahead] = True
    return reached
