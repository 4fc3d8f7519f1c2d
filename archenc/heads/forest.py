"""Random forest regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from archenc.errors import CorruptFile
from archenc.files.sealed import saved_arrays, saved_numbers
from archenc.files.trusted import Field
from archenc.heads.base import SquaredErrorHead
from archenc.heads.scaling import without_noise
from archenc.heads.trees import Trees
from archenc.losses import Loss
from archenc.registry.rules import Count, Fraction, Seed

ROWS_PER_BLOCK = 1024


class RandomForestHead(SquaredErrorHead):
    """The mean of regression trees, each grown on a bootstrap sample of the training architectures.

    Trees are grown by scikit-learn and kept as flat arrays, so a saved forest predicts the same whatever
    version reads it.

    The variance of a prediction is that of the leaves' means over the trees, plus the mean over the trees of
    the variance in the leaf: the law of total variance (Hutter, Xu, Hoos, Leyton-Brown: Algorithm runtime
    prediction, Artificial Intelligence 2014).

    Args:
        n_estimators: number of trees.
        max_features: share of the encoding's columns that each split looks at.
        min_samples_leaf: least number of architectures in a leaf.
        random_state: seed of the bootstrap samples and columns.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.forest import RandomForestHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> targets = encodings[:, 0].astype(float)
        >>> head = RandomForestHead(n_estimators=10, random_state=0).fit(encodings, targets, MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    has_std = True
    paper = "Breiman, Random Forests, Machine Learning 2001, doi:10.1023/A:1010933404324"

    trees_: Trees
    variance_: np.ndarray

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

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> RandomForestHead:
        forest = RandomForestRegressor(
            self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.random_state,
            n_jobs=1,
        )
        self.trees_ = _flat_trees(forest.fit(without_noise(encodings), targets))
        impurities = [
            estimator.tree_.impurity for estimator in forest.estimators_
        ]  # of squared errors: variances
        self.variance_ = np.maximum(np.concatenate(impurities), 0.0)  # rounding may leave -1e-17
        return self

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [np.zeros(0), *(self.trees_.value[leaves].mean(axis=1) for leaves in self._leaves(encodings))]
        )

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for leaves in self._leaves(encodings):
            values = self.trees_.value[leaves]
            means.append(values.mean(axis=1))
            variances.append(values.var(axis=1) + self.variance_[leaves].mean(axis=1))
        return np.concatenate(means), np.sqrt(np.concatenate(variances))

    def _leaves(self, encodings: np.ndarray) -> Iterator[np.ndarray]:
        """(block, T): the leaves that blocks of encodings reach."""
        self._check_fitted()
        values = encodings.astype(np.float32)  # as scikit-learn compares them
        return (
            self.trees_.leaves(values[start : start + ROWS_PER_BLOCK])
            for start in range(0, len(values), ROWS_PER_BLOCK)
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        return {**vars(self.trees_), "variance": self.variance_}, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> RandomForestHead:
        saved_numbers(values)
        fields: dict[str, Field] = dict.fromkeys(("root", "left", "right", "feature"), ((None,), "i"))
        fields |= dict.fromkeys(("threshold", "value", "variance"), ((None,), "f"))
        found = {
            name: array for name, array in arrays.items() if name != "depth"
        }  # which was written formerly
        found.setdefault("variance", np.zeros(len(found.get("value", ()))))  # which was not
        *trees, self.variance_ = saved_arrays(found, fields)
        self.trees_ = Trees(*trees)
        if len(self.trees_.root) == 0:
            raise CorruptFile("the saved forest has no tree; train and save again")
        if len(self.variance_) != len(self.trees_.value) or self.variance_.min(initial=0.0) < 0:
            raise CorruptFile(
                "the saved forest has not one variance from 0 up for each node; train and save again"
            )
        return self

    def takes(self, dim: int) -> bool:
        return self.trees_.columns <= dim


def _flat_trees(forest: RandomForestRegressor) -> Trees:
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    itself = np.arange(sum(tree.node_count for tree in trees))

    def children(name: str) -> np.ndarray:
        child = np.concatenate(
            [
                getattr(tree, name) + start * (getattr(tree, name) >= 0)
                for tree, start in zip(trees, root, strict=True)
            ]
        )
        return np.where(child >= 0, child, itself)

    return Trees(
        root=root,
        left=children("children_left"),
        right=children("children_right"),
        feature=np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
    )
