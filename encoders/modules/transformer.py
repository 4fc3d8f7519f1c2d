"""A transformer whose tokens see what a mask allows."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class Transformer(nn.Module):
    r"""Transformer layers with normalisation in front (Xiong et al., ICML 2020), and a last normalisation.

    A layer computes, with layer normalisation LN,

    .. math:: H = X + \mathrm{MHA}(\mathrm{LN}(X)), \qquad X' = H + W_2 \, \mathrm{ReLU}(W_1 \mathrm{LN}(H))

    with multi-head attention :math:`\mathrm{softmax}(Q K^\top / \sqrt{d / h}) V` over the tokens that a token
    sees. There is no position code. Dropout is on what is added to X and on the hidden units.

    Args:
        dim: d, length of a token's state.
        layers: number of layers.
        heads: h, a divisor of d.
        hidden_dim: rows of W_1.
        dropout: probability of dropping a unit.
    """

    def __init__(self, dim: int, layers: int, heads: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(dim, heads, hidden_dim, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, sees: Tensor, exists: Tensor) -> Tensor:
        """(R, V, d) to the same.

        Args:
            x: tokens.
            sees: bool (R, V, V), or (R, 1, V) where all see the same: whether token i (rows) may attend to
                token j. A token that sees none attends evenly to all that exist.
            exists: bool (R, V), at least one in a row; what does not exist is never attended to.
        """
        sees = sees & exists[:, None]
        blind = ~sees.any(2, keepdim=True)
        allowed = sees | (blind & exists[:, None])
        bias = torch.zeros(allowed.shape, dtype=x.dtype, device=x.device).masked_fill(~allowed, -torch.inf)
        for layer in cast("list[TransformerLayer]", self.layers):
            x = layer(x, bias, blind)
        out: Tensor = self.norm(x)
        return out


class TransformerLayer(nn.Module):
    """Masked multi-head attention, then a feed-forward block."""

    def __init__(self, dim: int, heads: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.mix_heads = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor, blind: Tensor) -> Tensor:
        """(R, V, dim) to the same; see :meth:`attend`."""
        x = x + self.dropout(self.attend(self.attention_norm(x), bias, blind))
        out: Tensor = x + self.dropout(self.feed_forward(self.forward_norm(x)))
        return out

    def attend(self, x: Tensor, bias: Tensor, blind: Tensor) -> Tensor:
        """The heads, mixed.

        Args:
            x: (R, V, dim).
            bias: (R, V, V) or (R, 1, V), added to the scores: 0 where token i may attend to token j, else
                minus infinity.
            blind: bool (R, V, 1) or (R, 1, 1), tokens whose scores are all 0, so that they attend evenly.
        """
        # not torch's scaled_dot_product_attention, which runs one seed at a time under vmap
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = (q * q.shape[-1] ** -0.5).masked_fill(blind[:, None], 0.0)
        weights = torch.softmax(q @ k.transpose(2, 3) + bias[:, None], dim=3)
        mixed: Tensor = self.mix_heads((weights @ v).transpose(1, 2).flatten(2))
        return mixed
