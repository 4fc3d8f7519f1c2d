"""Training a network (encoder and head) by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.graphs import ArchGraphs
from archenc.heads.neural import ComparatorHead
from archenc.losses import ComparatorLoss, Loss
from archenc.progress import progress

LRSchedule = Literal["constant", "cosine"]
Optimizer = Literal["adam", "adamw"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    The defaults, Adam with a constant rate, are those of GATES and TA-GATES (ECCV 2020, NeurIPS 2022). ``"adamw"`` decays weights
    apart from the gradient (Loshchilov, Hutter, ICLR 2019). The rate rises linearly over the first ``warmup_epochs``; ``"cosine"`` then
    lets it fall to zero, step by step (Loshchilov, Hutter, ICLR 2017, without restarts).
    """

    epochs: int = 200
    batch_size: int = 512
    lr: float = 1e-3
    weight_decay: float = 0.0
    lr_schedule: LRSchedule = "constant"
    optimizer: Optimizer = "adam"
    warmup_epochs: int = 0

    def rate(self, epoch: float) -> float:
        """The factor on ``lr`` when ``epoch`` epochs (a fraction within one) are done."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        if self.lr_schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)))


class Standardise(nn.Module):
    """Takes the place of a learned encoder where the encodings are finished: columns get mean 0 and deviation 1 over the training set.

    A column that does not vary there is only centred.
    """

    def __init__(self, encodings: Tensor) -> None:
        super().__init__()
        deviation = encodings.std(dim=0, correction=0)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", encodings.mean(dim=0))
        self.register_buffer("scale", torch.where(deviation > 0, deviation, 1.0))

    def forward(self, encodings: Tensor) -> Tensor:
        """(B, dim) to (B, dim)."""
        return (encodings - self.mean) / self.scale


class Network(nn.Module):
    """What is trained as one: an encoder (or :class:`Standardise` for finished encodings) and a neural head.

    Args:
        encoder: from a batch of graphs, or of encodings, to (B, dim).
        head: from (B, dim) to (B,).
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Any) -> Tensor:
        """(B,) scores, higher is better."""
        scores: Tensor = self.head(self.encoder(inputs))
        return scores

    def loss(self, inputs: Any, targets: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
        """The loss of a batch; every architecture is encoded once, however many pairs it is in."""
        encodings = self.encoder(inputs)
        supervised = self._supervised_loss(encodings, targets, loss, generator)
        auxiliary = self.encoder.auxiliary_loss(inputs, encodings) if isinstance(self.encoder, Encoder) else None
        return supervised if auxiliary is None else supervised + auxiliary

    def _supervised_loss(self, encodings: Tensor, targets: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
        if isinstance(loss, ComparatorLoss) and isinstance(self.head, ComparatorHead):
            worse, better = loss.pairs(targets, generator)
            return loss.from_logits(self.head.compare(encodings[better], encodings[worse]))
        return loss(self.head(encodings), targets, generator)


def fit_network(
    network: Network,
    inputs: ArchGraphs | Tensor,
    targets: Tensor,
    loss: Loss,
    schedule: Schedule,
    generator: torch.Generator,
    on_epoch_end: Callable[[int], None] | None = None,
    show_progress: bool = False,
) -> None:
    """Train in place.

    Args:
        network: encoder and head.
        inputs: n prepared graphs, or (n, dim) encodings.
        targets: float32 (n,), higher is better.
        loss: any loss; pairs are drawn within a minibatch.
        schedule: epochs, batch size, learning rate.
        generator: orders the minibatches and draws the pairs.
        on_epoch_end: called with the epoch's number, from 1.
        show_progress: a progress bar on a terminal.
    """
    kind = torch.optim.Adam if schedule.optimizer == "adam" else torch.optim.AdamW
    optimiser = kind(network.parameters(), lr=schedule.lr, weight_decay=schedule.weight_decay)
    steps = math.ceil(len(targets) / schedule.batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.rate((step + 1) / steps))
    for epoch in progress(range(1, schedule.epochs + 1), "training", show=show_progress):
        network.train()
        order = torch.randperm(len(targets), generator=generator).to(targets.device)
        for batch in torch.split(order, schedule.batch_size):
            if len(batch) < 2 and loss.kind != "pointwise":
                continue  # a single architecture has nothing to be ranked against
            optimiser.zero_grad()
            network.loss(inputs[batch], targets[batch], loss, generator).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            scheduler.step()
        if isinstance(network.head, ComparatorHead):
            network.head.set_reference(embed_all(network, inputs))
        if on_epoch_end is not None:
            network.eval()
            on_epoch_end(epoch)
    network.eval()


@torch.no_grad()
def embed_all(network: Network, inputs: ArchGraphs | Tensor, batch_size: int = 4096) -> Tensor:
    """(n, dim) encodings of everything, in evaluation mode."""
    network.eval()
    return torch.cat([network.encoder(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)])


@torch.no_grad()
def score_all(network: Network, inputs: ArchGraphs | Tensor, batch_size: int = 4096) -> Tensor:
    """(n,) scores of everything, in evaluation mode."""
    network.eval()
    return torch.cat([network(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)])
