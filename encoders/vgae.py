"""Graph autoencoders: GAE and VGAE, and what arch2vec shares with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from archenc.encoders.modules import latent
from archenc.encoders.modules.nodes import OneHotNodes
from archenc.graphs import ArchGraphs
from archenc.graphs.flow import receiving
from archenc.pretraining import PretrainableEncoder, PretrainingSchedule
from archenc.registry.rules import Depth, NotNegative, Probability, Size
from archenc.spaces.base import Space


class GraphAutoencoder(PretrainableEncoder):
    r"""An encoder that gives every node a latent vector from which the cell can be rebuilt.

    X holds the operations one-hot, a row of zeros where there is no node, and :math:`\tilde A = A + A^\top`.
    A subclass says what a layer is, and which matrix it takes messages by; the linear heads :math:`\mu` and,
    if it samples, :math:`\log \sigma` follow. The decoder, with dropout on z, is

    .. math::

        P(\hat X_{ic} = 1 | z_i) = \sigma(W z_i + b)_c, \qquad
        P(\hat A_{ij} = 1 | z_i, z_j) = \sigma(z_i^\top z_j - t)

    with a learned threshold t. The papers have t = 0 (``threshold=False``), with which two nodes that share
    operation and neighbours can only be rebuilt as joined, since they have one and the same z and
    :math:`z^\top z > 0`: 6.8 % of the cells of NAS-Bench-101 hold two such nodes that are not joined.

    The encoding of a cell is the mean of :math:`\mu` over its V nodes; the nodes that do not exist, all
    alike, count too.
    """

    form = "node"
    invariant = True
    samples: ClassVar[bool] = True
    """Whether z is drawn around mu in training."""
    layer: ClassVar[type[nn.Module]]
    """Built from the lengths of states before and behind; takes states (R, V, in) and a matrix (R, V, V)."""
    default_schedule = PretrainingSchedule(
        epochs=10, batch_size=64, lr=2e-3, lr_schedule="linear", gradient_clip=5.0
    )
    published_schedules: ClassVar[Mapping[str, PretrainingSchedule]] = {
        "nasbench101": replace(default_schedule, epochs=8, batch_size=256, lr=8e-3),
    }
    """Epochs as published; there with batches of 32 and a constant rate of .001, which take longer."""

    def __init__(
        self,
        space: Space,
        *,
        hidden_dim: Size = 128,
        layers: Depth = 4,
        latent_dim: Size = 16,
        dropout: Probability = 0.0,
        beta: NotNegative = 0.001,
        threshold: bool = True,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = latent_dim
        self.beta = beta
        self.features = OneHotNodes(space)
        self.mu = nn.Linear(hidden_dim, latent_dim)
        self.log_sigma = nn.Linear(hidden_dim, latent_dim) if self.samples else None
        self.dropout = nn.Dropout(dropout)
        self.op_decoder = nn.Linear(latent_dim, self.features.columns)
        self.threshold = nn.Parameter(torch.zeros(())) if threshold else None
        sizes = [self.features.columns, *[hidden_dim] * layers]
        self.layers = nn.ModuleList(self.layer(size, out) for size, out in pairwise(sizes))

    # -- encoding and decoding -------------------------------------------------------------------------------

    @abstractmethod
    def message_weights(self, graphs: ArchGraphs) -> Tensor:
        """The matrix that all layers take messages by, float32 (R, V, V), rows receive."""

    def node_states(self, features: Tensor, graphs: ArchGraphs) -> Tensor:
        """(R, V, hidden_dim) from X (R, V, C) and the graphs."""
        weights = self.message_weights(graphs).to(features.dtype)
        states = features
        for layer in self.layers:
            states = layer(states, weights)
        return states

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return self.latent_means(graphs).mean(1)

    def latent_means(self, graphs: ArchGraphs) -> Tensor:
        """mu, (R, V, latent_dim), of prepared graphs."""
        means: Tensor = self.mu(self.node_states(self.features(graphs), graphs))
        return means

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the operations (R, V, C) and of the edges (R, V, V) from z (R, V, latent_dim)."""
        z = self.dropout(z)
        products = z @ z.transpose(1, 2)
        return self.op_decoder(z), products if self.threshold is None else products - self.threshold

    # -- pretraining -----------------------------------------------------------------------------------------

    def pretraining_loss(self, batch: ArchGraphs, generator: torch.Generator) -> Tensor:
        features = self.features(batch)
        states = self.node_states(features, batch)
        mu = self.mu(states)
        edges = undirected(batch).to(mu.dtype)
        if self.log_sigma is None:
            return reconstruction_loss(*self.decode(mu), features, edges)
        log_sigma = self.log_sigma(states)
        noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        rebuilt = self.decode(mu + log_sigma.exp() * noise)
        return reconstruction_loss(*rebuilt, features, edges) + self.beta * kl_divergence(mu, log_sigma)

    def pretraining_metrics(self, examples: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """What is rebuilt from mu, in percent.

        ``reconstruction_accuracy``: architectures of which every operation and every edge is.
        ``operation_accuracy`` and ``edge_accuracy``: operations, and pairs of nodes that are rightly joined
        or not; these two are what the authors' code measures.
        """
        parts = [
            latent.rebuilt(*self.decode(mu), self.features.ids(batch), batch.adjacency)
            for batch, mu in self._latent_means(examples)
        ]
        ops, edges = (torch.cat(part) for part in zip(*parts, strict=True))
        whole = (ops.all(1) & edges.all(1)).reshape(-1, self.space.cells).all(1)
        shares = {"reconstruction_accuracy": whole, "operation_accuracy": ops, "edge_accuracy": edges}
        return {name: 100.0 * share.double().mean().item() for name, share in shares.items()}

    def pretraining_figures(self, graphs: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """Validity and uniqueness of ``draws`` random points
        (:func:`archenc.encoders.modules.latent.quality`).
        """
        means = torch.cat([mu for _, mu in self._latent_means(self.prepare(graphs))])
        means = means.reshape(-1, self.space.cells, *means.shape[1:])
        ops, edges = self.decode(latent.draws(means, self.draws, generator).flatten(0, 1))
        ids = self.features.node_ids(ops.argmax(-1))
        return latent.quality(self.space, ids.cpu(), (edges > 0).cpu(), self.simplify)

    def _latent_means(
        self, prepared: ArchGraphs, batch_size: int = 8192
    ) -> Iterator[tuple[ArchGraphs, Tensor]]:
        for start in range(0, len(prepared), batch_size):
            batch = prepared[start : start + batch_size]
            yield batch, self.latent_means(batch)


def undirected(graphs: ArchGraphs) -> Tensor:
    """A + A^T, float32 (R, V, V)."""
    return (graphs.adjacency + graphs.adjacency.transpose(1, 2)).float()


def reconstruction_loss(op_logits: Tensor, edge_logits: Tensor, features: Tensor, edges: Tensor) -> Tensor:
    """Binary cross entropies of X and of the upper triangle of A + A^T, both means over all entries."""
    above = torch.ones(edges.shape[1:], dtype=edges.dtype, device=edges.device).triu(1)
    of_edges = binary_cross_entropy_with_logits(edge_logits, edges, weight=above)
    return binary_cross_entropy_with_logits(op_logits, features) + of_edges


def kl_divergence(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)) of (R, V, d), mean over the nodes, divided by V."""
    per_node = -0.5 * (1 + 2 * log_sigma - mu.square() - (2 * log_sigma).exp()).sum(-1)
    return per_node.mean() / mu.shape[1]


class GraphConvolution(nn.Module):
    """A layer: ReLU(BN(A H W))."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim, bias=False)
        self.norm = nn.BatchNorm1d(out_dim)

    def forward(self, states: Tensor, weights: Tensor) -> Tensor:
        """(R, V, out_dim) from H (R, V, in_dim) and the normalised A (R, V, V)."""
        new = weights @ self.linear(states)
        return torch.relu(self.norm(new.flatten(0, 1)).reshape(new.shape))


class VGAEEncoder(GraphAutoencoder):
    r"""Variational graph autoencoder (Kipf, Welling, NeurIPS workshop 2016) as the baseline of arch2vec.

    :math:`H^{(k)} = \mathrm{ReLU}(\mathrm{BN}(D^{-1/2} (\tilde A + I) D^{-1/2} H^{(k-1)} W^{(k)}))`,
    :math:`H^{(0)} = X`; loss, decoder and encoding are arch2vec's
    (:class:`archenc.encoders.arch2vec.Arch2vecEncoder`).

    Args:
        space: any space; operations on edges are put on the nodes of the line graph.
        hidden_dim: width of the layers.
        layers: number of graph convolutions.
        latent_dim: length of z for each node, and of a cell's encoding.
        dropout: on z in front of the decoder.
        beta: weight of the KL divergence.
        threshold: whether the decoder of edges has a threshold.
        simplify: simplify the graphs first.

    Shapes:
        R rows of V nodes; returns (R, latent_dim).

    Deviations: as many layers as arch2vec instead of two, with its batch normalisation, so that only the kind
    of layer differs.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("vgae", space, layers=2).eval()
        >>> graphs = encoder.prepare(space.sample(3, seed=0))
        >>> z = encoder.latent_means(graphs)
        >>> operations, edges = encoder.decode(z)
        >>> z.shape, operations.shape, edges.shape
        (torch.Size([3, 8, 16]), torch.Size([3, 8, 7]), torch.Size([3, 8, 8]))
    """

    paper: ClassVar[str] = (
        "Kipf, Welling: Variational Graph Auto-Encoders, NeurIPS workshop on Bayesian deep learning 2016, "
        "arXiv:1611.07308"
    )

    layer = GraphConvolution

    def message_weights(self, graphs: ArchGraphs) -> Tensor:
        symmetric = graphs.adjacency + graphs.adjacency.transpose(1, 2)
        return receiving(symmetric, graphs.mask, self_loops=True, normalise=True)


class GAEEncoder(VGAEEncoder):
    """Graph autoencoder (Kipf, Welling 2016): :class:`VGAEEncoder` without sampling and KL divergence.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("gae", space, layers=2, latent_dim=8)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 8])
    """

    samples = False

    def __init__(
        self,
        space: Space,
        *,
        hidden_dim: Size = 128,
        layers: Depth = 4,
        latent_dim: Size = 16,
        dropout: Probability = 0.0,
        threshold: bool = True,
        simplify: bool = False,
    ) -> None:
        sizes = {"hidden_dim": hidden_dim, "layers": layers, "latent_dim": latent_dim}
        super().__init__(space, **sizes, dropout=dropout, beta=0.0, threshold=threshold, simplify=simplify)
