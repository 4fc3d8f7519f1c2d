"""The contract of a loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archenc.losses import (
    ComparatorLoss,
    DrawsPairs,
    ListwiseLoss,
    Loss,
    PairwiseLoss,
    PointwiseLoss,
    ScoreLoss,
)
from archenc.registry import LOSSES
from archenc.testing.assertions import (
    assert_close,
    assert_keywords,
    resolve,
)


def check_loss(entry: str | type[Loss]) -> None:
    """Direction, gradients, the derivatives for boosting, independence of the order of the batch."""
    loss_class: type[Loss] = resolve(LOSSES, entry)
    assert_keywords(loss_class, set())
    kinds = (PointwiseLoss, PairwiseLoss, ListwiseLoss, ComparatorLoss)
    assert issubclass(loss_class, ScoreLoss | ComparatorLoss), (
        f"it is none of {', '.join(kind.__name__ for kind in kinds)}"
    )
    assert loss_class.paper, "the class attribute 'paper' is not set"
    loss = loss_class()
    rng = np.random.default_rng(0)
    targets, scores = torch.from_numpy(rng.normal(size=8)), torch.from_numpy(rng.normal(size=8))
    if isinstance(loss, DrawsPairs):
        worse, better = loss.pairs(targets, torch.Generator().manual_seed(0))
        assert bool((targets[worse] < targets[better]).all()), "pairs() does not give (worse, better)"
    if isinstance(loss, ComparatorLoss):
        right, wrong = (loss.from_logits(torch.full((4,), logit)) for logit in (2.0, -2.0))
        assert right < wrong, "from_logits is lower where worse beats better"
        return

    def of(values: Tensor) -> Tensor:
        return loss(values, targets, torch.Generator().manual_seed(0))

    assert of(scores).shape == (), "the loss is not a scalar"
    assert of(targets) < of(-targets), "the reversed ranking has a lower loss than the perfect one"
    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(of(leaf), leaf)
    assert of(scores - 1e-3 * gradient) < of(scores), "a step against the gradient does not lower the loss"
    assert torch.autograd.gradcheck(of, [leaf], raise_exception=False), (
        "the gradient is not that of finite differences"
    )
    order = torch.from_numpy(rng.permutation(8))
    assert torch.allclose(loss(scores[order], targets[order]), loss(scores, targets)), (
        "the loss depends on the order of the batch"
    )
    _check_derivatives(loss, scores.numpy(), targets.numpy())


def _check_derivatives(loss: ScoreLoss, scores: np.ndarray, targets: np.ndarray) -> None:
    def gradient_at(values: np.ndarray) -> np.ndarray:
        leaf = torch.from_numpy(values).requires_grad_()
        total = len(values) * loss(leaf, torch.from_numpy(targets))
        return torch.autograd.grad(total, leaf)[0].numpy()

    gradient, curvature = loss.derivatives(scores, targets)
    steps = 1e-5 * np.eye(len(scores))
    by_differences = [
        (gradient_at(scores + step) - gradient_at(scores - step))[i] / 2e-5 for i, step in enumerate(steps)
    ]
    assert gradient.dtype == curvature.dtype == np.float64, "derivatives() does not give float64"
    assert_close(gradient, gradient_at(scores), "derivatives() gives another gradient than differentiation")
    assert_close(
        curvature,
        np.array(by_differences),
        "derivatives() gives another Hessian diagonal than finite differences",
    )
