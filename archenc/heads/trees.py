"""Trees as flat arrays: what is saved of a forest, and what is read of boosted trees.

The nodes of all trees lie in a row, each before its children; both children of a leaf are the leaf itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archenc.errors import CorruptFile


@dataclass(frozen=True, eq=False)
class Trees:
    """T trees of N nodes in all.

    Attributes:
        root: (T,) their first nodes.
        left, right: (N,) where a row goes that is at most the threshold, or above it.
        feature: (N,) the column that is compared.
        threshold, value: (N,) float64; the value is that of a leaf.

    Raises:
        CorruptFile: arrays that are no trees.
    """

    root: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        nodes = len(self.left)
        itself = np.arange(nodes)
        lengths = {len(array) for array in (self.right, self.feature, self.threshold, self.value)} | {nodes}
        fits = len(lengths) == 1 and np.isfinite(self.threshold).all() and np.isfinite(self.value).all()
        fits = fits and ((self.root >= 0) & (self.root < nodes)).all() and (self.feature >= 0).all()
        fits = fits and all(((itself <= child) & (child < nodes)).all() for child in (self.left, self.right))
        if not fits or ((self.left == itself) != (self.right == itself)).any():
            raise CorruptFile("the saved nodes make up no trees; train and save again")

    @property
    def columns(self) -> int:
        """The least length of an encoding."""
        return int(self.feature.max(initial=-1)) + 1

    def leaf_values(self, encodings: np.ndarray) -> np.ndarray:
        """(n, T): the values of the leaves that float32 encodings (n, dim) reach."""
        return np.asarray(self.value[self.leaves(encodings)])

    def leaves(self, encodings: np.ndarray) -> np.ndarray:
        """(n, T): these leaves, as nodes."""
        row = np.arange(len(encodings))[:, None]
        node = np.tile(self.root, (len(encodings), 1))
        while True:
            is_left = encodings[row, self.feature[node]] <= self.threshold[node]
            following = np.where(is_left, self.left[node], self.right[node])
            if (following == node).all():
                return node
            node = following


def in_a_row(trees: list[Trees]) -> Trees:
    """Several lots of trees as one."""
    starts = np.cumsum([0, *(len(tree.left) for tree in trees)])[:-1]
    together = {
        name: np.concatenate(
            [
                np.zeros(0, dtype),
                *(getattr(tree, name) + start * moves for tree, start in zip(trees, starts, strict=True)),
            ]
        )
        for name, dtype, moves in (
            ("root", np.int64, 1),
            ("left", np.int64, 1),
            ("right", np.int64, 1),
            ("feature", np.int64, 0),
            ("threshold", np.float64, 0),
            ("value", np.float64, 0),
        )
    }
    return Trees(**together)
