"""D-VAE: a variational autoencoder that reads and writes a cell node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from archenc.encoders.modules import latent
from archenc.encoders.modules.dvae_modules import DVAEDecoder, MessagePassing
from archenc.encoders.modules.nodes import OneHotNodes
from archenc.graphs import OUTPUT, PAD, ArchGraphs
from archenc.graphs.transforms import permute_nodes
from archenc.pretraining import PretrainableEncoder, PretrainingSchedule
from archenc.registry.rules import NotNegative, Size
from archenc.spaces.base import Space


class DVAEEncoder(PretrainableEncoder):
    r"""Variational autoencoder of directed acyclic graphs (Zhang et al., NeurIPS 2019, sections 3.2 and 3.3).

    With o the operation of a node and p its position, both one-hot, and :math:`x = [o; p]`, the state of a
    node v is computed when those of all its sources are:

    .. math::

        h_v = \mathrm{GRU} \Big( x_v, \sum_{u \to v} g(h_u) \odot m(h_u) \Big), \qquad
        g(h_u) = \sigma(W_g [h_u; p_u] + b_g), \qquad m(h_u) = W_m [h_u; p_u]

    Another such pass runs against the edges. The state of the output in the first and of the input in the
    second, one behind the other, give :math:`\mu` and :math:`\log \sigma^2` by a linear map each. The
    encoding of a cell is :math:`\mu`.

    Pretraining draws :math:`z = \mu + s \, \sigma \odot n` with normal noise n; a decoder
    (:class:`archenc.encoders.modules.dvae_modules.DVAEDecoder`) rebuilds the cell from z. The loss, a mean
    over the cells, is

    .. math::

        -\log P(\text{cell} \mid z)
        + \beta \, \mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1)\big)

    Positions count the nodes that exist, so it does not matter where empty places lie. As nodes are told
    apart by their positions, and the decoder writes them in order, isomorphic cells whose nodes stand in
    another order get another encoding.

    Args:
        space: any space; operations on edges are put on the nodes of the line graph.
        hidden_dim: length of a node's state; 501 in the authors' code.
        latent_dim: length of z, and of the encoding of a cell; 56 in the authors' code.
        beta: weight of the KL divergence.
        noise_scale: s; 1 in the paper, .01 in the authors' code. More noise spreads the cells in the latent
            space, so that random points decode to more different ones, but takes longer to rebuild them.
        simplify: simplify the graphs first.

    Shapes:
        R rows of V nodes; returns (R, latent_dim).

    Deviations: in the paper x is the operation alone. In the cells of the authors each node follows the one
    before it; elsewhere two equal nodes with the same sources would have one state, and the decoder could not
    tell what to write behind the first and what behind the second. The authors' code unites both states by
    one more linear map, lets the decoder use the gates of the encoder, and when it decodes joins nodes
    without a target to the output, whose edges are predicted here as all others. Of several inputs the mean
    state is taken. The default schedule is shorter, with larger batches and steps (the authors': 100 epochs
    of batches of 32 at rate 1e-4).

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("dvae", space, hidden_dim=16, latent_dim=8)
        >>> z = encoder(space.sample(3, seed=0))
        >>> z.shape, len(encoder.decode(z))
        (torch.Size([3, 8]), 3)
    """

    form = "node"
    paper: ClassVar[str] = (
        "Zhang, Jiang, Cui, Garnett, Chen: D-VAE: A Variational Autoencoder for Directed Acyclic Graphs, "
        "NeurIPS 2019, sections 3.2 and 3.3, arXiv:1904.11088"
    )

    default_schedule = PretrainingSchedule(
        epochs=12, batch_size=64, lr=3e-3, lr_schedule="linear", gradient_clip=5.0
    )
    published_schedules: ClassVar[Mapping[str, PretrainingSchedule]] = {
        "nasbench101": replace(default_schedule, epochs=4),
    }

    def __init__(
        self,
        space: Space,
        *,
        hidden_dim: Size = 64,
        latent_dim: Size = 32,
        beta: NotNegative = 0.005,
        noise_scale: NotNegative = 0.01,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.beta = beta
        self.noise_scale = noise_scale
        self.cell_dim = latent_dim
        self.features = OneHotNodes(space)
        self.ahead = MessagePassing(space, hidden_dim)
        self.back = MessagePassing(space, hidden_dim)
        self.mu = nn.Linear(2 * hidden_dim, latent_dim)
        self.log_variance = nn.Linear(2 * hidden_dim, latent_dim)
        self.decoder = DVAEDecoder(space, hidden_dim, latent_dim)

    # -- encoding and decoding -------------------------------------------------------------------------------

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        means: Tensor = self.mu(self.cell_states(graphs))
        return means

    def cell_states(self, graphs: ArchGraphs) -> Tensor:
        """(R, 2 hidden_dim): the output's state in the pass ahead and the input's in the pass back."""
        columns, adjacency = self.features.ids(graphs), graphs.adjacency.to(self.mu.weight.dtype)
        positions = graphs.mask.cumsum(1) - 1
        ahead, _ = self.ahead(columns, positions, adjacency)
        back, _ = self.back(columns.flip(1), positions.flip(1), adjacency.flip(1, 2).transpose(1, 2))
        return torch.cat([ahead[:, -1], back[:, -self.space.num_inputs :].mean(1)], dim=1)

    def decode(
        self, z: Tensor, generator: torch.Generator | None = None, batch_size: int = 4096
    ) -> ArchGraphs:
        """Cells in op-on-node form from z (R, latent_dim); they need not belong to the space.

        Args:
            z: as many rows as there are cells; R is a multiple of the cells of an architecture.
            generator: draws each type and edge by its probability; None takes the more probable.
            batch_size: how many cells are decoded together.
        """
        batches = [self.decoder.decode(part, generator) for part in torch.split(z, batch_size)]
        columns, adjacency = (torch.cat(parts) for parts in zip(*batches, strict=True))
        ops = torch.where(columns >= 0, self.features.node_ids(columns.clamp(min=0)), PAD)
        return output_last(ArchGraphs(self.space, adjacency, ops, columns >= 0, simplified=self.simplify))

    # -- pretraining -----------------------------------------------------------------------------------------

    def pretraining_loss(self, batch: ArchGraphs, generator: torch.Generator) -> Tensor:
        states = self.cell_states(batch)
        mu, log_variance = self.mu(states), self.log_variance(states)
        noise = torch.randn(mu.shape, generator=generator, dtype=torch.float32, device=mu.device)
        z = mu + self.noise_scale * (0.5 * log_variance).exp() * noise
        cells = output_behind_nodes(batch)
        rebuilt = self.decoder.log_likelihood(z, self.features.ids(cells), cells.adjacency.to(mu.dtype))
        return (self.beta * kl_divergence(mu, log_variance) - rebuilt).mean()

    def pretraining_metrics(self, examples: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """``reconstruction_accuracy``: percent that the most probable decoding of mu gives back exactly."""
        right = []
        for batch, mu in self._means(examples):
            rebuilt = self.decode(mu)
            same_ops, same_edges = rebuilt.ops == batch.ops, rebuilt.adjacency == batch.adjacency
            same = same_ops.all(1) & same_edges.flatten(1).all(1)
            right.append(same.reshape(-1, self.space.cells).all(1))
        return {"reconstruction_accuracy": 100.0 * torch.cat(right).double().mean().item()}

    def pretraining_figures(self, graphs: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """Validity and uniqueness of the most probable decodings of ``draws`` random points.

        They are those of :func:`archenc.encoders.modules.latent.quality`. The draws have the mean and the
        deviation of mu over the architectures trained on, as in the authors' code.
        """
        means = torch.cat([mu for _, mu in self._means(self.prepare(graphs))])
        means = means.reshape(-1, self.space.cells, self.cell_dim)
        decoded = self.decode(latent.draws(means, self.draws, generator).flatten(0, 1)).to("cpu")
        return latent.quality(self.space, decoded.ops, decoded.adjacency.bool(), self.simplify)

    def _means(self, prepared: ArchGraphs, batch_size: int = 8192) -> Iterator[tuple[ArchGraphs, Tensor]]:
        for start in range(0, len(prepared), batch_size):
            batch = prepared[start : start + batch_size]
            yield batch, self.encode_cells(batch)


def kl_divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)) of (R, d), (R,)."""
    divergence: Tensor = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(1)
    return divergence


def output_behind_nodes(graphs: ArchGraphs) -> ArchGraphs:
    """Op-on-node graphs without features: nodes in a row, the output last, cut at the longest."""
    order = torch.argsort((~graphs.mask).byte(), dim=1, stable=True)
    in_a_row = permute_nodes(graphs.with_features(None), order)
    longest = int(graphs.mask.sum(1).max())
    return replace(
        in_a_row,
        adjacency=in_a_row.adjacency[:, :longest, :longest],
        ops=in_a_row.ops[:, :longest],
        mask=in_a_row.mask[:, :longest],
    )


def output_last(graphs: ArchGraphs) -> ArchGraphs:
    """The inverse of :func:`output_behind_nodes`: the output in the last place, padding before it."""
    order = torch.argsort((~graphs.mask).byte() + 2 * (graphs.ops == OUTPUT), dim=1, stable=True)
    return permute_nodes(graphs, order)
