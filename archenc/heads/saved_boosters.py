"""Saved models of LightGBM and XGBoost, read here: the parsers of both crash the process, or never end, on
models made for that.

Only what the heads train is understood: trees on numerical columns, without missing values, whose sum is the
score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from archenc.files.documents import MAX_DEPTH
from archenc.heads.trees import Trees, in_a_row

ROWS_PER_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class SavedBooster:
    """A restored model, which predicts what the library did, bit for bit.

    Attributes:
        model: its bytes, in the library's format.
        trees: the trees in them.
        columns: length of the encodings it was trained on, None where no column varied.
        dtype: of the sum over the trees, which is taken from the first to the last.
    """

    model: bytes
    trees: Trees
    columns: int | None
    dtype: np.dtype[Any]

    def raw(self, encodings: np.ndarray) -> np.ndarray:
        """(n,): the sums of the trees."""
        blocks = (
            encodings[start : start + ROWS_PER_BLOCK] for start in range(0, len(encodings), ROWS_PER_BLOCK)
        )
        return np.concatenate([np.zeros(0, self.dtype), *(self._sums(block) for block in blocks)])

    def _sums(self, encodings: np.ndarray) -> np.ndarray:
        values = self.trees.leaf_values(encodings).astype(self.dtype)
        return np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)[:, -1]


def read_lightgbm(model: bytes) -> tuple[Trees, int]:
    """The trees of a text model, and the number of columns that it was trained on; raises :class:`ValueError`
    for another kind.

    In the text, inner nodes have the numbers 0, 1, ..., and leaves -1, -2, ...
    """
    head, *trees = re.split(r"^Tree=\d+$", model.decode("ascii"), flags=re.MULTILINE)
    header = _fields(head)
    if (header["num_class"], header["num_tree_per_iteration"]) != ("1", "1") or "objective" in header:
        raise ValueError("a model of several scores")
    found = in_a_row([_lightgbm_tree(_fields(tree.partition("end of trees")[0])) for tree in trees])
    return _with_columns(found, int(header["max_feature_idx"]) + 1)


def _with_columns(trees: Trees, columns: int) -> tuple[Trees, int]:
    if trees.columns > columns:
        raise ValueError(f"a split at column {trees.columns - 1} of {columns}")
    return trees, columns


def _fields(lines: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)


def _lightgbm_tree(fields: Mapping[str, str]) -> Trees:
    feature, kind, left, right = (
        np.array(fields[name].split(), dtype=np.int64)
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    threshold, value = (
        np.array(fields[name].split(), dtype=np.float64) for name in ("threshold", "leaf_value")
    )
    if not np.isin(kind, (0, 2)).all() or fields["num_cat"] != "0" or fields["is_linear"] != "0":
        raise ValueError("trees on categories or missing values, or linear ones")
    inner = len(left)
    leaves = inner + np.arange(len(value))
    return Trees(
        root=np.zeros(1, dtype=np.int64),
        left=np.concatenate([np.where(left < 0, inner - 1 - left, left), leaves]),
        right=np.concatenate([np.where(right < 0, inner - 1 - right, right), leaves]),
        feature=np.concatenate([feature, np.zeros_like(leaves)]),
        threshold=np.concatenate([threshold, np.zeros(len(leaves))]),
        value=np.concatenate([np.zeros(inner), value]),
    )


def read_xgboost(model: bytes) -> tuple[Trees, int]:
    """The trees of a UBJSON model, and the number of columns that it was trained on; raises
    :class:`ValueError` for another kind.
    """
    learner = _UBJSON(model).value()["learner"]
    booster = learner["gradient_booster"]
    if (
        booster["name"] != "gbtree"
        or any(booster["model"]["tree_info"])
        or learner["learner_model_param"]["num_target"] != "1"
    ):
        raise ValueError("a model of several scores")
    if booster["model"]["gbtree_model_param"]["num_parallel_tree"] != "1":
        raise ValueError("forests")
    trees = [_xgboost_tree(tree) for tree in booster["model"]["trees"]]
    return _with_columns(in_a_row(trees), int(learner["learner_model_param"]["num_feature"]))


def _xgboost_tree(tree: dict[str, Any]) -> Trees:
    """A row goes left below the condition: at most the greatest smaller float32."""
    left, right, feature = (
        np.asarray(tree[name], dtype=np.int64)
        for name in ("left_children", "right_children", "split_indices")
    )
    condition = np.asarray(tree["split_conditions"], dtype=np.float32)
    if any(tree["split_type"]) or tree["tree_param"]["size_leaf_vector"] != "1":
        raise ValueError("trees on categories, or of several scores")
    itself = np.arange(len(left))
    return Trees(
        root=np.zeros(1, dtype=np.int64),
        left=np.where(left == -1, itself, left),
        right=np.where(right == -1, itself, right),
        feature=feature,
        threshold=np.nextafter(condition, np.float32(-np.inf)).astype(np.float64),
        value=condition.astype(np.float64),
    )


_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_CONSTANTS = {"T": True, "F": False, "Z": None}


class _UBJSON:
    """Reads a value of UBJSON (https://ubjson.org, draft 12), as far as XGBoost writes it; raises
    :class:`ValueError` for what is none.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def value(self, depth: int = 0) -> Any:
        marker = self._text(1)
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        if marker in _NUMBERS:
            return self._numbers(marker, 1)[0].item()
        if marker == "S":
            return self._text(self._length())
        if marker == "[":
            return self._array(depth)
        if marker == "{":
            return self._object(depth)
        return _CONSTANTS[marker]

    def _array(self, depth: int) -> Any:
        """A list, or a NumPy array of numbers."""
        kind = self._text(1) if self._next_is("$") else None
        if not self._next_is("#"):
            raise ValueError("an array without its length")
        length = self._length()
        return [self.value(depth + 1) for _ in range(length)] if kind is None else self._numbers(kind, length)

    def _object(self, depth: int) -> dict[str, Any]:
        found = {}
        while not self._next_is("}"):
            name = self._text(self._length())
            found[name] = self.value(depth + 1)
        return found

    def _next_is(self, marker: str) -> bool:
        found = self.content[self.at : self.at + 1] == marker.encode()
        self.at += found
        return found

    def _length(self) -> int:
        return int(self._numbers(self._text(1), 1)[0])

    def _text(self, length: int) -> str:
        return self._take(length).decode()

    def _numbers(self, kind: str, count: int) -> np.ndarray:
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(count * dtype.itemsize), dtype=dtype)

    def _take(self, length: int) -> bytes:
        if not 0 <= length <= len(self.content) - self.at:
            raise ValueError("it ends too early")
        self.at += length
        return self.content[self.at - length : self.at]
