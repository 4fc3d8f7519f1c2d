"""Training a network (encoder and head) by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.heads.neural import ComparatorHead
from archenc.losses import ComparatorLoss, Loss
from archenc.parameters import check_fields
from archenc.progress import progress
from archenc.rules import Count, NotNegative, Positive, Share, Whole
from archenc.scaling import divisors
from archenc.torch_state import own_dropout

LRSchedule = Literal["constant", "cosine"]
Optimizer = Literal["adam", "adamw"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    The defaults, Adam with a constant rate, are those of GATES and TA-GATES (ECCV 2020, NeurIPS 2022). ``"adamw"`` decays weights
    apart from the gradient (Loshchilov, Hutter, ICLR 2019). The rate rises linearly over the first ``warmup_epochs``; ``"cosine"`` then
    lets it fall to zero, step by step (Loshchilov, Hutter, ICLR 2017, without restarts). A gradient, of all parameters together, that is
    longer than ``gradient_clip`` is shortened to it (Pascanu, Mikolov, Bengio, ICML 2013). With ``ema`` the network has averaged weights
    wherever it is used, after an epoch and in the end: :class:`AveragedWeights` of that decay.

    Raises:
        InvalidParameter: a value of another kind, or a training that is over before the rate has risen.
    """

    epochs: Count = 200
    batch_size: Count = 512
    lr: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    lr_schedule: LRSchedule = "constant"
    optimizer: Optimizer = "adam"
    warmup_epochs: Whole = 0
    gradient_clip: Positive | None = None
    ema: Share | None = None

    def __post_init__(self) -> None:
        check_fields(self, "the training")
        if self.warmup_epochs >= self.epochs:
            raise InvalidParameter(f"the training got warmup_epochs = {self.warmup_epochs}; give fewer than its {self.epochs} epochs")

    def rate(self, epoch: float) -> float:
        """The factor on ``lr`` when ``epoch`` epochs (a fraction within one) are done."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        if self.lr_schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)))


class Standardise(nn.Module):
    """Takes the place of a learned encoder where the encodings are finished: columns get mean 0 and deviation 1 over the training set.

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

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
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
        supervised = self._supervised_loss(encodings, targets, loss, generator)
        auxiliary = self.encoder.auxiliary_loss(inputs, encodings) if isinstance(self.encoder, Encoder) else None
        return supervised if auxiliary is None else supervised + auxiliary

    def _supervised_loss(self, encodings: Tensor, targets: Tensor, loss: Loss, generator: torch.Generator) -> Tensor:
        if isinstance(loss, ComparatorLoss) and isinstance(self.head, ComparatorHead):
            worse, better = loss.pairs(targets, generator)
            return loss.from_logits(self.head.compare(encodings[better], encodings[worse]))
        scores: Tensor = self.head(encodings)
        if scores.dim() == 1:
            return loss(scores, targets, generator)
        columns = zip(scores.unbind(1), targets.unbind(1), strict=True)
        return torch.stack([loss(of_time, target, generator) for of_time, target in columns]).sum()


class AveragedWeights:
    """The exponential moving average of a network's weights over the steps of its training (Polyak, Juditsky, SIAM J. Control Optim. 1992).

    After t steps with weights w_1, ..., w_t it is the mean of w_s weighted by decay^(t - s). So the initial weights, which a plain moving
    average starts from, have no part in it: the correction that Adam makes to its moments (Kingma, Ba, ICLR 2015), without which an average
    over few steps is mostly what it started from. Buffers are not averaged: a running statistic is an average already.

    Args:
        network: what is trained.
        decay: in (0, 1); the average reaches back some 1 / (1 - decay) steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.weights = list(network.parameters())
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight, share)

    @torch.no_grad()
    def swap(self) -> None:
        """Give the network the averages, or, the second time, its weights back."""
        for average, weight in zip(self.averages, self.weights, strict=True):
            latest = weight.clone()
            weight.copy_(average)
            average.copy_(latest)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The network has the averages inside and its weights again behind."""
        self.swap()
        try:
            yield
        finally:
            self.swap()


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
        targets: float32 (n,), or (n, T) for a head of T outputs, whose losses are added; higher is better.
        loss: any loss; pairs are drawn within a minibatch.
        schedule: epochs, batch size, learning rate, and what else there is to the descent.
        generator: orders the minibatches and draws the pairs.
        on_epoch_end: called with the epoch's number, from 1.
        show_progress: a progress bar on a terminal.
    """
    own_dropout(network)
    kind = torch.optim.Adam if schedule.optimizer == "adam" else torch.optim.AdamW
    optimiser = kind(network.parameters(), lr=schedule.lr, weight_decay=schedule.weight_decay)
    steps = math.ceil(len(targets) / schedule.batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.rate((step + 1) / steps))
    averaged = None if schedule.ema is None else AveragedWeights(network, schedule.ema)
    for epoch in progress(range(1, schedule.epochs + 1), "training", show=show_progress):
        network.train()
        order = torch.randperm(len(targets), generator=generator).to(targets.device)
        for batch in torch.split(order, schedule.batch_size):
            if len(batch) < 2 and loss.kind != "pointwise":
                continue  # a single architecture has nothing to be ranked against
            optimiser.zero_grad()
            network.loss(inputs[batch], targets[batch], loss, generator).backward()  # type: ignore[no-untyped-call]
            if schedule.gradient_clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.gradient_clip)
            optimiser.step()
            scheduler.step()
            if averaged is not None:
                averaged.update()
        with nullcontext() if averaged is None else averaged.in_use():
            if isinstance(network.head, ComparatorHead):
                network.head.set_reference(embed_all(network, inputs))
            if on_epoch_end is not None:
                network.eval()
                on_epoch_end(epoch)
    if averaged is not None:
        averaged.swap()
    network.eval()


@torch.no_grad()
def embed_all(network: Network, inputs: ArchGraphs | Tensor, batch_size: int = 4096) -> Tensor:
    """(n, dim) encodings of everything, in evaluation mode."""
    network.eval()
    return torch.cat([network.encoder(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)])


@torch.no_grad()
def score_all(network: Network, inputs: ArchGraphs | Tensor, batch_size: int = 512) -> Tensor:  # what a processor's cache holds
    """(n,) or (n, T) scores of everything, in evaluation mode."""
    network.eval()
    return torch.cat([network(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)])
