"""Side information: numbers that are known of each architecture, as further columns of its fixed encoding.

What they mean is unknown, so each column is brought to one scale by the ranks of its values in the training
set, as labels are: zero-cost scores, parameters and accuracies have long tails, and a failed measurement may
be stored as -1e8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from archenc.errors import CorruptFile, InvalidParameter, InvalidTable
from archenc.files.sealed import saved_arrays, under
from archenc.files.trusted import Field
from archenc.graphs import ArchGraphs
from archenc.heads.scaling import FURTHEST
from archenc.training import targets as labels
from archenc.training.targets import ColumnTransforms, LabelTransform

NOISE = 1e-6
"""Values that differ by no more than this part of the largest are the same number with noise."""


@dataclass(frozen=True, eq=False)
class SideInformation:
    """What was learnt about the k columns of :attr:`archenc.graphs.ArchGraphs.architecture_features` in the
    training set.

    A column becomes the normal quantiles of its values' ranks; a gap becomes the median of the column
    (scikit-learn's ``SimpleImputer``), and a column that had gaps is followed by one that is 1 where there is
    a gap, else 0. Columns without two different values are left out.

    Attributes:
        used: bool (k,), the c columns that are not left out.
        gaps: bool (k,), those among them that had gaps.
        fill: (c,) what a gap becomes.
        scale: the transforms of the c columns.
    """

    used: np.ndarray
    gaps: np.ndarray
    fill: np.ndarray
    scale: ColumnTransforms

    @classmethod
    def fit(cls, graphs: ArchGraphs) -> SideInformation:
        """What the training set shows; without any columns where there is no side information."""
        values = _values(graphs)
        missing = np.isnan(values)
        used = np.array(
            [_varies(column[~gap]) for column, gap in zip(values.T, missing.T, strict=True)], dtype=bool
        )
        columns = [column[~gap] for column, gap in zip(values.T[used], missing.T[used], strict=True)]
        transforms = tuple(LabelTransform.normal_scores(column) for column in columns)
        fill = [
            transform.forward(np.median(column))
            for transform, column in zip(transforms, columns, strict=True)
        ]
        return cls(
            used, used & missing.any(0), np.array(fill, dtype=np.float64), ColumnTransforms(transforms)
        )

    @property
    def dim(self) -> int:
        """How many columns are appended."""
        return int(self.used.sum() + self.gaps.sum())

    def appended(self, encodings: np.ndarray, graphs: ArchGraphs) -> np.ndarray:
        """Encodings (N, dim) with the columns of these graphs behind them, float32; as they are where the
        training set had none.

        Raises:
            InvalidTable: graphs with another number of columns than those of the training.
        """
        k = len(self.used)
        if k == 0:
            return encodings
        if graphs.num_architecture_features != k:
            raise InvalidTable(
                f"this predictor was fitted with architecture features of length {k} and got some of length "
                f"{graphs.num_architecture_features}; give them by graphs.with_architecture_features(array), "
                "NaN where one is not known"
            )
        values = _values(graphs)
        columns = [encodings, self._scaled(values[:, self.used]), np.isnan(values[:, self.gaps])]
        return np.concatenate([np.asarray(part, dtype=np.float32) for part in columns], axis=1)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        scores = self.scale.forward(values) if len(self.fill) else values
        return np.clip(np.where(np.isnan(values), self.fill, scores), -FURTHEST, FURTHEST)

    def told(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The predictor's parameters, in which heads that weigh groups of columns know that the last ones are
        side information.
        """
        return (
            parameters
            if self.dim == 0
            else parameters | {"head_params": _with_group(parameters["head_params"], self.dim)}
        )

    # -- keeping ---------------------------------------------------------------------------------------------

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`restore` takes; nothing where there is no side information."""
        if len(self.used) == 0:
            return {}
        scale = {f"scale.{name}": array for name, array in self.scale.arrays.items()}
        return {"used": self.used, "gaps": self.gaps, "fill": self.fill, **scale}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> SideInformation:
        """The side information of these :attr:`arrays`; raises :class:`CorruptFile` if they are none of
        one.
        """
        if not arrays:
            none = np.zeros(0, dtype=bool)
            return cls(none, none, np.zeros(0), ColumnTransforms(()))
        scale = under("scale", arrays)
        fields: dict[str, Field] = {"used": ((None,), "b"), "gaps": ((None,), "b"), "fill": ((None,), "f")}
        used, gaps, fill = saved_arrays(
            {name: array for name, array in arrays.items() if not name.startswith("scale.")}, fields
        )
        transforms = labels.restore(scale) if scale else ColumnTransforms(())
        fits = len(used) == len(gaps) > 0 and not (gaps & ~used).any() and used.sum() == len(fill)
        if not fits or not isinstance(transforms, ColumnTransforms) or len(transforms.columns) != len(fill):
            raise CorruptFile("the saved side information does not belong together; train and save again")
        return cls(used, gaps, fill, transforms)


def refuse_side_information(graphs: ArchGraphs, encoder: str) -> None:
    """Raise :class:`InvalidParameter` for graphs with side information, on behalf of a learned encoder."""
    if graphs.num_architecture_features:
        raise InvalidParameter(
            f"the learned encoder {encoder!r} has no place for what is known of each architecture; choose a "
            "fixed encoding such as "
            "'auto', or leave it away by graphs.with_architecture_features(None)"
        )


def _values(graphs: ArchGraphs) -> np.ndarray:
    """float64 (N, k)."""
    known = graphs.architecture_features
    return np.zeros((len(graphs), 0)) if known is None else known.cpu().numpy()


def _varies(values: np.ndarray) -> bool:
    return bool(np.ptp(values) > NOISE * np.abs(values).max()) if len(values) else False


def _with_group(parameters: Any, columns: int) -> Any:
    """``parameters``, and those of heads inside of it, with ``side_columns`` wherever there are groups."""
    if not isinstance(parameters, dict):
        return parameters
    inside = {name: _with_group(value, columns) for name, value in parameters.items()}
    return {**inside, "side_columns": columns} if "groups" in inside else inside
