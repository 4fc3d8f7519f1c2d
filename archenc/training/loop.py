"""The gradient descent that supervised training and pretraining share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from archenc.files.progress import progress
from archenc.graphs import ArchGraphs
from archenc.losses import Loss
from archenc.torch_state import own_dropout
from archenc.training.network import Network, embed_all
from archenc.training.schedule import Schedule


class Trainable(Protocol):
    """A module with a loss over n examples."""

    @property
    def module(self) -> nn.Module:
        """What is trained in place."""

    @property
    def generator(self) -> torch.Generator:
        """Orders the minibatches and draws what the loss draws."""

    @property
    def smallest_batch(self) -> int:
        """Examples that teach something together; a smaller minibatch is left out."""

    def __len__(self) -> int: ...

    def batch_loss(self, index: Tensor) -> Tensor:
        """The loss, a scalar, of the examples at ``index``, int64 (B,)."""


@dataclass(frozen=True)
class Task:
    """One supervised training: of a network, on inputs with targets, under a loss.

    Attributes:
        network: encoder and head.
        inputs: n prepared graphs, or (n, dim) encodings.
        targets: float32 (n,), or (n, T) for a head of T outputs, whose losses are added; higher is better.
        loss: any loss that the head does not reject; pairs are drawn within a minibatch.
        generator: orders the minibatches and draws the pairs.
    """

    network: Network
    inputs: ArchGraphs | Tensor
    targets: Tensor
    loss: Loss
    generator: torch.Generator

    @property
    def module(self) -> Network:
        """The network."""
        return self.network

    @property
    def smallest_batch(self) -> int:
        """Two where the loss ranks: a single architecture has nothing to be ranked against."""
        return 2 if self.loss.ranks else 1

    def __len__(self) -> int:
        return len(self.targets)

    def batch_loss(self, index: Tensor) -> Tensor:
        """(B,) positions to a scalar."""
        return self.network.loss(self.inputs[index], self.targets[index], self.loss, self.generator)


class AveragedWeights:
    """The exponential moving average of a network's weights over the steps of its training.

    After t steps with weights w_1, ..., w_t it is the mean of w_s weighted by decay^(t - s) (Polyak,
    Juditsky, SIAM J. Control Optim. 1992). So the initial weights, which a plain moving average starts from,
    have no part in it: the correction that Adam makes to its moments (Kingma, Ba, ICLR 2015), without which
    an average over few steps is mostly what it started from. Buffers are not averaged: a running statistic is
    an average already.

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


class Descent:
    """A training under way: one call of :meth:`epoch` after the other.

    Args:
        task: what is trained.
        schedule: how.
        device: where the examples are.

    Attributes:
        optimizer: of the module's parameters.
        steps_done: how many steps it has made; to go on with an earlier training, set it to those of that
            one.
        averaged: the averaged weights, if the schedule asks for some.
    """

    def __init__(self, task: Trainable, schedule: Schedule, device: torch.device) -> None:
        own_dropout(task.module)
        self.task, self.schedule, self.device = task, schedule, device
        self.optimizer = schedule.build_optimizer(task.module)
        self.averaged = None if schedule.ema is None else AveragedWeights(task.module, schedule.ema)
        self.steps_per_epoch = math.ceil(len(task) / schedule.batch_size)
        self.steps_done = 0

    def epoch(self, on_step: Callable[[int, Tensor], None] | None = None) -> Tensor:
        """Train on every example once, in an order of chance.

        Args:
            on_step: called after each step with its number within the epoch, from 1, and its loss.

        Returns:
            the mean loss of the examples, a float32 scalar.
        """
        task, generator = self.task, self.task.generator
        task.module.train()
        order = torch.randperm(len(task), generator=generator, device=generator.device).to(self.device)
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        for number, batch in enumerate(torch.split(order, self.schedule.batch_size), 1):
            if len(batch) < task.smallest_batch:
                continue
            loss = self._step(batch)
            total += loss * len(batch)
            if on_step is not None:
                on_step(number, loss)
        return total / len(order)

    def _step(self, batch: Tensor) -> Tensor:
        rate = self.schedule.rate(self.steps_done, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.task.batch_loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.schedule.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.task.module.parameters(), self.schedule.gradient_clip)
        self.optimizer.step()
        self.steps_done += 1
        if self.averaged is not None:
            self.averaged.update()
        return loss.detach()


def fit_network(
    task: Task,
    schedule: Schedule,
    on_epoch_end: Callable[[int], None] | None = None,
    show_progress: bool = False,
) -> list[float]:
    """Train in place; gives the mean loss of each epoch.

    Args:
        task: what is trained, on what.
        schedule: epochs, batch size, learning rate, and what else there is to the descent.
        on_epoch_end: called with the epoch's number, from 1.
        show_progress: a progress bar on a terminal.
    """
    network = task.network
    descent, losses = Descent(task, schedule, task.targets.device), []
    for epoch in progress(range(1, schedule.epochs + 1), "training", show=show_progress):
        losses.append(descent.epoch())
        with nullcontext() if descent.averaged is None else descent.averaged.in_use():
            network.head.after_epoch(lambda: embed_all(network, task.inputs))
            if on_epoch_end is not None:
                network.eval()
                on_epoch_end(epoch)
    if descent.averaged is not None:
        descent.averaged.swap()
    network.eval()
    return torch.stack(losses).tolist() if losses else []
