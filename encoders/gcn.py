"""Graph convolutional networks on cells."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from archenc.encoder import Encoder
from archenc.encoders.modules.layers import mean_over_nodes, receiving, with_global_node
from archenc.encoders.modules.nodes import NodeEmbedding, node_kinds
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Layers, Size
from archenc.spaces.base import Space

_PAPER = (
    "Shi et al.: Bridging the Gap between Sample-based and One-shot Neural Architecture Search with BONAS, "
    "NeurIPS 2020, "
    "https://proceedings.neurips.cc/paper/2020/hash/13d4635deccc230c944e4ff6e03404b5-Abstract.html; "
    "as the baseline of Ning et al.: GATES, ECCV 2020, section 4, arXiv:2004.01899"
)


class _ConvolutionalEncoder(Encoder):
    """The layers of both encoders: layer l is X' = A (X W_l) + b_l, with ReLU after all but the last."""

    form = "node"
    invariant = True
    paper = _PAPER

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
        super().__init__(space, simplify=simplify)
        self.self_loops, self.normalise = self_loops, normalise
        self.features = NodeEmbedding(space, op_dim, feature_dim)
        widths = [feature_dim, *hidden]
        self.weights = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(o) for o in hidden)
        self.cell_dim = hidden[-1]

    def convolve(self, a: Tensor, x_w: Tensor) -> Tensor:
        """All layers, from the first X W (R, V, d) on: that product is taken on the table of operations."""
        x: Tensor = a @ x_w + self.biases[0]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            x = a @ weight(relu(x)) + bias
        return x


class GCNEncoder(_ConvolutionalEncoder):
    r"""Graph convolutional network with a mean readout.

    Node features are learned vectors of the operations. With :math:`A_{ij} = 1` for an edge from j into i,
    each layer computes :math:`X' = A (X W) + b`, followed by a ReLU in all layers but the last; the encoding
    is the mean of all nodes behind the inputs, where padding counts as zero and the divisor is constant.
    Spaces with operations on edges are encoded in their node form.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``.

    Args:
        space: the search space.
        global_node: one more node that receives an edge from every other one and is part of the mean. Its
            vector is learned from 0.
        op_dim: length of the operations' vectors, before and after their linear map.
        hidden: widths of the layers; the last is the length of the encoding of a cell.
        self_loops: A + I. Deviation: on by default, as without it two layers never see an operation that
            feeds nothing but the output.
        normalise: symmetric degree normalisation of A.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("gcn", space, global_node=True)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 128])
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
            space,
            op_dim=op_dim,
            feature_dim=op_dim,
            hidden=hidden,
            self_loops=self_loops,
            normalise=normalise,
            simplify=simplify,
        )
        self.global_vector = nn.Parameter(torch.zeros(op_dim)) if global_node else None

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        first = self.weights[0]
        adjacency, mask = graphs.adjacency, graphs.mask
        x_w = first(self.features())[node_kinds(graphs)]
        if self.global_vector is not None:
            adjacency, mask = with_global_node(adjacency, mask)
            everywhere = first(self.features.linear(self.global_vector)).expand(len(x_w), 1, -1)
            x_w = torch.cat([x_w, everywhere], dim=1)
        a = receiving(adjacency, mask, self_loops=self.self_loops, normalise=self.normalise)
        x = self.convolve(a, x_w)
        behind = self.space.num_inputs
        return mean_over_nodes(x[:, behind:], mask[:, behind:])


class LineGraphGCNEncoder(_ConvolutionalEncoder):
    r"""Graph convolutional network on the line graph of a cell whose operations sit on edges.

    Its nodes are the operations alone: the operation on i -> j feeds those on j -> k. Layers and mean are
    those of :class:`GCNEncoder`, without input and output nodes.

    Isomorphic architectures get the same encoding with ``simplify=True``.

    Args:
        space: a space with operations on edges.
        op_dim: length of the operations' vectors.
        feature_dim: length after their linear map.
        hidden: widths of the layers; the last is the length of the encoding of a cell.
        self_loops: A + I. Deviation: on by default, as without it an operation that feeds no other is never
            seen.
        normalise: symmetric degree normalisation of A.
        simplify: whether what computes nothing is cut first; skip connections are then bypassed.

    Raises:
        InvalidParameter: the space has its operations on nodes.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("linegraph-gcn", space, hidden=(32, 32))
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 32])
    """

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        if space.op_on == "node":
            return "it needs operations on edges, and this space has them on nodes; choose the encoder 'gcn'"
        return super().unsupported(space)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        inside = slice(self.space.num_inputs, graphs.num_nodes - 1)
        adjacency, mask = graphs.adjacency[:, inside, inside], graphs.mask[:, inside]
        a = receiving(adjacency, mask, self_loops=self.self_loops, normalise=self.normalise)
        x_w = self.weights[0](self.features())[graphs.ops[:, inside].long()]
        return mean_over_nodes(self.convolve(a, x_w), mask)
