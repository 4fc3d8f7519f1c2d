"""What all losses share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from archenc.registry.parameters import Checked


class Loss(Checked, ABC):
    """What is minimised; lower is better. What a head can be trained with, it says by the classes below.

    Attributes:
        name: the registered name.
        ranks: whether it sees only the order of the targets. Then a batch of one and equal labels teach
            nothing, and scores have no unit.
        paper: authors, venue, year and section of the source.

    Examples:
        >>> from archenc.losses import HingeLoss, Loss, MSELoss
        >>> issubclass(HingeLoss, Loss), HingeLoss.ranks, MSELoss.ranks
        (True, True, False)
    """

    name: ClassVar[str]
    ranks: ClassVar[bool] = True
    paper: ClassVar[str] = ""

    def check_targets(self, transform: str) -> None:
        """Raise :class:`InvalidParameter` if it makes no sense with targets of this transform of the labels.

        Args:
            transform: the predictor's ``label_transform``.
        """

    def to_targets(self, scores: np.ndarray) -> np.ndarray:
        """What the scores (n,) say the targets are: the scores themselves, unless the loss squashes them."""
        return scores


class ScoreLoss(Loss):
    """A differentiable function of scores and targets: the base of pointwise, pairwise and listwise
    losses.
    """

    @abstractmethod
    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scores (B,) and targets (B,), higher is better, to a scalar.

        Args:
            scores: of a batch.
            targets: of the same architectures.
            generator: draws the pairs where there are too many.
        """

    @abstractmethod
    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian diagonal, float64 (n,) each, of n times the loss: what boosting needs."""


def elementwise_derivatives(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of an elementwise function, by differentiating twice."""
    at = at.detach().requires_grad_()
    with torch.enable_grad():
        (first,) = torch.autograd.grad(function(at).sum(), at, create_graph=True)
        if not first.requires_grad:  # piecewise linear: no curvature
            return first, torch.zeros_like(first)
        (second,) = torch.autograd.grad(first.sum(), at)
    return first.detach(), torch.zeros_like(
        first
    ) + second  # where the loss is |x|, second has no memory of its own to give to numpy


def float64(values: np.ndarray) -> Tensor:
    """A tensor of its own, for derivatives in full precision."""
    return torch.from_numpy(np.array(values, dtype=np.float64))
