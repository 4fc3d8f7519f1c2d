"""Random forest regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from archenc.heads.base import EstimatorHead, rejects_all_but_squared_error
from archenc.losses import Loss
from archenc.rules import Count, Fraction, Seed

ROWS_PER_BLOCK = 1024


class RandomForestHead(EstimatorHead):
    """The mean of regression trees, each grown on a bootstrap sample of the training architectures.

    Trees are grown by scikit-learn and kept as flat arrays, so a saved forest predicts the same whatever version reads it.

    Args:
        n_estimators: number of trees.
        max_features: share of the encoding's columns that each split looks at.
        min_samples_leaf: least number of architectures in a leaf.
        random_state: seed of the bootstrap samples and columns.
    """

    paper = "Breiman, Random Forests, Machine Learning 2001"

    trees_: dict[str, np.ndarray]

    def __init__(
        self,
        *,
        n_estimators: Count = 300,
        max_features: Fraction = 0.5,
        min_samples_leaf: Count = 1,
        random_state: Seed | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        return rejects_all_but_squared_error(loss)

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> RandomForestHead:
        forest = RandomForestRegressor(
            self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.random_state,
            n_jobs=1,
        )
        self.trees_ = _flat_trees(forest.fit(encodings, targets))
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        blocks = (encodings[start : start + ROWS_PER_BLOCK] for start in range(0, len(encodings), ROWS_PER_BLOCK))
        return np.concatenate([np.zeros(0), *(_predict(self.trees_, block) for block in blocks)])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return self.trees_, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> RandomForestHead:
        self.trees_ = {name: arrays[name] for name in ("root", "left", "right", "feature", "threshold", "value", "depth")}
        return self


def _flat_trees(forest: RandomForestRegressor) -> dict[str, np.ndarray]:
    """The nodes of all trees in a row; both children of a leaf are the leaf itself."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    itself = np.arange(sum(tree.node_count for tree in trees))

    def children(name: str) -> np.ndarray:
        child = np.concatenate([getattr(tree, name) + start * (getattr(tree, name) >= 0) for tree, start in zip(trees, root, strict=True)])
        return np.where(child >= 0, child, itself)

    return {
        "root": root,
        "left": children("children_left"),
        "right": children("children_right"),
        "feature": np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
        "depth": np.array([tree.max_depth for tree in trees]),
    }


def _predict(trees: dict[str, np.ndarray], encodings: np.ndarray) -> np.ndarray:
    values = encodings.astype(np.float32)  # as scikit-learn compares them
    row = np.arange(len(values))[:, None]
    node = np.tile(trees["root"], (len(values), 1))
    for _ in range(trees["depth"].max()):
        is_left = values[row, trees["feature"][node]] <= trees["threshold"][node]
        node = np.where(is_left, trees["left"][node], trees["right"][node])
    return np.asarray(trees["value"][node].mean(axis=1))
