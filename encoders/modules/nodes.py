"""What the nodes of a cell are: as numbers, one-hot, and as learned vectors.

The *kind* of a node is the id of its operation in the space's vocabulary (:mod:`archenc.graphs`), where 0 is
padding; the inputs behind the first have kinds of their own, numbered behind the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archenc.graphs import EDGE_OFFSET, INPUT, NODE_OFFSET, OUTPUT, PAD, ArchGraphs, OpOn
from archenc.spaces.base import Space


def input_kinds(space: Space) -> list[int]:
    """The kinds of the inputs of a cell, in their order."""
    behind = len(space.node_vocabulary)
    return [INPUT, *range(behind, behind + space.num_inputs - 1)]


def num_kinds(space: Space) -> int:
    """How many kinds there are, padding included."""
    return len(space.node_vocabulary) + space.num_inputs - 1


def node_kinds(graphs: ArchGraphs) -> Tensor:
    """int64 (R, V): the kind of each node, for graphs with operations on nodes."""
    inputs = torch.tensor(input_kinds(graphs.space), device=graphs.device)
    behind = graphs.ops[:, len(inputs) :].long()
    return torch.cat([inputs.expand(len(behind), -1), behind], dim=1)


class OneHotNodes(nn.Module):
    """X: a one-hot vector for each node, with a column for each kind but padding, which is all zeros.

    Args:
        space: the search space.
        output_last: whether the column of the output is behind those of the operations, or between those and
            the inputs.
        attributes: whether what the space knows of its operations
            (:attr:`archenc.spaces.base.Space.operation_features`) has columns behind those.

    Attributes:
        columns: C, length of a vector.
    """

    table: Tensor

    def __init__(self, space: Space, *, output_last: bool = True, attributes: bool = False) -> None:
        super().__init__()
        ops = [*range(NODE_OFFSET, len(space.node_vocabulary))]
        kinds = [*input_kinds(space), *([*ops, OUTPUT] if output_last else [OUTPUT, *ops])]
        self.column_of = torch.full((num_kinds(space),), -1)  # of each kind
        self.column_of[kinds] = torch.arange(len(kinds))
        ids = [kind if kind < len(space.node_vocabulary) else INPUT for kind in kinds]
        self.id_of = torch.tensor(ids, dtype=torch.uint8)  # of each column
        table = torch.eye(len(kinds) + 1)[:, 1:]  # the first row is padding's
        features = space.operation_features if attributes else None
        if features is not None:
            known = torch.zeros(len(table), features.shape[1])
            known[self.column_of[NODE_OFFSET : len(space.node_vocabulary)] + 1] = features
            table = torch.cat([table, known], dim=1)
        self.columns = table.shape[1]
        self.register_buffer("table", table, persistent=False)

    def forward(self, graphs: ArchGraphs) -> Tensor:
        """X, float32 (R, V, C)."""
        return self.table[self.ids(graphs) + 1]

    def ids(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, V): each node's column, -1 where there is no node."""
        return self.column_of.to(graphs.device)[node_kinds(graphs)]

    def node_ids(self, columns: Tensor) -> Tensor:
        """uint8: the ids of operations (:mod:`archenc.graphs`) of columns."""
        return self.id_of.to(columns.device)[columns]


class KnownOfOperations(nn.Module):
    """What a space knows of its operations (:attr:`archenc.spaces.base.Space.operation_features`), mapped
    linearly: what is added to the vectors of a table of kinds.

    Operations that share an attribute share what is learnt of it. Spaces whose operations are mere names have
    no such part.

    Args:
        space: the search space.
        kinds: rows of the table.
        dim: length of a vector.
        first: the row of the first operation.
    """

    known: Tensor

    def __init__(self, space: Space, kinds: int, dim: int, first: int) -> None:
        super().__init__()
        features = space.operation_features
        self.weight: nn.Parameter | None = None
        if features is not None:
            known = torch.zeros(kinds, features.shape[1])
            known[first : first + len(features)] = features
            self.register_buffer("known", known, persistent=False)
            self.weight = nn.Parameter(torch.randn(features.shape[1], dim))

    def forward(self, table: Tensor) -> Tensor:
        """The table (kinds, dim) with what is known added."""
        return table if self.weight is None else table + self.known @ self.weight


class NodeEmbedding(nn.Module):
    """A learned vector for each kind of node, mapped linearly: e -> E e + c.

    What follows is done once on this small table and then gathered, which gives the same numbers as doing it
    at every node.

    Args:
        space: the search space.
        op_dim: length of a vector.
        out_dim: length after the linear map.
    """

    def __init__(self, space: Space, op_dim: int, out_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(num_kinds(space), op_dim))
        self.linear = nn.Linear(op_dim, out_dim)
        self.known = KnownOfOperations(space, num_kinds(space), op_dim, NODE_OFFSET)

    def forward(self) -> Tensor:
        """The table, (kinds, out_dim); its rows are those of :func:`node_kinds`."""
        features: Tensor = self.linear(self.known(self.embedding))
        return features


class OperationEmbedding(nn.Module):
    """A learned vector for each id of the vocabulary of a form, (num_ops, op_dim).

    Padding and input nodes have the fixed vector zero.
    """

    learned: Tensor

    def __init__(self, space: Space, form: OpOn, op_dim: int) -> None:
        super().__init__()
        names = space.node_vocabulary if form == "node" else space.edge_vocabulary
        self.table = nn.Parameter(torch.randn(len(names), op_dim))
        learned = torch.ones(len(names), 1)
        learned[PAD] = 0.0
        if form == "node":
            learned[INPUT] = 0.0
        self.register_buffer("learned", learned, persistent=False)
        offset = NODE_OFFSET if form == "node" else EDGE_OFFSET
        self.known = KnownOfOperations(space, len(names), op_dim, offset)

    def forward(self) -> Tensor:
        """(num_ops, op_dim)."""
        table: Tensor = self.known(self.table) * self.learned
        return table
