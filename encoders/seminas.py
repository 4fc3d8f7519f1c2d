"""The sequence autoencoder of NAO and SemiNAS (Luo et al., NeurIPS 2018 and 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from archenc.encoder import Encoder
from archenc.encoders.modules.features import edge_bits, edge_pairs, node_by_node, operation_numbers
from archenc.encoders.sequence import lstm
from archenc.graphs import ArchGraphs
from archenc.registry.rules import NotNegative, Probability, Size, Whole
from archenc.spaces.base import Space
from archenc.torch_state import own_generator


class SemiNASEncoder(Encoder):
    r"""A long short-term memory (LSTM) reads a cell as a sequence of tokens, and another one writes it again.

    The tokens are node after node the bits of its incoming edges, then its operation. The encoding z is the
    mean of the L2-normalised outputs of the reader, normalised again. The writer starts in the state z and
    tells each token x_t from those before it. With :math:`L_s` the supervised loss of the scores and T
    tokens, training minimises

    .. math:: L_s + w \, \frac1T \sum_t - \log P(x_t \mid x_1 \dots x_{t-1}, z)

    The papers weigh .8 and .2, so w is .25. Their score is an MLP of two layers of 16 on z, the head "mlp"
    with ``hidden=[16, 16]``.

    Deviations: the writer sees z alone, where the papers' attends to all outputs of the reader and can copy
    from them. SemiNAS also labels unlabelled architectures by its own predictor and trains on those labels;
    here they only join the reconstruction. Dropout is on outputs alone. The cells of an architecture are read
    one by one, not as one long sequence.

    Args:
        space: the search space.
        hidden: length of tokens' vectors and of both states, which is the length of the encoding of a cell.
        reconstruction_weight: w; 0 leaves the writer untrained.
        unlabelled: number of architectures that the encoder samples from the space, seeded by torch's global
            generator. Each training batch is joined by as many drawn from them, and w weighs the mean of both
            reconstructions. 0 is NAO's way: labelled ones alone.
        dropout: probability of dropping an entry of the reader's and the writer's outputs.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("seminas", space, hidden=16)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    paper = (
        "Luo et al., Semi-Supervised Neural Architecture Search, NeurIPS 2020, section 3, arXiv:2002.10389; "
        "Luo et al., Neural Architecture Optimization, NeurIPS 2018, section 3, arXiv:1808.07233"
    )

    def __init__(
        self,
        space: Space,
        *,
        hidden: Size = 64,
        reconstruction_weight: NotNegative = 0.25,
        unlabelled: Whole = 0,
        dropout: Probability = 0.1,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.reconstruction_weight = reconstruction_weight
        self.pairs = edge_pairs(space, simplify=simplify)
        self.order = node_by_node(space, self.pairs)
        vocabulary = 2 + len(space.operations) + 1  # the edge bits, "no operation" and the operations
        self.reader = LSTM(vocabulary, hidden)
        self.writer = LSTM(vocabulary + 1, hidden)
        self.to_logits = nn.Linear(hidden, vocabulary)
        self.dropout = nn.Dropout(dropout)
        self.cell_dim = hidden
        self.unlabelled = (
            self.prepare(space.sample(unlabelled, int(torch.randint(2**31, ())))) if unlabelled else None
        )

    def tokens(self, graphs: ArchGraphs) -> Tensor:
        """Int64 (R, T): an edge bit as 0 or 1, the k-th operation as k + 3, no operation as 2."""
        pairs, order = self.pairs.to(graphs.device), self.order.to(graphs.device)
        return torch.cat([edge_bits(graphs, pairs).long(), operation_numbers(graphs).long() + 2], dim=1)[
            :, order
        ]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        tokens = self.tokens(graphs)
        start = self.to_logits.weight.new_zeros(len(tokens), self.cell_dim)
        outputs = normalize(self.dropout(self.reader(tokens, start)), dim=2)
        return normalize(outputs.mean(1), dim=1)

    def reconstruction_loss(self, graphs: ArchGraphs, encodings: Tensor) -> Tensor:
        """Mean negative log-likelihood, nats, of the tokens of graphs (R rows) given encodings (N, dim)."""
        tokens = self.tokens(graphs)
        start_token = torch.full_like(tokens[:, :1], self.to_logits.out_features)
        before = torch.cat([start_token, tokens[:, :-1]], dim=1)
        logits = self.to_logits(self.dropout(self.writer(before, encodings.reshape(-1, self.cell_dim))))
        return cross_entropy(logits.flatten(0, 1), tokens.flatten())

    def auxiliary_loss(self, graphs: ArchGraphs, encodings: Tensor) -> Tensor | None:
        if self.reconstruction_weight == 0:
            return None
        loss = self.reconstruction_loss(graphs, encodings)
        if self.unlabelled is not None:
            index = torch.randint(len(self.unlabelled), (len(graphs),), generator=own_generator())
            drawn = self.unlabelled[index].to(graphs.device)
            loss = (loss + self.reconstruction_loss(drawn, self(drawn))) / 2
        return self.reconstruction_weight * loss


class LSTM(nn.Module):
    """A long short-term memory on tokens, whose input is computed on the table of tokens and gathered."""

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary, hidden))
        self.input_map = nn.Linear(hidden, 4 * hidden)
        self.state_map = nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, tokens: Tensor, state: Tensor) -> Tensor:
        """Outputs (R, T, H) from tokens (R, T) and the state before them (R, H), both output and memory."""
        return torch.stack(lstm(self.input_map(self.embedding)[tokens], self.state_map, state, state), dim=1)
