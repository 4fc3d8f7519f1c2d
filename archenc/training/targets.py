"""Label transforms: what a pointwise loss sees instead of the raw labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from archenc.errors import CorruptFile, InvalidParameter, InvalidTable
from archenc.files.sealed import saved_arrays

LARGEST = 1e15
"""Magnitude of a label: its square and the sum of many squares are still numbers of 32 bits."""
NARROWEST = 1e-30
"""Difference between the highest and the lowest label, unless they are all the same: its square is still a
number of 64 bits.
"""


@dataclass(frozen=True)
class LabelTransform:
    """A monotone map from labels to targets, through the points (x, z) that were seen in training.

    Between the points both directions interpolate linearly; outside, they go on with the slope from the
    middle point to the end, so that a few very low labels do not stretch what lies above the highest. A
    standardisation is the case of two points.
    """

    x: np.ndarray
    z: np.ndarray

    @classmethod
    def fit(cls, kind: str, y: np.ndarray) -> LabelTransform:
        """The transform of a kind, for labels (n,).

        ``"standardize"`` gives mean 0 and deviation 1, ``"normal-scores"`` the normal quantiles of the ranks,
        ``"fraction"`` percent as numbers from 0 to 1, ``"none"`` the labels themselves.

        Raises:
            InvalidTable: labels beyond :data:`LARGEST`, or closer together than :data:`NARROWEST`.
            InvalidParameter: an unknown kind.
        """
        _check_range(y)
        if kind == "none":
            return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        if kind == "fraction":
            return cls(np.array([0.0, 100.0]), np.array([0.0, 1.0]))
        if kind == "standardize":
            mean, deviation = float(y.mean()), float(y.std()) or 1.0
            step = max(deviation, np.spacing(abs(mean)))  # so that the two points differ
            return cls(np.array([mean, mean + step]), np.array([0.0, 1.0]))
        if kind == "normal-scores":
            return cls.normal_scores(y) if np.ptp(y) > 0 else cls.fit("standardize", y)
        raise InvalidParameter(
            f"there is no label transform {kind!r}; choose 'standardize', 'normal-scores', 'fraction' or "
            "'none'"
        )

    @classmethod
    def normal_scores(cls, y: np.ndarray) -> LabelTransform:
        """The normal quantiles of the ranks of numbers (n,), at least two of which differ."""
        values, first = np.unique(y, return_index=True)
        quantiles = (rankdata(y)[first] - 0.5) / len(y)  # Hazen's plotting positions
        return cls(values, ndtri(quantiles))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What :func:`restore` takes."""
        return {"x": self.x, "z": self.z}

    def forward(self, y: np.ndarray) -> np.ndarray:
        """Labels to targets."""
        return _piecewise_linear(y, self.x, self.z)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Targets to labels."""
        return _piecewise_linear(z, self.z, self.x)


@dataclass(frozen=True)
class ColumnTransforms:
    """A :class:`LabelTransform` for each column of labels (n, T)."""

    columns: tuple[LabelTransform, ...]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What :func:`restore` takes."""
        return {
            f"{name}.{t}": array
            for t, column in enumerate(self.columns)
            for name, array in column.arrays.items()
        }

    def forward(self, y: np.ndarray) -> np.ndarray:
        """Labels to targets."""
        return np.stack([column.forward(y[:, t]) for t, column in enumerate(self.columns)], axis=1)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Targets to labels."""
        return np.stack([column.inverse(z[:, t]) for t, column in enumerate(self.columns)], axis=1)


def fit(kind: str, y: np.ndarray) -> LabelTransform | ColumnTransforms:
    """:meth:`LabelTransform.fit` for labels (n,), or for each column of labels (n, T)."""
    return (
        LabelTransform.fit(kind, y)
        if y.ndim == 1
        else ColumnTransforms(tuple(LabelTransform.fit(kind, column) for column in y.T))
    )


def restore(arrays: Mapping[str, np.ndarray]) -> LabelTransform | ColumnTransforms:
    """The transform with these :attr:`arrays <LabelTransform.arrays>`; raises :class:`CorruptFile` if they
    are none of one.
    """
    columns = range(len(arrays) // 2) if "x.0" in arrays else None
    names = ["x", "z"] if columns is None else [f"{name}.{t}" for t in columns for name in "xz"]
    found = saved_arrays(arrays, dict.fromkeys(names, ((None,), "f")))
    transforms = [_restored(x, z) for x, z in zip(found[::2], found[1::2], strict=True)]
    return transforms[0] if columns is None else ColumnTransforms(tuple(transforms))


def _restored(x: np.ndarray, z: np.ndarray) -> LabelTransform:
    if not len(x) == len(z) >= 2 or (np.diff(x) <= 0).any() or (np.diff(z) <= 0).any():
        raise CorruptFile(
            "the saved transform of the labels does not rise from point to point; train and save again"
        )
    return LabelTransform(x, z)


def _check_range(y: np.ndarray) -> None:
    """Raise :class:`InvalidTable` for labels of a size, or so close together, that computing with them gives
    infinities or zeros.
    """
    if (size := float(np.abs(y).max())) > LARGEST:
        raise InvalidTable(
            f"the labels reach {size:g} and may have a magnitude of at most {LARGEST:g}; give them in "
            "another unit"
        )
    if 0 < (width := float(np.ptp(y))) < NARROWEST:
        raise InvalidTable(
            f"the labels differ by no more than {width:g} and should by {NARROWEST:g}; give them in another "
            "unit"
        )


def _piecewise_linear(values: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    middle, above_middle = (len(x) - 1) // 2, len(x) // 2
    low = _slope(x[above_middle] - x[0], z[above_middle] - z[0])
    high = _slope(x[-1] - x[middle], z[-1] - z[middle])
    inside = np.interp(values, x, z)
    extended: np.ndarray = (
        inside + low * np.minimum(values - x[0], 0.0) + high * np.maximum(values - x[-1], 0.0)
    )
    return extended


def _slope(width: float, height: float) -> float:
    """Their ratio; the largest number for one that is larger, where two labels are all but the same."""
    with np.errstate(over="ignore"):
        return float(min(height / width, np.finfo(np.float64).max))
