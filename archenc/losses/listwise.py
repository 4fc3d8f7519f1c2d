"""Losses of the order of a whole batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archenc.losses.base import ScoreLoss, float64


class ListwiseLoss(ScoreLoss):
    """A loss of the order of a whole batch."""


class ListMLELoss(ListwiseLoss):
    """Negative log-likelihood of the true order under the Plackett-Luce model.

    With the scores s_1 ... s_B in the order of the targets, best first, the loss is the mean over i of log
    Z_i - s_i, where Z_i is the sum over k >= i of exp(s_k). Tied targets keep the order in which they stand
    in the batch.

    The mean over positions, instead of the sum, is that of TA-GATES. Deviation from its code: sums of
    exponentials are taken in log space rather than clamped at 1e-12 below their maximum, so the gradient does
    not vanish for very low scores.

    Examples:
        >>> import torch
        >>> from archenc.losses import ListMLELoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = ListMLELoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "listmle"
    paper = (
        "Xia et al., Listwise Approach to Learning to Rank: Theory and Algorithm, ICML 2008, section 4, "
        "doi:10.1145/1390156.1390306; "
        "Ning et al., TA-GATES: An Encoding Scheme for Neural Network Architectures, NeurIPS 2022"
    )

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        best_first = torch.argsort(targets, descending=True, stable=True)
        return (_log_remaining(scores[best_first]) - scores[best_first]).mean()

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient by differentiation; the Hessian diagonal, sum over i <= k of p_ik (1 - p_ik) with p_ik =
        exp(s_k) / Z_i, in O(n).
        """
        values = float64(scores).requires_grad_()
        order = float64(targets)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(len(values) * self(values, order), values)
        best_first = torch.argsort(order, descending=True, stable=True)
        ranked = values.detach()[best_first]
        log_z = _log_remaining(ranked)
        p = torch.exp(ranked + torch.logcumsumexp(-log_z, 0))
        p_squared = torch.exp(2 * ranked + torch.logcumsumexp(-2 * log_z, 0))
        hessian = torch.empty_like(p).index_copy(0, best_first, p - p_squared)
        return gradient.numpy(), hessian.numpy()


def _log_remaining(ranked: Tensor) -> Tensor:
    """Logarithms of Z_i, the log of the sum over k >= i of exp(s_k)."""
    return torch.logcumsumexp(ranked.flip(0), 0).flip(0)
