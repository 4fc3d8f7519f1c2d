"""Losses that compare a score with its target."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from archenc.errors import InvalidParameter
from archenc.losses.base import ScoreLoss, elementwise_derivatives, float64
from archenc.registry.rules import NotNegative


class PointwiseLoss(ScoreLoss):
    """The mean over architectures of :meth:`point_loss`."""

    ranks = False

    @abstractmethod
    def point_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Elementwise: the loss of each score."""

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.point_loss(scores, targets).mean()

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = elementwise_derivatives(
            lambda s: self.point_loss(s, float64(targets)), float64(scores)
        )
        return first.numpy(), second.numpy()


class MSELoss(PointwiseLoss):
    """Mean squared error, mean of (s - y)².

    Args:
        sigmoid: mean of (sigmoid(s) - y)² instead, with raw accuracies y in [0, 1], as in the paper (the
            predictor's label transform "fraction"). Without it s is on the scale of standardised targets,
            which is a deviation from the paper: accuracies of one benchmark fill only a small part of [0, 1].

    Examples:
        >>> import torch
        >>> from archenc.losses import MSELoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = MSELoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "mse"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )

    def __init__(self, *, sigmoid: bool = False) -> None:
        self.sigmoid = sigmoid

    def point_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        predictions = torch.sigmoid(scores) if self.sigmoid else scores
        return (predictions - targets).square()

    def check_targets(self, transform: str) -> None:
        if self.sigmoid and transform != "fraction":
            raise InvalidParameter(
                "the loss 'mse' with sigmoid needs accuracies from 0 to 1; give label_transform='fraction'"
            )

    def to_targets(self, scores: np.ndarray) -> np.ndarray:
        squashed: np.ndarray = expit(scores)
        return squashed if self.sigmoid else scores


class MAELoss(PointwiseLoss):
    """Mean absolute error, mean of |s - y|.

    It has no curvature: :meth:`derivatives` gives a Hessian of zeros. Deviation: the paper's second form,
    relative to a lower bound of the error, is left out, as the label transform already sets the scale of the
    targets.

    Examples:
        >>> import torch
        >>> from archenc.losses import MAELoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = MAELoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "mae"
    paper = "White, Neiswanger, Savani: BANANAS, AAAI 2021, section 4, arXiv:1910.11858"

    def point_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (scores - targets).abs()


class MSERankLoss(PointwiseLoss):
    r"""Squared error and agreement on differences, the training loss of NAR-Former and NN-Former.

    With residuals r_i = s_i - y_i on standardised targets, the second term asks that two scores differ as
    their targets do:

    .. math:: \frac1B \sum_i r_i^2 + \frac{w}{B^2} \sum_{i,j} |(s_i - s_j) - (y_i - y_j)|

    The released code of NN-Former compares each architecture with one other, drawn by permuting the batch;
    the mean over all pairs is the expectation of that. Its third term, the difference in score between
    orderings of the nodes of one architecture, is left out, as it is zero for encoders that do not see the
    order, NN-Former among them (the newest released code scores the same ordering twice, so that the term
    compares two draws of dropout).

    Args:
        weight: w; 0.1 in NAR-Former, 0.2 in NN-Former, both with accuracies from 0 to 1 as targets, whose
            differences count for more beside their squares than those of standardised targets. The same
            balance would be w / (deviation of the accuracies), so some 1.6 for 0.2 on NAS-Bench-201.

    Examples:
        >>> import torch
        >>> from archenc.losses import MSERankLoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = MSERankLoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "mse-rank"
    paper = (
        "Yi et al., NAR-Former: Neural Architecture Representation Learning towards Holistic Attributes "
        "Prediction, CVPR 2023, arXiv:2211.08024; "
        "Xu et al., NN-Former: Rethinking Graph Structure in Neural Architecture Representation, CVPR 2025, "
        "arXiv:2507.00880"
    )

    def __init__(self, *, weight: NotNegative = 0.2) -> None:
        self.weight = weight

    def point_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (scores - targets).square()

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().__call__(scores, targets) + self.weight * _mean_difference(scores - targets)

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of the squared error, and the gradient of the second term, which has no curvature."""
        gradient, hessian = super().derivatives(scores, targets)
        residuals = (float64(scores) - float64(targets)).requires_grad_()
        with torch.enable_grad():
            (of_differences,) = torch.autograd.grad(
                len(residuals) * self.weight * _mean_difference(residuals), residuals
            )
        return gradient + of_differences.numpy(), hessian


def _mean_difference(values: Tensor) -> Tensor:
    """The mean of |v_i - v_j| over all i and j, for (B,) values: in their order the k-th is above k - 1 and
    below B - k others.
    """
    ascending, count = torch.sort(values).values, len(values)
    above_less_below = torch.arange(1 - count, count, 2, device=values.device)
    return 2 * (above_less_below * ascending).sum() / count**2
