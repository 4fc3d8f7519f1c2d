"""Losses: how badly scores agree with targets, where a higher score means a better architecture.

Pointwise losses compare a score with its target, pairwise ones the order of two scores with that of their
targets, listwise ones the order of a whole batch. The comparator's loss judges pairs of encodings, before
there is a score. Except for the drawing of pairs everything here is pure tensor arithmetic and works under
``torch.func.vmap``.
"""

from archenc.losses.base import Loss, ScoreLoss
from archenc.losses.listwise import ListMLELoss, ListwiseLoss
from archenc.losses.pairwise import (
    MAX_BOOSTING_PAIRS,
    BCELoss,
    ComparatorLoss,
    DrawsPairs,
    HingeLoss,
    PairwiseLoss,
    ordered_pairs,
)
from archenc.losses.pointwise import MAELoss, MSELoss, MSERankLoss, PointwiseLoss

__all__ = [
    "MAX_BOOSTING_PAIRS",
    "BCELoss",
    "ComparatorLoss",
    "DrawsPairs",
    "HingeLoss",
    "ListMLELoss",
    "ListwiseLoss",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MSERankLoss",
    "PairwiseLoss",
    "PointwiseLoss",
    "ScoreLoss",
    "ordered_pairs",
]
