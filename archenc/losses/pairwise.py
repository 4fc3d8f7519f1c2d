"""Losses that compare the order of two scores, or of two encodings, with that of their targets."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from archenc.errors import InvalidParameter
from archenc.losses.base import Loss, ScoreLoss, elementwise_derivatives, float64
from archenc.registry.parameters import Checked
from archenc.registry.rules import Positive

MAX_BOOSTING_PAIRS = 250_000
"""Pairs that the derivatives of a pairwise loss look at: all of them for up to 707 architectures."""


class DrawsPairs(Checked):
    """How pairs of a batch are drawn, for losses on pairs.

    Pairs are all i < j with different targets; ties in the targets are never pairs. Where there are more than
    ``pair_ratio * B`` pairs in a batch of B, that many of them are drawn uniformly at random without
    replacement (GATES, ECCV 2020, and its released configurations: 4 for NAS-Bench-101 and 201, 16 for larger
    spaces).

    Args:
        pair_ratio: pairs for each architecture of a batch; None takes all pairs.
    """

    def __init__(self, *, pair_ratio: Positive | None = 4.0) -> None:
        self.pair_ratio = pair_ratio

    def pairs(self, targets: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw the pairs of a batch.

        Returns:
            int64 (P,) each: positions of the worse and of the better member.
        """
        limit = None if self.pair_ratio is None else max(1, int(self.pair_ratio * len(targets)))
        return ordered_pairs(targets, limit, generator)


class PairwiseLoss(DrawsPairs, ScoreLoss):
    """The mean over drawn pairs of :meth:`pair_loss`, a function of the margin s(better) - s(worse).

    Args:
        pair_ratio: see :class:`DrawsPairs`.
    """

    @abstractmethod
    def pair_loss(self, margins: Tensor) -> Tensor:
        """Elementwise: the loss of each pair, given by how much higher the better one is scored."""

    def from_pairs(self, scores: Tensor, worse: Tensor, better: Tensor) -> Tensor:
        """The loss of given pairs; a pair of an architecture with itself is padding and does not count.
        Without pairs the loss is 0.
        """
        return _mean_counted(self.pair_loss(scores[better] - scores[worse]), better != worse)

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.from_pairs(scores, *self.pairs(targets, generator))

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian diagonal of n times the loss over all pairs, whatever ``pair_ratio`` is.

        Beyond ``MAX_BOOSTING_PAIRS`` pairs, that many are drawn, the same ones in every call with the same
        targets.
        """
        values = float64(scores)
        worse, better = ordered_pairs(float64(targets), MAX_BOOSTING_PAIRS, torch.Generator().manual_seed(0))
        first, second = elementwise_derivatives(self.pair_loss, values[better] - values[worse])
        zeros = torch.zeros_like(values)
        gradient = zeros.index_add(0, better, first).index_add(0, worse, first, alpha=-1)
        hessian = zeros.index_add(0, better, second).index_add(0, worse, second)
        scale = len(values) / max(1, len(worse))
        return (gradient * scale).numpy(), (hessian * scale).numpy()


def _mean_counted(losses: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)


def ordered_pairs(
    targets: Tensor, limit: int | None = None, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """All pairs with different targets, or ``limit`` of them drawn uniformly without replacement, in O(B log
    B + P).

    In ascending order of the targets, the partners of the item at position i are the ``smaller[i]`` first
    items. So pair number p belongs to the item at which the running sum of ``smaller`` passes p, and pairs
    are drawn as numbers, without listing them all.

    Returns:
        int64 (P,) each: positions of the worse and of the better member.
    """
    values, order = torch.sort(targets.detach(), stable=True)
    smaller = torch.searchsorted(values, values)
    ends = smaller.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    if limit is None or total <= limit:
        numbers = torch.arange(total, device=targets.device)
    else:
        numbers = _distinct_numbers(total, limit, generator).to(targets.device)
    item = torch.searchsorted(ends, numbers, right=True)
    partner = numbers - (ends - smaller)[item]
    return order[partner], order[item]


def _distinct_numbers(total: int, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` different numbers below ``total``, every such set equally likely; faster than a permutation
    if count << total.
    """
    device = generator.device if generator is not None else torch.device("cpu")
    if 2 * count > total:
        return torch.randperm(total, generator=generator, device=device)[:count]
    numbers = torch.empty(0, dtype=torch.int64, device=device)
    while (
        len(numbers) < count
    ):  # replacing duplicates treats all numbers alike, so the sets stay equally likely
        more = torch.randint(total, (count - len(numbers),), generator=generator, device=device)
        numbers = torch.unique(torch.cat([numbers, more]))
    return numbers


class HingeLoss(PairwiseLoss):
    """Pairwise hinge ranking loss, mean over pairs of max(0, m - (s(better) - s(worse))).

    It has no curvature: :meth:`derivatives` gives a Hessian of zeros.

    Args:
        margin: m, in units of the scores; without it equal scores would cost nothing.
        pair_ratio: see :class:`DrawsPairs`.

    Examples:
        >>> import torch
        >>> from archenc.losses import HingeLoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = HingeLoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "hinge"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )

    def __init__(self, *, margin: Positive = 0.1, pair_ratio: Positive | None = 4.0) -> None:
        super().__init__(pair_ratio=pair_ratio)
        self.margin = margin

    def pair_loss(self, margins: Tensor) -> Tensor:
        return functional.relu(self.margin - margins)


class BCELoss(PairwiseLoss):
    """Pairwise binary cross-entropy (RankNet), mean over pairs of -log sigmoid(s(better) - s(worse)).

    Args:
        pair_ratio: see :class:`DrawsPairs`.

    Examples:
        >>> import torch
        >>> from archenc.losses import BCELoss
        >>> targets = torch.tensor([1.0, 2.0, 3.0])
        >>> loss = BCELoss()
        >>> bool(loss(targets, targets) < loss(-targets, targets))
        True
    """

    name = "bce"
    paper = (
        "Burges et al., Learning to Rank using Gradient Descent, ICML 2005, section 3, "
        "doi:10.1145/1102351.1102363; "
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )

    def pair_loss(self, margins: Tensor) -> Tensor:
        return -functional.logsigmoid(margins)


class ComparatorLoss(DrawsPairs, Loss):
    """Binary cross-entropy of a comparator, which judges two encodings together instead of scoring each.

    Mean over pairs of -log P(better beats worse).

    Args:
        pair_ratio: see :class:`DrawsPairs`.

    Examples:
        >>> import torch
        >>> from archenc.losses import ComparatorLoss
        >>> right, wrong = torch.tensor([2.0]), torch.tensor([-2.0])  # logits of "better beats worse"
        >>> loss = ComparatorLoss()
        >>> bool(loss.from_logits(right) < loss.from_logits(wrong))
        True
    """

    name = "comparator"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )

    def __call__(self, *scores: Any, **more: Any) -> NoReturn:
        """Raise :class:`InvalidParameter`: there are no scores to judge."""
        raise InvalidParameter(
            "the loss 'comparator' judges pairs of encodings, not scores; use the head 'comparator', or the "
            "loss 'bce'"
        )

    derivatives = __call__

    def from_logits(self, logits: Tensor, counted: Tensor | None = None) -> Tensor:
        """The loss of the logits (P,) of "better beats worse"; ``counted``, bool (P,), is False for
        padding.
        """
        counted = torch.ones_like(logits, dtype=torch.bool) if counted is None else counted
        return _mean_counted(-functional.logsigmoid(logits), counted)
