"""Which columns of an encoding vary over a training set, and by how much: the one rule of all heads.

A column that is constant there up to float noise says nothing. Divided by the deviation of its noise it would
carry an architecture that differs in it thousands of deviations away, and trees could split it.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

NEVER_VARIES = 1e-4
"""A column whose deviation is below this part of its mean (of 1, if that is larger) is constant up to the
noise of float32.
"""
FURTHEST = 8.0
"""Deviations beyond which a value is brought back where that is wanted: the training set says nothing about
what lies out there.
"""
CONSTANT = 1e30
"""The divisor of a constant column, which leaves nothing of it; finite, so that a file can hold it as any
other number.
"""

Values = TypeVar("Values", np.ndarray, Tensor)


def divisors(mean: Values, deviation: Values) -> Values:
    """What to divide centred columns by: their deviation, or :data:`CONSTANT`; from the mean and deviation
    (dim,) of each.
    """
    if isinstance(mean, Tensor):
        return torch.where(deviation > NEVER_VARIES * mean.abs().clamp(min=1.0), deviation, CONSTANT)
    return np.where(deviation > NEVER_VARIES * np.maximum(np.abs(mean), 1.0), deviation, CONSTANT)


class VaryingColumns:
    """Standardises columns by their mean and deviation over a training set; those that do not vary there
    become 0 everywhere.

    Args:
        encodings: the training set, (n, dim).
        furthest: deviations beyond which a value is brought back.
    """

    def __init__(self, encodings: np.ndarray, furthest: float = math.inf) -> None:
        encodings = encodings.astype(np.float64)
        self.mean, self.furthest = encodings.mean(0), furthest
        self.scale = divisors(self.mean, encodings.std(0))

    @property
    def varies(self) -> np.ndarray:
        """Bool (dim,): which columns vary."""
        varies: np.ndarray = self.scale < CONSTANT
        return varies

    def transform(self, encodings: np.ndarray) -> np.ndarray:
        """(n, dim) to float64 (n, dim)."""
        standardised: np.ndarray = (encodings - self.mean) / self.scale
        return (
            standardised
            if self.furthest == math.inf
            else np.clip(standardised, -self.furthest, self.furthest)
        )


def without_noise(encodings: np.ndarray) -> np.ndarray:
    """The encodings (n, dim) of a training set with the same number in all rows of each column that does not
    vary, for what grows trees.
    """
    varies = VaryingColumns(encodings).varies
    return encodings if varies.all() else np.where(varies, encodings, encodings[:1])
