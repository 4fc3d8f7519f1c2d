"""A head of one's own that learns from pairs of encodings: the Bradley-Terry model with a learned utility.

Run it by ``python examples/head.py``; it checks the contract.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from archenc.heads.base import NeuralHead
from archenc.losses import ComparatorLoss, Loss
from archenc.testing import check_head


class BradleyTerryHead(NeuralHead):
    """P(a beats b) = sigmoid(u(a) - u(b)) with a perceptron u (Bradley, Terry, Biometrika 1952).

    The score of an architecture is how far its utility is above the mean utility of those it was trained on.

    Args:
        dim: length of an encoding.
        hidden: hidden units of u.
    """

    paper = "Bradley and Terry, Rank Analysis of Incomplete Block Designs, Biometrika 1952"
    accepts = (ComparatorLoss,)

    centre: Tensor

    def __init__(self, dim: int, *, hidden: int = 64) -> None:
        super().__init__()
        self.utility = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.register_buffer("centre", torch.zeros(1))

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        if isinstance(loss, cls.accepts):
            return None
        return f"it judges pairs; use the loss 'comparator', or the head 'mlp' with {loss.name!r}"

    def forward(self, encodings: Tensor) -> Tensor:
        scores: Tensor = self.utility(encodings).squeeze(-1) - self.centre
        return scores

    def loss(
        self, encodings: Tensor, targets: Tensor, loss: ComparatorLoss, generator: torch.Generator
    ) -> Tensor:
        """The comparator's loss of the differences of utilities, over pairs that it draws."""
        worse, better = loss.pairs(targets, generator)
        utilities = self.utility(encodings).squeeze(-1)
        return loss.from_logits(utilities[better] - utilities[worse])

    @torch.no_grad()
    def after_epoch(self, encode: Callable[[], Tensor]) -> None:
        """Keep the mean utility of what is trained on."""
        self.centre = self.utility(encode()).mean(0)


def check() -> None:
    """Raise :class:`AssertionError` with a sentence if the contract is broken."""
    check_head(BradleyTerryHead)


if __name__ == "__main__":
    check()
    print("BradleyTerryHead keeps the contract of a head")
