"""One architecture as a networkx graph."""

from __future__ import annotations

import networkx as nx
import numpy as np

from archenc.errors import InvalidParameter
from archenc.graphs.conventions import Batch


def to_networkx(graphs: Batch) -> nx.DiGraph:
    """The one architecture of a batch of one.

    Nodes are numbered as in the arrays, padding left out; the nodes of a second cell (DARTS: reduction)
    follow those of the first and every node has the attribute ``cell``. Operations on nodes are the node
    attribute ``op`` (``"input"``, ``"output"`` or the operation's name). Operations on edges are the edge
    attribute ``op`` of a MultiDiGraph, and its nodes have the attribute ``role``. Where the graphs have
    features, ``features`` is the list of an operation's beside ``op``.

    Raises:
        InvalidParameter: the batch does not hold exactly one architecture.
    """
    if len(graphs) != 1:
        raise InvalidParameter(
            f"{len(graphs)} architectures cannot become one networkx graph; pick one, as in graphs[0]"
        )
    space = graphs.space
    on_nodes = graphs.op_on == "node"
    features = graphs.features if on_nodes else graphs.edge_features()

    def known(*place: int) -> dict[str, list[float]]:
        return {} if features is None else {"features": features[place].tolist()}

    graph: nx.DiGraph = nx.DiGraph() if on_nodes else nx.MultiDiGraph()
    for cell in range(space.cells):
        start = cell * graphs.num_nodes
        for node in np.flatnonzero(graphs.mask[cell].numpy()).tolist():
            if on_nodes:
                graph.add_node(
                    start + node,
                    cell=cell,
                    op=space.node_vocabulary[int(graphs.ops[cell, node])],
                    **known(cell, node),
                )
            else:
                role = (
                    "input"
                    if node < space.num_inputs
                    else "output"
                    if node == graphs.num_nodes - 1
                    else "interior"
                )
                graph.add_node(start + node, cell=cell, role=role)
        if on_nodes:
            graph.add_edges_from((start + i, start + j) for i, j in graphs.adjacency[cell].nonzero().tolist())
            continue
        ops = graphs.edge_ops()[cell]
        for slot, i, j in ops.nonzero().tolist():
            graph.add_edge(
                start + i,
                start + j,
                op=space.edge_vocabulary[int(ops[slot, i, j])],
                **known(cell, slot, i, j),
            )
    return graph
