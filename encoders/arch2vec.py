"""arch2vec: a variational graph isomorphism autoencoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from archenc.encoders.vgae import GraphAutoencoder, undirected
from archenc.graphs import ArchGraphs


class GraphIsomorphism(nn.Module):
    """A layer: MLP((1 + eps) H + A~ H)."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(
            nn.Linear(in_dim, out_dim, bias=False),
            nn.BatchNorm1d(out_dim),
            nn.ReLU(inplace=True),
            nn.Linear(out_dim, out_dim, bias=False),
            nn.BatchNorm1d(out_dim),
            nn.ReLU(inplace=True),
        )

    def forward(self, states: Tensor, neighbours: Tensor) -> Tensor:
        """(R, V, out_dim) from H (R, V, in_dim) and A~ (R, V, V)."""
        summed = torch.baddbmm((1 + self.eps) * states, neighbours, states)
        new: Tensor = self.mlp(summed.flatten(0, 1))  # the statistics are over all nodes of the batch
        return new.reshape(*states.shape[:2], -1)


class Arch2vecEncoder(GraphAutoencoder):
    r"""Variational graph isomorphism autoencoder (Yan et al., NeurIPS 2020, section 3).

    With X the one-hot operations and :math:`\tilde A = A + A^\top`, the layers of the encoder are,
    :math:`H^{(0)} = X`,

    .. math:: H^{(k)} = \mathrm{MLP}^{(k)} \big( (1 + \epsilon^{(k)}) H^{(k-1)} + \tilde A H^{(k-1)} \big)

    with a learned :math:`\epsilon` and an MLP of two linear maps, each followed by batch normalisation and
    ReLU. Two linear heads give :math:`\mu` and :math:`\log \sigma` of each node; in pretraining
    :math:`z = \mu + \sigma \odot n` with normal noise n, and the loss is

    .. math::

        \mathrm{BCE}(X, \hat X) + \mathrm{BCE}(\tilde A, \hat A)
        + \frac{\beta}{V} \mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1)\big)

    with the KL divergence as mean over the nodes; dropout and decoder as in
    :class:`archenc.encoders.vgae.GraphAutoencoder`. The encoding of a cell is the mean of :math:`\mu` over
    its nodes.

    Args:
        space: any space; operations on edges are put on the nodes of the line graph.
        hidden_dim: width of the layers.
        layers: number of graph isomorphism layers.
        latent_dim: length of z for each node, and of a cell's encoding.
        dropout: on z in front of the decoder.
        beta: weight of the KL divergence; 1/32 in the authors' code, which divides it by its batch size. As a
            parameter it keeps the objective the same for every batch size.
        threshold: whether the decoder of edges has a threshold.
        simplify: simplify the graphs first.

    Shapes:
        R rows of V nodes; returns (R, latent_dim).

    Deviations: the authors' settings are batches of 32, a constant rate of .001, dropout .3, beta 1/32 and no
    threshold. The published reconstruction accuracy counts operations and edges one by one; without a
    threshold not every cell can be rebuilt as a whole (:class:`archenc.encoders.vgae.GraphAutoencoder`). The
    decoder of operations has the sigmoid of the authors' code where the paper writes a softmax; linear maps
    in front of a batch normalisation have no bias, which it would take away again; every input of a cell has
    its own column in X.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("arch2vec", space, layers=2).eval()
        >>> graphs = encoder.prepare(space.sample(3, seed=0))
        >>> z = encoder.latent_means(graphs)
        >>> operations, edges = encoder.decode(z)
        >>> z.shape, operations.shape, edges.shape
        (torch.Size([3, 8, 16]), torch.Size([3, 8, 7]), torch.Size([3, 8, 8]))
    """

    paper: ClassVar[str] = (
        "Yan, Zheng, Ao, Zeng, Zhang: Does Unsupervised Architecture Representation Learning Help "
        "Neural Architecture Search?, NeurIPS 2020, section 3, arXiv:2006.06936"
    )

    layer = GraphIsomorphism

    def message_weights(self, graphs: ArchGraphs) -> Tensor:
        return undirected(graphs)
