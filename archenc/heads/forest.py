"""Random forest regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from archenc.errors import CorruptFile
from archenc.files import Field
from archenc.heads.base import EstimatorHead, rejects_all_but_squared_error
from archenc.heads.trees import Trees
from archenc.losses import Loss
from archenc.rules import Count, Fraction, Seed
from archenc.scaling import without_noise
from archenc.sealed import saved_arrays, saved_numbers

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

    trees_: Trees

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
        self.trees_ = _flat_trees(forest.fit(without_noise(encodings), targets))
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        self._check_fitted()
        values = encodings.astype(np.float32)  # as scikit-learn compares them
        blocks = (values[start : start + ROWS_PER_BLOCK] for start in range(0, len(values), ROWS_PER_BLOCK))
        return np.concatenate([np.zeros(0), *(self.trees_.leaf_values(block).mean(axis=1) for block in blocks)])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return dict(vars(self.trees_)), {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> RandomForestHead:
        saved_numbers(values)
        fields: dict[str, Field] = dict.fromkeys(("root", "left", "right", "feature"), ((None,), "i"))
        fields |= dict.fromkeys(("threshold", "value"), ((None,), "f"))
        found = {name: array for name, array in arrays.items() if name != "depth"}  # which was written formerly
        self.trees_ = Trees(*saved_arrays(found, fields))
        if len(self.trees_.root) == 0:
            raise CorruptFile("the saved forest has no tree; train and save again")
        return self

    def takes(self, dim: int) -> bool:
        return self.trees_.columns <= dim


def _flat_trees(forest: RandomForestRegressor) -> Trees:
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    itself = np.arange(sum(tree.node_count for tree in trees))

    def children(name: str) -> np.ndarray:
        child = np.concatenate([getattr(tree, name) + start * (getattr(tree, name) >= 0) for tree, start in zip(trees, root, strict=True)])
        return np.where(child >= 0, child, itself)

    return Trees(
        root=root,
        left=children("children_left"),
        right=children("children_right"),
        feature=np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
    )
