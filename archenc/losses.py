"""Losses: how badly scores agree with targets, where a higher score means a better architecture.

Pointwise losses compare a score with its target, pairwise ones the order of two scores with that of their
targets, listwise ones the order of a whole batch. The comparator's loss judges pairs of encodings, before
there is a score. Except for the drawing of pairs everything here is pure tensor arithmetic and works under
``torch.func.vmap``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from archenc.errors import InvalidParameter
from archenc.registry.parameters import Checked
from archenc.registry.rules import NotNegative, Positive

MAX_BOOSTING_PAIRS = 250_000
"""Pairs that the derivatives of a pairwise loss look at: all of them for up to 707 architectures."""


class Loss(Checked, ABC):
    """What is minimised; lower is better. What a head can be trained with, it says by the classes below.

    Attributes:
        name: the registered name.
        ranks: whether it sees only the order of the targets. Then a batch of one and equal labels teach
            nothing, and scores have no unit.
        paper: authors, venue, year and section of the source.
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


def _elementwise_derivatives(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
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


def _float64(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))


class PointwiseLoss(ScoreLoss):
    """The mean over architectures of :meth:`point_loss`."""

    ranks = False

    @abstractmethod
    def point_loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Elementwise: the loss of each score."""

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.point_loss(scores, targets).mean()

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = _elementwise_derivatives(
            lambda s: self.point_loss(s, _float64(targets)), _float64(scores)
        )
        return first.numpy(), second.numpy()


class MSELoss(PointwiseLoss):
    """Mean squared error, mean of (s - y)².

    Args:
        sigmoid: mean of (sigmoid(s) - y)² instead, with raw accuracies y in [0, 1], as in the paper (the
            predictor's label transform "fraction"). Without it s is on the scale of standardised targets,
            which is a deviation from the paper: accuracies of one benchmark fill only a small part of [0, 1].
    """

    name = "mse"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3"
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
    """

    name = "mae"
    paper = "White, Neiswanger, Savani: BANANAS, AAAI 2021, section 4"

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
    """

    name = "mse-rank"
    paper = (
        "Yi et al., NAR-Former: Neural Architecture Representation Learning towards Holistic Attributes "
        "Prediction, CVPR 2023; "
        "Xu et al., NN-Former: Rethinking Graph Structure in Neural Architecture Representation, CVPR 2025"
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
        residuals = (_float64(scores) - _float64(targets)).requires_grad_()
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
        values = _float64(scores)
        worse, better = ordered_pairs(_float64(targets), MAX_BOOSTING_PAIRS, torch.Generator().manual_seed(0))
        first, second = _elementwise_derivatives(self.pair_loss, values[better] - values[worse])
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
    """

    name = "hinge"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3"
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
    """

    name = "bce"
    paper = (
        "Burges et al., Learning to Rank using Gradient Descent, ICML 2005, section 3; "
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3"
    )

    def pair_loss(self, margins: Tensor) -> Tensor:
        return -functional.logsigmoid(margins)


class ComparatorLoss(DrawsPairs, Loss):
    """Binary cross-entropy of a comparator, which judges two encodings together instead of scoring each.

    Mean over pairs of -log P(better beats worse).

    Args:
        pair_ratio: see :class:`DrawsPairs`.
    """

    name = "comparator"
    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3"
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
    """

    name = "listmle"
    paper = (
        "Xia et al., Listwise Approach to Learning to Rank: Theory and Algorithm, ICML 2008, section 4; "
        "Ning et al., TA-GATES: An Encoding Scheme for Neural Network Architectures, NeurIPS 2022"
    )

    def __call__(self, scores: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        best_first = torch.argsort(targets, descending=True, stable=True)
        return (_log_remaining(scores[best_first]) - scores[best_first]).mean()

    def derivatives(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient by differentiation; the Hessian diagonal, sum over i <= k of p_ik (1 - p_ik) with p_ik =
        exp(s_k) / Z_i, in O(n).
        """
        values = _float64(scores).requires_grad_()
        order = _float64(targets)
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
