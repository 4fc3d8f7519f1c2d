"""The graph convolutional network of Neural Predictor (Wen et al., ECCV 2020)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.encoders.modules.nodes import OneHotNodes
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Layers, Probability, Size
from archenc.spaces.base import Space


class BidirectionalConvolution(nn.Module):
    r"""One layer: messages along the edges and against them, with weights of their own.

    .. math:: X' = \tfrac12 \mathrm{ReLU}(\hat A X W^+) + \tfrac12 \mathrm{ReLU}(\hat B X W^-)
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.forwards = nn.Linear(in_dim, out_dim, bias=False)
        self.backwards = nn.Linear(in_dim, out_dim, bias=False)

    def forward(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """X (R, V, in_dim) and both normalised matrices (R, V, V) to (R, V, out_dim)."""
        return (torch.relu(a @ self.forwards(x)) + torch.relu(b @ self.backwards(x))) / 2


class NeuralPredictorEncoder(Encoder):
    r"""Neural Predictor's graph convolutional network (Wen et al., ECCV 2020, section 3.2).

    Nodes start as one-hot vectors of their operations, input and output being operations of their own. With A
    the adjacency matrix, :math:`\hat A` is A + I and :math:`\hat B` is its transpose, each divided by its row
    sums, and a layer is

    .. math:: X' = \tfrac12 \mathrm{ReLU}(\hat A X W^+) + \tfrac12 \mathrm{ReLU}(\hat B X W^-)

    followed by dropout. The encoding is a linear map of the mean over the nodes that exist. The paper's score
    is one more linear map of it: the head "mlp" with ``hidden=[]``. Spaces with operations on edges are
    encoded in their node form.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``.

    Args:
        space: the search space.
        hidden: widths of the layers.
        out_dim: length of the encoding of a cell.
        dropout: probability of dropping an entry of a layer's output, and of the encoding.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("neural-predictor", space, hidden=(32, 32), out_dim=16)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    form = "node"
    invariant = True
    paper = (
        "Wen et al., Neural Predictor for Neural Architecture Search, ECCV 2020, section 3.2, "
        "arXiv:1912.00848"
    )

    def __init__(
        self,
        space: Space,
        *,
        hidden: Layers = (144, 144, 144),
        out_dim: Size = 128,
        dropout: Probability = 0.1,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.nodes = OneHotNodes(space, output_last=False, attributes=True)
        widths = [self.nodes.columns, *hidden]
        self.layers = nn.ModuleList(BidirectionalConvolution(i, o) for i, o in pairwise(widths))
        self.linear = nn.Linear(hidden[-1], out_dim)
        self.dropout = nn.Dropout(dropout)
        self.cell_dim = out_dim

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        exists = graphs.mask.float()
        a = graphs.adjacency.float() + torch.diag_embed(exists)
        a, b = divided_by_row_sums(a), divided_by_row_sums(a.transpose(1, 2))
        x = self.nodes(graphs)
        for layer in self.layers:
            x = self.dropout(layer(x, a, b))
        mean = (x * exists[..., None]).sum(1) / exists.sum(1, keepdim=True)
        encodings: Tensor = self.dropout(self.linear(mean))
        return encodings


def divided_by_row_sums(a: Tensor) -> Tensor:
    """(R, V, V) with rows that sum to 1, or to 0 where there is only padding."""
    return a / a.sum(2, keepdim=True).clamp(min=1)
