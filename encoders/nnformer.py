"""NN-Former: a transformer that attends to predecessors, successors and siblings, with convolutions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from archenc.encoder import Encoder
from archenc.encoders.modules.nodes import NodeEmbedding, node_kinds
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.registry.rules import Depth, Probability, Size
from archenc.spaces.base import Space

HEADS = 4
"""Successors, predecessors, nodes that share a predecessor, nodes that share a successor."""


class NNFormerEncoder(Encoder):
    r"""NN-Former, a graph transformer with sibling attention (Xu et al., CVPR 2025).

    With :math:`A_{ij} = 1` for an edge from i into j, each of four attention heads sees one kind of
    neighbour, and the feed-forward block mixes neighbours in both directions (a bidirectional graph
    isomorphism network). A layer computes, with layer normalisation LN,

    .. math::

        \mathrm{head}_m &= \mathrm{softmax}\big(Q_m K_m^\top / \sqrt{d / 4} + \log M_m\big) V_m, \qquad
        M = \big(I + A,\; I + A^\top,\; I + A^\top A,\; I + A A^\top\big)

        H &= X + [\mathrm{head}_1, \dots, \mathrm{head}_4] W_o, \qquad \text{with Q, K, V linear in LN(X)}

        X' &= H + \mathrm{ReLU}\big(\tilde H W_1 + [A \tilde H W_2,\; A^\top \tilde H W_3]\big) W_4, \qquad
        \tilde H = \mathrm{LN}(H)

    where only whether an entry of M is zero counts. The encoding is the final state of a class token that
    sees all nodes and is seen by them, and takes no part in the convolutions; so the last layer has none.
    There is no position code, and isomorphic architectures get the same encoding; where operations sit on
    edges, which are encoded in their node form, only with ``simplify=True``.

    Args:
        space: any space.
        dim: d, length of a node's state and of the encoding of a cell.
        layers: number of layers; the paper takes 12, and 6 with few training architectures.
        hidden_dim: width of the feed-forward blocks.
        dropout: probability of dropping an attention weight, a hidden unit, or a unit of what is added to X.
        simplify: whether what computes nothing is cut first.

    Raises:
        InvalidParameter: a ``dim`` that four heads cannot share, or an odd ``hidden_dim``.

    Shapes:
        R rows of V nodes; returns (R, dim).

    Deviations: operations have learned vectors instead of a linear map of sinusoidal codes of their numbers,
    and there is no depth token, which holds the number of nodes. Siblings are taken in the cell alone; in the
    released code the class token is joined to every node by edges, which makes any two nodes siblings. The
    consistency between orderings of one architecture, which the paper trains for, is zero by construction.

    Training: the released code takes 3,000 epochs (AdamW at 1e-4, warm-up over a tenth of the steps, cosine
    to a tenth of the rate, averaged weights of decay 0.99, the loss "mse-rank" on accuracies from 0 to 1),
    measures tau on 1,024 further labelled architectures every five epochs, and tests the last weights beside
    those that were best there.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("nn-former", space, dim=16, layers=1, hidden_dim=32)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    form = "node"
    invariant = True
    paper: ClassVar[str] = (
        "Xu et al., NN-Former: Rethinking Graph Structure in Neural Architecture Representation, CVPR 2025, "
        "arXiv:2507.00880"
    )

    def __init__(
        self,
        space: Space,
        *,
        dim: Size = 160,
        layers: Depth = 12,
        hidden_dim: Size = 640,
        dropout: Probability = 0.1,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        if dim % HEADS or hidden_dim % 2:
            raise InvalidParameter(
                f"NN-Former got dim = {dim} and hidden_dim = {hidden_dim}; "
                f"give a dim divisible by {HEADS} and an even hidden_dim"
            )
        self.cell_dim = dim
        self.features = NodeEmbedding(space, dim, dim)
        self.class_token = nn.Parameter(torch.zeros(dim))
        self.first_norm, self.last_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        # what the last layer's convolution gives to the nodes, the class token would never see
        self.layers = nn.ModuleList(
            NNFormerLayer(dim, hidden_dim, dropout, convolve=depth < layers - 1) for depth in range(layers)
        )
        nn.init.trunc_normal_(self.class_token, std=0.02)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        nodes = self.features()[node_kinds(graphs)]
        x = self.first_norm(torch.cat([nodes, self.class_token.expand(len(nodes), 1, -1)], dim=1))
        a = graphs.adjacency.to(x.dtype)
        barred = barred_pairs(a, graphs.mask)
        edges = pad(a, (0, 1, 0, 1))  # the class token has none
        for layer in self.layers:
            x = layer(x, barred, edges)
        out: Tensor = self.last_norm(x[:, -1])
        return out


def barred_pairs(a: Tensor, mask: Tensor) -> Tensor:
    """Float (R, 4, V + 1, V + 1), added to attention scores: 0 where node i (rows) sees j, else -infinity.

    Args:
        a: float (R, V, V), 1 for an edge from i into j.
        mask: bool (R, V).
    """
    back = a.transpose(1, 2)
    itself = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
    sees = torch.stack([a, back, back @ a, a @ back], dim=1) + itself
    sees = pad(sees, (0, 1), value=1.0)  # everyone sees the class token
    by_class_token = pad(mask.to(a.dtype), (0, 1), value=1.0)[:, None, None].expand(-1, HEADS, 1, -1)
    sees = torch.cat([sees, by_class_token], dim=2)
    return torch.zeros_like(sees).masked_fill(sees == 0, -torch.inf)


class NNFormerLayer(nn.Module):
    """Masked attention, then a feed-forward block, with a graph convolution if ``convolve``."""

    def __init__(self, dim: int, hidden_dim: int, dropout: float, *, convolve: bool) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.mix_heads = nn.Linear(dim, dim, bias=False)
        self.own = nn.Linear(dim, hidden_dim, bias=False)
        self.neighbours = nn.Linear(dim, hidden_dim, bias=False) if convolve else None
        self.shrink = nn.Linear(hidden_dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        for linear in self.children():
            if isinstance(linear, nn.Linear):
                nn.init.trunc_normal_(linear.weight, std=0.02)

    def forward(self, x: Tensor, barred: Tensor, edges: Tensor) -> Tensor:
        """(R, V + 1, dim) to the same.

        Args:
            x: states of the nodes and of the class token.
            barred: see :func:`barred_pairs`.
            edges: A with an empty row and column for the class token.
        """
        x = x + self.dropout(self.attend(self.attention_norm(x), barred))
        out: Tensor = x + self.dropout(self.feed_forward(self.forward_norm(x), edges))
        return out

    def attend(self, x: Tensor, barred: Tensor) -> Tensor:
        """The four heads, mixed."""
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        heads = self.dropout(torch.softmax(scores + barred, dim=3)) @ v
        mixed: Tensor = self.mix_heads(heads.transpose(1, 2).flatten(2))
        return mixed

    def feed_forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """The bidirectional graph convolution inside a feed-forward block."""
        hidden = self.own(x)
        if self.neighbours is not None:
            from_successors, from_predecessors = self.neighbours(x).chunk(2, dim=2)
            hidden = hidden + torch.cat(
                [edges @ from_successors, edges.transpose(1, 2) @ from_predecessors], dim=2
            )
        out: Tensor = self.shrink(self.dropout(torch.relu(hidden)))
        return out
