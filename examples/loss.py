"""A listwise loss of one's own: ListNet.

Run it by ``python examples/loss.py``; it checks the contract.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from archenc.losses import ListwiseLoss
from archenc.testing import check_loss


class ListNetLoss(ListwiseLoss):
    """Cross-entropy of the top-one probabilities that scores and targets give, -sum of q_i log p_i.

    p and q are the softmax of scores and targets, so that, unlike under ListMLE, the distances of the targets
    count.
    """

    name = "listnet"
    paper = (
        "Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007, section 4.2"
    )

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return -(softmax(targets, 0) * log_softmax(scores, 0)).sum()

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient is n (p - q), the Hessian diagonal n p (1 - p)."""
        p, q = (softmax(torch.from_numpy(values), 0).numpy() for values in (scores, targets))
        return len(p) * (p - q), len(p) * p * (1 - p)


def check() -> None:
    """Raise :class:`AssertionError` with a sentence if the contract is broken."""
    check_loss(ListNetLoss)


if __name__ == "__main__":
    check()
    print("ListNetLoss keeps the contract of a loss")
