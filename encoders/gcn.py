"""Graph convolutional networks on cells."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from archenc.encoder import Encoder
from archenc.encoders.layers import mean_over_nodes, receiving
from archenc.encoders.nodes import NodeEmbedding, node_kinds
from archenc.graphs import ArchGraphs
from archenc.rules import Layers, Size
from archenc.spaces.base import Space

_PAPER = (
    "Shi et al.: Bridging the Gap between Sample-based and One-shot Neural Architecture Search with BONAS, NeurIPS 2020; "
    "as the baseline of Ning et al.: GATES, ECCV 2020, section 4"
)


class _ConvolutionalEncoder(Encoder):
    """The stack of graph convolutions that both encoders share: layer l computes X' = A (X W_l) + b_l, with ReLU after all but the last."""

    form = "node"
    invariant = True
    paper = _PAPER

    def __init__(
        self, space: Space, *, op_dim: int, feature_dim: int, hidden: Layers, self_loops: bool, normalise: bool, simplify: bool
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.self_loops, self.normalise = self_loops, normalise
        self.features = NodeEmbedding(space, op_dim, feature_dim)
        widths = [feature_dim, *hidden]
        self.weights = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(o) for o in hidden)
        self.cell_dim = hidden[-1]

    def convolve(self, a: Tensor, x_w: Tensor) -> Tensor:
        """All layers, from the first X W (R, V, d) on: the first product is taken on the table of operations."""
        x: Tensor = a @ x_w + self.biases[0]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            x = a @ weight(relu(x)) + bias
        return x


class GCNEncoder(_ConvolutionalEncoder):
    r"""Graph convolutional network with a mean readout.

    Node features are learned vectors of the operations. With :math:`A_{ij} = 1` for an edge from j into i, each layer computes
    :math:`X' = A (X W) + b`, followed by a ReLU in all layers but the last; the encoding is the mean of all nodes behind the inputs, where
    padding counts as zero and the divisor is constant. Spaces with operations on edges are encoded in their node form.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with ``simplify=True``.

    On the published split of NAS-Bench-101 the global node with normalised messages is .03 below the published tau at 7,290 training cells
    and .02 below at 3,645. Plain sums are .045 and .03 below, and without self-loops tau stays under .58.

    Args:
        space: the search space.
        global_node: one more node that receives an edge from every other one and is part of the mean. Its vector is learned from 0.
        op_dim: length of the operations' vectors, before and after their linear map.
        hidden: widths of the layers; the last is the length of the encoding of a cell.
        self_loops: A + I. Deviation: on by default, as without it two layers never see an operation that feeds nothing but the output.
        normalise: symmetric degree normalisation of A.
        simplify: whether what computes nothing is cut first.
    """

    def __init__(
        self,
        space: Space,
        *,
        global_node: bool = False,
        op_dim: Size = 48,
        hidden: Layers = (128, 128),
        self_loops: bool = True,
        normalise: bool = False,
        simplify: bool = False,
    ) -> None:
        super().__init__(
            space, op_dim=op_dim, feature_dim=op_dim, hidden=hidden, self_loops=self_loops, normalise=normalise, simplify=simplify
        )
        self.global_vector = nn.Parameter(torch.zeros(op_dim)) if global_node else None

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        first = self.weights[0]
        adjacency, mask = graphs.adjacency, graphs.mask
        x_w = first(self.features())[node_kinds(graphs)]
        if self.global_vector is not None:
            adjacency = torch.cat([pad(adjacency, (0, 0, 0, 1)), pad(mask.to(adjacency), (0, 1))[:, :, None]], dim=2)
            mask = pad(mask, (0, 1), value=True)
            everywhere = first(self.features.linear(self.global_vector)).expand(len(x_w), 1, -1)
            x_w = torch.cat([x_w, everywhere], dim=1)
        x = self.convolve(receiving(adjacency, mask, self_loops=self.self_loops, normalise=self.normalise), x_w)
        behind = self.space.num_inputs
        return mean_over_nodes(x[:, behind:], mask[:, behind:])


class LineGraphGCNEncoder(_ConvolutionalEncoder):
    r"""Graph convolutional network on the line graph of a cell whose operations sit on edges.

    Its nodes are the operations alone: the operation on i -> j feeds those on j -> k. Layers and mean are those of :class:`GCNEncoder`,
    without input and output nodes.

    Isomorphic architectures get the same encoding with ``simplify=True``.

    Args:
        space: a space with operations on edges.
        op_dim: length of the operations' vectors.
        feature_dim: length after their linear map.
        hidden: widths of the layers; the last is the length of the encoding of a cell.
        self_loops: A + I. Deviation: on by default, as without it an operation that feeds no other is never seen.
        normalise: symmetric degree normalisation of A.
        simplify: whether what computes nothing is cut first; skip connections are then bypassed.

    Raises:
        InvalidParameter: the space has its operations on nodes.
    """

    def __init__(
        self,
        space: Space,
        *,
        op_dim: Size = 48,
        feature_dim: Size = 96,
        hidden: Layers = (128, 128),
        self_loops: bool = True,
        normalise: bool = False,
        simplify: bool = False,
    ) -> None:
        super().__init__(
            space, op_dim=op_dim, feature_dim=feature_dim, hidden=hidden, self_loops=self_loops, normalise=normalise, simplify=simplify
        )

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        if space.op_on == "node":
            return "it needs operations on edges, and this space has them on nodes; choose the encoder 'gcn'"
        return super().unsupported(space)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        inside = slice(self.space.num_inputs, graphs.num_nodes - 1)
        mask = graphs.mask[:, inside]
        a = receiving(graphs.adjacency[:, inside, inside], mask, self_loops=self.self_loops, normalise=self.normalise)
        x_w = self.weights[0](self.features())[graphs.ops[:, inside].long()]
        return mean_over_nodes(self.convolve(a, x_w), mask)
