"""The graph convolutional network of BRP-NAS (Dudziak et al., NeurIPS 2020)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from archenc.encoder import Encoder
from archenc.encoders.modules.nodes import OneHotNodes
from archenc.graphs import ArchGraphs
from archenc.graphs.flow import receiving, with_global_node
from archenc.registry.rules import Layers, Probability
from archenc.spaces.base import Space


class BRPNASConvolution(nn.Module):
    """One layer: X' = dropout(ReLU(LayerNorm(A (X W) + b)))."""

    def __init__(self, in_dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Linear(in_dim, out_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_dim))
        self.after = nn.Sequential(nn.LayerNorm(out_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        """X (R, V, in_dim) and A (R, V, V) to (R, V, out_dim)."""
        outputs: Tensor = self.after(a @ self.weight(x) + self.bias)
        return outputs


class BRPNASEncoder(Encoder):
    r"""BRP-NAS' graph convolutions (Dudziak et al., NeurIPS 2020, section 3.1), read at a global node.

    Nodes start as one-hot vectors of their operations. One more node, the global one, of a kind of its own,
    receives an edge from every other. With :math:`A_{ij} = 1` for an edge from j into i, and ones on the
    diagonal, a layer is

    .. math:: X' = \mathrm{dropout}(\mathrm{ReLU}(\mathrm{LayerNorm}(A (X W) + b)))

    and the encoding is the last state of the global node. The paper's score is a linear map of it, the head
    "mlp" with ``hidden=[]``; its binary relation, which of two architectures is better, is the head and loss
    "comparator". Spaces with operations on edges are encoded in their node form.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``.

    Args:
        space: the search space.
        hidden: widths of the layers; the last is the length of the encoding of a cell.
        dropout: probability of dropping an entry of a layer's output.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("brp-nas", space, hidden=(32, 32))
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 32])
    """

    form = "node"
    invariant = True
    paper = (
        "Dudziak et al., BRP-NAS: Prediction-based NAS using GCNs, NeurIPS 2020, section 3, arXiv:2007.08668"
    )

    def __init__(
        self,
        space: Space,
        *,
        hidden: Layers = (600, 600, 600, 600),
        dropout: Probability = 0.2,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.nodes = OneHotNodes(space, output_last=False, attributes=True)
        widths = [self.nodes.columns + 1, *hidden]
        self.layers = nn.ModuleList(BRPNASConvolution(i, o, dropout) for i, o in pairwise(widths))
        self.cell_dim = hidden[-1]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        x = pad(self.nodes(graphs), (0, 1, 0, 1))
        x[:, -1, -1] = 1.0
        a = receiving(*with_global_node(graphs.adjacency, graphs.mask), self_loops=True, normalise=False)
        for layer in self.layers:
            x = layer(x, a)
        return x[:, -1]
