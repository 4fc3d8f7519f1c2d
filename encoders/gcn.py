"""Graph convolutional networks on cells."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from archenc.encoder import LocalEncoder
from archenc.encoders.modules.nodes import NodeEmbedding, node_kinds, num_kinds
from archenc.graphs import ArchGraphs
from archenc.graphs.flow import receiving, with_global_node
from archenc.registry.rules import Layers, Size
from archenc.spaces.base import Space

_PAPER = (
    "Shi et al.: Bridging the Gap between Sample-based and One-shot Neural Architecture Search with BONAS, "
    "NeurIPS 2020, "
    "https://proceedings.neurips.cc/paper/2020/hash/13d4635deccc230c944e4ff6e03404b5-Abstract.html; "
    "as the baseline of Ning et al.: GATES, ECCV 2020, section 4, arXiv:2004.01899"
)


class _ConvolutionalEncoder(LocalEncoder):
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
        self.depth = len(hidden)
        self.cell_dim = hidden[-1]

    def history_key(self) -> Hashable | None:
        return None if self.normalise else (type(self), self.depth, self.self_loops)

    def convolve(self, graphs: ArchGraphs, features: Tensor, behind: int) -> Tensor:
        """The mean of the last layer over the nodes from ``behind`` on, from the table of first features: the
        first X W is taken on that small table.
        """
        passing = self.passing(graphs)
        x_w = passing.start(self.weights[0](features))
        x = passing.layers[0].received(x_w) + self.biases[0]
        for rows, weight, bias in zip(passing.layers[1:], self.weights[1:], self.biases[1:], strict=True):
            x = rows.received(weight(relu(x))) + bias
        return passing.mean(x, self.exists(graphs), behind)


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

    def history_key(self) -> Hashable | None:
        key = super().history_key()
        return None if key is None else (key, self.global_vector is None)

    def nodes(self, graphs: ArchGraphs) -> tuple[Tensor, Tensor]:
        """Adjacency and mask, with the global node if there is one."""
        if self.global_vector is None:
            return graphs.adjacency, graphs.mask
        return with_global_node(graphs.adjacency, graphs.mask)

    def exists(self, graphs: ArchGraphs) -> Tensor:
        return self.nodes(graphs)[1]

    def edges(self, graphs: ArchGraphs) -> Tensor:
        return receiving(*self.nodes(graphs), self_loops=self.self_loops, normalise=self.normalise)

    def kinds(self, graphs: ArchGraphs) -> Tensor:
        return self.first_states(graphs)

    def first_states(self, graphs: ArchGraphs) -> Tensor:
        kinds = node_kinds(graphs)
        return kinds if self.global_vector is None else pad(kinds, (0, 1), value=num_kinds(self.space))

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        features = self.features()
        if self.global_vector is not None:
            features = torch.cat([features, self.features.linear(self.global_vector)[None]])
        return self.convolve(graphs, features, self.space.num_inputs)


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

    def _inside(self, graphs: ArchGraphs) -> slice:
        return slice(self.space.num_inputs, graphs.num_nodes - 1)

    def exists(self, graphs: ArchGraphs) -> Tensor:
        return graphs.mask[:, self._inside(graphs)]

    def edges(self, graphs: ArchGraphs) -> Tensor:
        inside = self._inside(graphs)
        adjacency = graphs.adjacency[:, inside, inside]
        return receiving(adjacency, self.exists(graphs), self_loops=self.self_loops, normalise=self.normalise)

    def kinds(self, graphs: ArchGraphs) -> Tensor:
        return self.first_states(graphs)

    def first_states(self, graphs: ArchGraphs) -> Tensor:
        return graphs.ops[:, self._inside(graphs)].long()

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return self.convolve(graphs, self.features(), 0)
