"""The adjacency-matrix encodings (White, Neiswanger, Nolen, Savani, NeurIPS 2020, section 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.modules.features import (
    edge_bits,
    edge_pairs,
    has_absent,
    num_positions,
    one_hot,
    operation_numbers,
    present_indices,
)
from archenc.graphs import ArchGraphs
from archenc.graphs.transforms import live_edges
from archenc.spaces.base import Space

Kind = Literal["onehot", "categorical", "continuous"]


class AdjacencyEncoder(Encoder):
    """The edges, then the operations.

    ================ ==================================== ===========================================
    kind             operations on nodes                  operations on edges
    ================ ==================================== ===========================================
    ``onehot``       edge bits; one-hot of each operation one-hot of the operation in each edge slot
    ``categorical``  1-based indices of the edges, padded operation numbers
                     with 0 to the most edges of a cell;
                     operation numbers
    ``continuous``   edge bits; operation values; number  operation values; number of edges that
                     of edges                             carry an operation other than "none"
    ================ ==================================== ===========================================

    Edges are ordered by target, then source (the columns of the upper triangle, one after the other),
    operations by node or by edge slot. The operation number is k + 1, the operation value (k + 1) / K; both
    are 0 where there is no operation, and a one-hot vector is then zero; edges that may be missing get a
    state of their own instead. In a space of fixed topology the edge bits are left out: they would be
    constants. NAS-Bench-101 gives 21 + 15, 9 + 5 and 21 + 5 + 1 numbers, NAS-Bench-201 30, 6 and 7.

    Deviations: the released code lists the upper triangle by rows and the operations backwards, and spreads
    the operation values over 0 .. 1 with no value kept for "no operation"; neither paper nor code treats
    spaces with free edges that carry operations.

    Args:
        space: the search space.
        kind: see the table.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> encoder = archenc.create_encoder("adjacency", space, kind="categorical")
        >>> encoder.encode(space.parse([cell])).tolist()
        [[4.0, 2.0, 4.0, 1.0, 1.0, 5.0]]
    """

    fixed = True
    paper = (
        "White, Neiswanger, Nolen, Savani: A Study on Encodings for Neural Architecture Search, "
        "NeurIPS 2020, section 3, arXiv:2007.04965"
    )

    def __init__(self, space: Space, *, kind: Kind = "onehot", simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.kind = kind
        self.pairs = edge_pairs(space, simplify=simplify)
        self.absent = has_absent(space, simplify=simplify)
        pairs, places = self.pairs.shape[1], num_positions(space)
        # bypassing a skip connection can join more pairs than the space's limit on edges allows
        self.list_length = (
            min(pairs, space.max_edges) if space.max_edges is not None and not simplify else pairs
        )
        self.cell_dim = {
            "onehot": pairs + places * (len(space.operations) + self.absent),
            "categorical": self.list_length + places,
            "continuous": pairs + places + 1,
        }[kind]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        edges = edge_bits(graphs, self.pairs.to(graphs.device))
        numbers = operation_numbers(graphs)
        num_ops = len(self.space.operations)
        if self.kind == "onehot":
            parts = [edges, one_hot(numbers, num_ops, absent=self.absent)]
        elif self.kind == "categorical":
            parts = [present_indices(edges, self.list_length), numbers]
        else:
            parts = [edges, numbers / num_ops, num_edges(graphs)[:, None]]
        return torch.cat([part.float() for part in parts], dim=1)


def num_edges(graphs: ArchGraphs) -> Tensor:
    """Int64 (R,): edges of each cell; where edges carry operations, those with one other than "none"."""
    if graphs.op_on == "node":
        return graphs.adjacency.sum((1, 2), dtype=torch.int64)
    return live_edges(graphs).sum((1, 2, 3), dtype=torch.int64)
