"""CATE: a transformer that learns operations from architectures of similar cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from archenc.encoders.modules.nodes import OneHotNodes
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, concatenate
from archenc.pretraining import PretrainableEncoder, PretrainingSchedule
from archenc.registry.rules import Count, Depth, NotNegative, Probability, Size
from archenc.spaces.base import Space
from archenc.torch_state import own_generator

PairBatch = tuple[ArchGraphs, ArchGraphs]
Mask = Literal["indirect", "direct"]
Attribute = Literal["parameters", "flops"]
CHOSEN, SHOWN_AS_MASK, SMOOTHING = 0.2, 0.8, 0.1
"""Shares of operations to be predicted, and of these shown as MASK; what is taken off a label."""
WINDOW = 0.04
"""Width of the window where none is published, as a share of the range of the costs.

About what the published 2e6 parameters are of the range of NAS-Bench-101.
"""


class CATEEncoder(PretrainableEncoder):
    r"""Computation-aware transformer encoding (Yan et al., ICML 2021, section 3).

    Every node is a token: the vector of its operation, times :math:`\sqrt d`, without a position code. Node i
    attends to the nodes j with :math:`M_{ij} = 1`, where M is A (``mask="direct"``) or its transitive closure
    (``"indirect"``): to what its output goes into, never to itself. A node without such nodes, as the output,
    attends evenly to all nodes. After layers of :class:`Transformer`,
    the encoding of a cell is the state of its output node.

    Pretraining takes pairs of architectures of similar cost
    (:func:`similar_pairs`). Of the operations of both, 20 % are to be
    predicted; these are shown as MASK (80 %) or as a random operation (20 %). Both go through the same
    encoder; their states, one behind the other, each with a vector that says which of the two it belongs to,
    through a second transformer in which all nodes of both attend to each other, and :math:`W_2 \tanh(W_1 h)`
    gives the logits of a node's operation. The loss is the cross entropy with labels smoothed by .1 (the KL
    divergence of the released code but for its constant), mean over the operations to be predicted.

    Args:
        space: any space; operations on edges are put on the nodes of the line graph. Pretraining needs one
            with costs (:meth:`archenc.spaces.base.Space.costs`); elsewhere the encoder is without its second
            transformer, and can only be trained with a head.
        dim: d, length of a node's state and of the encoding of a cell.
        layers: number of layers of the encoder; 12 in the paper.
        heads: heads of attention in both transformers.
        hidden_dim: hidden units of the encoder's feed-forward blocks.
        cross_layers: number of layers of the second transformer; 24 in the paper.
        cross_hidden_dim: hidden units of its feed-forward blocks.
        dropout: probability of dropping a unit, in pretraining and in training with a head.
        mask: ``"indirect"`` or ``"direct"``.
        attribute: cost by which architectures are similar, ``"parameters"`` or ``"flops"``.
        delta: how much less than an architecture its partner may cost, in parameters or FLOPs; None takes the
            published 2e6 parameters on NAS-Bench-101, and elsewhere 4 % of the range of the costs.
        k: most partners of an architecture; the paper takes 2 on NAS-Bench-101.
        simplify: simplify the graphs first.

    Raises:
        InvalidParameter: a ``dim`` that the heads cannot share. Pretraining raises it in a space without
            costs.

    Shapes:
        R rows of V nodes; returns (R, dim).

    Deviations: the published depths (12 and 24 layers) are parameters, with smaller defaults. Only operations
    are masked and predicted; the released code takes any node. There, moreover, the ids of padding and MASK
    are those of "input" and "conv1x1" on NAS-Bench-101; here MASK has an id of its own behind all others, and
    padding is never seen. Every input of a cell has its own vector. Attention weights are not dropped. The
    default batch is the paper's 1,024 pairs on NAS-Bench-101, and 256 elsewhere, as other spaces give fewer
    steps.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("cate", space, dim=16, layers=1, cross_layers=1)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    form = "node"
    invariant = True
    paper: ClassVar[str] = (
        "Yan, Song, Liu, Zhang: CATE: Computation-aware Neural Architecture Encoding with Transformers, "
        "ICML 2021, section 3, arXiv:2102.07108"
    )

    default_schedule = PretrainingSchedule(
        epochs=10,
        batch_size=256,
        lr=1e-3,
        optimizer="adamw",
        weight_decay=0.01,
        warmup_steps=100,
        lr_schedule="linear",
        held_out=0.05,
    )
    published_schedules: ClassVar[Mapping[str, PretrainingSchedule]] = {
        "nasbench101": replace(default_schedule, batch_size=1024),
    }
    """But for a rate that falls after the warm-up; other spaces, with fewer steps, have smaller batches."""
    published_windows: ClassVar[Mapping[tuple[str, Attribute], float]] = {("nasbench101", "parameters"): 2e6}
    """Width of the window of costs by the space's name and the attribute."""

    def __init__(
        self,
        space: Space,
        *,
        dim: Size = 64,
        layers: Depth = 4,
        heads: Size = 8,
        hidden_dim: Size = 128,
        cross_layers: Depth = 4,
        cross_hidden_dim: Size = 256,
        dropout: Probability = 0.1,
        mask: Mask = "indirect",
        attribute: Attribute = "parameters",
        delta: NotNegative | None = None,
        k: Count = 2,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        if dim % heads:
            raise InvalidParameter(
                f"CATE got dim = {dim} and heads = {heads}; give a dim divisible by the heads"
            )
        self.mask, self.attribute, self.delta, self.k = mask, attribute, delta, k
        self.cell_dim = dim
        self.nodes = OneHotNodes(space)
        self.mask_id = self.nodes.columns
        self.embedding = nn.Embedding(self.mask_id + 1, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.encoder = Transformer(dim, layers, heads, hidden_dim, dropout)
        cross_encoder = Transformer(dim, cross_layers, heads, cross_hidden_dim, dropout)
        self.pair_decoder = (
            PairDecoder(cross_encoder, dim, len(space.operations), dropout) if space.has_costs else None
        )

    # -- encoding --------------------------------------------------------------------------------------------

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return self.node_states(self.nodes.ids(graphs), graphs)[:, -1]

    def node_states(self, tokens: Tensor, graphs: ArchGraphs) -> Tensor:
        """(R, V, dim) from tokens, int64 (R, V), -1 for no node, and the graphs, which say who sees whom."""
        sees = graphs.adjacency if self.mask == "direct" else graphs.transitive_closure()
        x = self.embedding(tokens.clamp(min=0)) * self.cell_dim**0.5
        states: Tensor = self.encoder(x, sees.bool(), graphs.mask)
        return states

    # -- pretraining -----------------------------------------------------------------------------------------

    def pretraining_examples(self, graphs: ArchGraphs) -> Pairs:
        """Pairs of architectures of similar cost, drawn from :func:`archenc.torch_state.own_generator`.

        Raises:
            InvalidParameter: the space has no costs.
        """
        costs = self.space.costs(graphs)[self.attribute]
        delta = self.delta
        if delta is None:
            usual = WINDOW * float(np.ptp(costs))
            delta = self.published_windows.get((self.space.name, self.attribute), usual)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=own_generator())))
        members = torch.from_numpy(similar_pairs(costs, float(delta), self.k, rng))
        return Pairs(self.prepare(graphs), members.to(graphs.device))

    def pretraining_loss(self, batch: PairBatch, generator: torch.Generator) -> Tensor:
        logits, operations, _ = self.predict(batch, generator)
        total = cross_entropy(logits, operations, label_smoothing=SMOOTHING, reduction="sum")
        return total / max(1, len(operations))

    def pretraining_metrics(self, examples: Any, generator: torch.Generator) -> dict[str, float]:
        """``masked_accuracy``: percent of the operations shown as MASK that are predicted right.

        ``chance``: percent of the most frequent one.
        """
        right, counts = 0, torch.zeros(len(self.space.operations), dtype=torch.int64)
        for index in torch.split(torch.arange(len(examples)), 4096):
            logits, operations, shown_as_mask = self.predict(examples[index], generator)
            right += int((logits.argmax(1) == operations)[shown_as_mask].sum())
            counts += operations[shown_as_mask].bincount(minlength=len(counts)).cpu()
        total = max(1, int(counts.sum()))
        return {"masked_accuracy": 100.0 * right / total, "chance": 100.0 * int(counts.max()) / total}

    def predict(self, batch: PairBatch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """M operations to predict: logits (M, operations), numbers (M,), whether shown as MASK, bool (M,)."""
        both = concatenate(batch)
        ids = self.nodes.ids(both)
        tokens, chosen = self.corrupt(ids, generator)
        logits = cast("PairDecoder", self.pair_decoder)(self.node_states(tokens, both), both.mask, chosen)
        return logits, ids[chosen] - self.space.num_inputs, tokens[chosen] == self.mask_id

    def corrupt(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """From true tokens (R, V) what is shown, int64 (R, V), and which are to be predicted, bool (R, V)."""
        first, behind = self.space.num_inputs, self.nodes.columns - 1
        draw = torch.rand(ids.shape, generator=generator, dtype=torch.float32, device=ids.device)
        other = torch.randint(first, behind, ids.shape, generator=generator, device=ids.device)
        chosen = (ids >= first) & (ids < behind) & (draw < CHOSEN)
        shown = torch.where(draw < CHOSEN * SHOWN_AS_MASK, self.mask_id, other)
        return torch.where(chosen, shown, ids), chosen


class PairDecoder(nn.Module):
    """Predicts operations of both architectures of a pair from the states of all their nodes.

    Args:
        cross_encoder: the second transformer.
        dim: length of a node's state.
        operations: how many operations there are.
        dropout: probability of dropping a unit of the head.
    """

    def __init__(self, cross_encoder: Transformer, dim: int, operations: int, dropout: float) -> None:
        super().__init__()
        self.segments = nn.Parameter(dim**-0.5 * torch.randn(2, dim))
        self.cross_encoder = cross_encoder
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(dropout), nn.Linear(dim, operations)
        )

    def forward(self, states: Tensor, exists: Tensor, chosen: Tensor) -> Tensor:
        """Logits (M, operations) of the M chosen nodes.

        Args:
            states: (2 R, V, dim), first all first members of the pairs, then all second ones.
            exists: bool (2 R, V).
            chosen: bool (2 R, V).
        """
        first, second = states.chunk(2)
        pairs = torch.cat([first + self.segments[0], second + self.segments[1]], dim=1)
        there = torch.cat(exists.chunk(2), dim=1)
        pairs = self.cross_encoder(pairs, there[:, None], there)
        logits: Tensor = self.head(torch.cat(pairs.chunk(2, dim=1))[chosen])
        return logits


# -- pairs of architectures of similar cost ------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Examples of two architectures each: ``pairs[index]`` is a batch of the first and one of the others.

    Attributes:
        graphs: prepared architectures.
        members: int64 (P, 2), positions of both in ``graphs``.
    """

    graphs: ArchGraphs
    members: Tensor

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: Tensor, /) -> PairBatch:
        first, second = self.members[index].unbind(1)
        return self.graphs[first], self.graphs[second]


def similar_pairs(costs: np.ndarray, delta: float, k: int, rng: np.random.Generator) -> np.ndarray:
    """Up to k partners of similar cost for each architecture (Yan et al., ICML 2021, section 3).

    In the order of the costs, equal ones in the order given, the window of an architecture is all earlier
    ones that cost at most ``delta`` less. Its partners are k distinct ones of the window, drawn evenly, or
    the whole window where it holds no more. An architecture whose window is empty begins no pair, but can be
    a partner.

    Args:
        costs: (N,), what a network of each architecture costs.
        delta: width of the window, in the unit of the costs.
        k: most partners of an architecture.
        rng: draws the partners.

    Returns:
        int64 (P, 2): positions of an architecture and of its partner.
    """
    order = np.argsort(costs, kind="stable")
    ordered = costs[order]
    place = np.arange(len(costs))
    window = place - np.searchsorted(ordered, ordered - delta, side="left")
    # Floyd's sample without replacement, in all windows at once: step t draws up to `last`, and takes `last`
    # for what it has; in a window of fewer than k this gives 0 to k - 1, and those beyond it are dropped
    back = np.empty((len(costs), k), dtype=np.int64)
    for t in range(k):
        last = np.maximum(window - k, 0) + t
        drawn = rng.integers(0, last + 1)
        known = (back[:, :t] == drawn[:, None]).any(1)
        back[:, t] = np.where(known, last, drawn)
    at, step = np.nonzero(back < window[:, None])
    return np.stack([order[at], order[at - 1 - back[at, step]]], axis=1)


# -- the transformer -----------------------------------------------------------------------------------------


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
