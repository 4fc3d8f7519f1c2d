"""Encoders that read a cell as a sequence of edge bits and operations."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.encoders.modules.features import (
    edge_bits,
    edge_pairs,
    has_absent,
    node_by_node,
    num_positions,
    one_hot,
    operation_numbers,
)
from archenc.encoders.modules.nodes import KnownOfOperations
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Layers, Size
from archenc.spaces.base import Space

_PAPER = (
    "baseline of Ning et al.: A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based "
    "NAS, ECCV 2020, section 4, arXiv:2004.01899"
)


class MLPEncoder(Encoder):
    """A multi-layer perceptron on the plain numbers of a cell: its edge bits, then its operation numbers.

    NAS-Bench-101 gives 21 + 5 numbers, NAS-Bench-201 six. Each hidden layer is linear with a ReLU. Deviation:
    operation numbers are k + 1, and 0 where there is no operation.

    Args:
        space: the search space.
        hidden: widths of the layers; the last is the length of the encoding of a cell. The papers give none.
        onehot: feed one-hot operations instead of their numbers. This is not the published baseline, where
            plain numbers put the operations in an order that means nothing. Where the space knows attributes
            of its operations, these are fed instead of their numbers.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("mlp", space, hidden=(32,))
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 32])
    """

    paper = _PAPER
    known: Tensor

    def __init__(
        self, space: Space, *, hidden: Layers = (200, 200, 200), onehot: bool = False, simplify: bool = False
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.onehot = onehot
        self.pairs = edge_pairs(space, simplify=simplify)
        self.absent = has_absent(space, simplify=simplify)
        features = None if onehot else space.operation_features
        known = (
            torch.zeros(0, 1) if features is None else torch.cat([torch.zeros_like(features[:1]), features])
        )
        self.register_buffer("known", known, persistent=False)  # of "no operation", then of each one
        states = len(space.operations) + self.absent if onehot else known.shape[1]
        widths = [self.pairs.shape[1] + num_positions(space) * states, *hidden]
        layers = [layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.layers = nn.Sequential(*layers)
        self.cell_dim = hidden[-1]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        numbers = operation_numbers(graphs)
        if self.onehot:
            numbers = one_hot(numbers, len(self.space.operations), absent=self.absent)
        elif len(self.known):
            numbers = self.known[numbers.long()].flatten(1)
        edges = edge_bits(graphs, self.pairs.to(graphs.device))
        encodings: Tensor = self.layers(torch.cat([edges, numbers], dim=1).float())
        return encodings


class LSTMEncoder(Encoder):
    """A long short-term memory that reads a cell token by token: its edge bits, then its operations.

    The last output is the encoding. Edge bits and operations have embedding tables of their own.
    NAS-Bench-101 gives 21 + 5 tokens, NAS-Bench-201 six. One step, with the gates i, f, g, o in a row and the
    logistic function s, is

        [i f g o] = W x + U h + b,   c' = s(f) c + s(i) tanh(g),   h' = s(o) tanh(c')

    W x + b depends on the token alone and is computed on the tables. "No operation" has a vector of its own.

    Args:
        space: the search space.
        embedding_dim: length of the tokens' vectors.
        hidden: length of the state, which is the length of the encoding of a cell.
        by_node: read each node's incoming edges and then its operation, as NAO does, instead of the published
            order, the adjacency matrix row by row and then all operations.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("lstm", space, hidden=16)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    paper = _PAPER

    def __init__(
        self,
        space: Space,
        *,
        embedding_dim: Size = 100,
        hidden: Size = 100,
        by_node: bool = False,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.pairs = edge_pairs(space, simplify=simplify)
        self.order = node_by_node(space, self.pairs) if by_node else None
        self.edge_embedding = nn.Parameter(torch.randn(2, embedding_dim)) if self.pairs.shape[1] > 0 else None
        self.op_embedding = nn.Parameter(torch.randn(len(space.operations) + 1, embedding_dim))
        self.known = KnownOfOperations(space, len(self.op_embedding), embedding_dim, 1)
        self.input_map = nn.Linear(embedding_dim, 4 * hidden)
        self.state_map = nn.Linear(hidden, 4 * hidden, bias=False)
        self.cell_dim = hidden

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        steps = self.input_map(self.known(self.op_embedding))[operation_numbers(graphs).long()]
        if self.edge_embedding is not None:
            edges = edge_bits(graphs, self.pairs.to(graphs.device)).long()
            steps = torch.cat([self.input_map(self.edge_embedding)[edges], steps], dim=1)
        if self.order is not None:
            steps = steps[:, self.order.to(steps.device)]
        start = steps.new_zeros(len(steps), self.cell_dim)
        return lstm(steps, self.state_map, start, start)[-1]


def lstm(steps: Tensor, state_map: nn.Linear, h: Tensor, c: Tensor) -> list[Tensor]:
    """The outputs h (R, H) of a long short-term memory after each of T steps.

    Args:
        steps: W x + b for each token x, (R, T, 4 H).
        state_map: U.
        h: (R, H), the output before the first token.
        c: (R, H), the memory before the first token.
    """
    outputs = []
    for step in steps.unbind(1):
        i, f, g, o = (step + state_map(h)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return outputs
