"""How long and how fast a module is trained; a new option of training is a field here and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import nn

from archenc.errors import InvalidParameter
from archenc.registry.parameters import check_fields
from archenc.registry.rules import Count, NotNegative, Positive, Share, Whole

LRSchedule = Literal["constant", "cosine", "linear"]
Optimizer = Literal["adam", "adamw"]


@dataclass(frozen=True)
class Schedule:
    """Of a supervised training. Each field is checked by its annotation, and each is a parameter of the
    predictor.

    The defaults, Adam with a constant rate, are those of GATES and TA-GATES (ECCV 2020, NeurIPS 2022).

    Attributes:
        epochs, batch_size, lr: of the gradient descent.
        weight_decay: an L2 penalty with ``"adam"``.
        lr_schedule: after the warm-up the rate stays (``"constant"``), or falls to zero step by step, along
            half a ``"cosine"`` (Loshchilov, Hutter, ICLR 2017, without restarts) or a straight line
            (``"linear"``).
        optimizer: ``"adam"``, or ``"adamw"``, which decays weights apart from the gradient (Loshchilov,
            Hutter, ICLR 2019).
        warmup_epochs: over which the rate rises linearly.
        gradient_clip: length to which a longer gradient, of all parameters together, is shortened (Pascanu,
            Mikolov, Bengio, ICML 2013).
        ema: the decay of :class:`archenc.training.AveragedWeights`, which the network then has wherever it is
            used, after an epoch and in the end.

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
        self._check("the training")

    def _check(self, owner: str) -> None:
        check_fields(self, owner)
        if self.warmup_epochs >= self.epochs:
            raise InvalidParameter(
                f"{owner} got warmup_epochs = {self.warmup_epochs}; give fewer than its {self.epochs} epochs"
            )

    def warmup(self, steps_per_epoch: int) -> int:
        """Steps over which the rate rises."""
        return self.warmup_epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0."""
        done, steps, rise = step + 1, self.epochs * steps_per_epoch, self.warmup(steps_per_epoch)
        if done <= rise:
            return self.lr * (done / steps_per_epoch / (rise / steps_per_epoch))
        if self.lr_schedule == "constant":
            return self.lr
        if self.lr_schedule == "linear":
            return self.lr * (steps - step) / (steps - rise)
        risen, fallen = rise / steps_per_epoch, done / steps_per_epoch
        return self.lr * (0.5 * (1.0 + math.cos(math.pi * (fallen - risen) / (self.epochs - risen))))

    def build_optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Of all parameters of a module."""
        kind = self._optimizer_class
        return cast(
            "torch.optim.Optimizer",
            kind(module.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True),
        )

    @property
    def _optimizer_class(self) -> Any:
        return torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW


@dataclass(frozen=True)
class PretrainingSchedule(Schedule):
    """Of a pretraining, with an own default for each encoder; every field can be given to
    :func:`archenc.pretrain`.

    Weights decay only where they are matrices, not in biases and scales of normalisations.

    Attributes:
        warmup_steps: steps over which the rate rises, beside those of ``warmup_epochs``.
        held_out: share of the architectures that is not trained on and on which the metrics are measured.

    Raises:
        InvalidParameter: as for a :class:`Schedule`, or ``ema``, as the checkpoints hold no averages.
    """

    epochs: Count = 10
    batch_size: Count = 32
    warmup_steps: Whole = 0
    held_out: Share = 0.1

    def __post_init__(self) -> None:
        self._check("the pretraining")
        if self.ema is not None:
            raise InvalidParameter("a pretraining averages no weights; leave ema out")

    def warmup(self, steps_per_epoch: int) -> int:
        return super().warmup(steps_per_epoch) + self.warmup_steps

    def build_optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        weights = list(module.parameters())
        groups = [
            {
                "params": [weight for weight in weights if weight.dim() >= 2],
                "weight_decay": self.weight_decay,
            },
            {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
        ]
        kept = [group for group in groups if group["params"]]
        return cast("torch.optim.Optimizer", self._optimizer_class(kept, lr=self.lr, fused=True))
