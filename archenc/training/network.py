"""What is trained as one: an encoder and a neural head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.graphs import ArchGraphs
from archenc.heads.base import NeuralHead
from archenc.heads.scaling import divisors
from archenc.losses import Loss


class Standardise(nn.Module):
    """Takes the place of a learned encoder where the encodings are finished: columns get mean 0 and deviation
    1 over the training set.

    A column that does not vary there becomes 0 everywhere.
    """

    def __init__(self, encodings: Tensor) -> None:
        super().__init__()
        encodings = encodings.float()
        deviation = encodings.std(dim=0, correction=0)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", encodings.mean(dim=0))
        self.register_buffer("scale", divisors(self.mean, deviation))

    def forward(self, encodings: Tensor) -> Tensor:
        """(B, dim) to (B, dim)."""
        return (encodings - self.mean) / self.scale


class Network(nn.Module):
    """What is trained as one: an encoder (or :class:`Standardise` for finished encodings) and a neural head.

    Args:
        encoder: from a batch of graphs, or of encodings, to (B, dim).
        head: from (B, dim) to (B,), or to (B, T) scores at T times of the training.
    """

    def __init__(self, encoder: nn.Module, head: NeuralHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Any) -> Tensor:
        """(B,) or (B, T) scores, higher is better."""
        scores: Tensor = self.head(self.encoder(inputs))
        return scores

    def loss(self, inputs: Any, targets: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
        """The loss of a batch; every architecture is encoded once, however many pairs it is in."""
        encodings = self.encoder(inputs)
        supervised = self.head.loss(encodings, targets, loss, generator)
        auxiliary = (
            self.encoder.auxiliary_loss(inputs, encodings) if isinstance(self.encoder, Encoder) else None
        )
        return supervised if auxiliary is None else supervised + auxiliary


@torch.no_grad()
def embed_all(network: Network, inputs: ArchGraphs | Tensor, batch_size: int = 4096) -> Tensor:
    """(n, dim) encodings of everything, in evaluation mode."""
    network.eval()
    return torch.cat(
        [network.encoder(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)]
    )


@torch.no_grad()
def score_all(network: Network, inputs: ArchGraphs | Tensor) -> Tensor:
    """(n,) or (n, T) scores of everything, in evaluation mode."""
    network.eval()
    encoder = network.encoder
    batch_size = encoder.scored_at_once if isinstance(encoder, Encoder) else 512
    return torch.cat(
        [network(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)]
    )
