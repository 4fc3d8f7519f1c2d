"""The contract of a head."""

from __future__ import annotations

import tempfile
from functools import partial

import numpy as np
import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.heads.base import EstimatorHead, Head, NeuralHead
from archenc.predictor import Predictor
from archenc.registry import ENCODERS, HEADS, LOSSES
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.testing.assertions import (
    assert_close,
    assert_deviations,
    assert_keywords,
    assert_raises,
    registered_name,
    resolve,
)


def check_head(entry: str | type[Head]) -> None:
    """With every loss that the head does not reject: it learns, repeats itself with the same seed, and
    survives saving and loading.
    """
    head_class: type[Head] = resolve(HEADS, entry)
    assert_keywords(head_class, {"random_state"} if issubclass(head_class, EstimatorHead) else set())
    assert issubclass(head_class, NeuralHead | EstimatorHead), (
        "a head must be a NeuralHead or an EstimatorHead"
    )
    accepted = [name for name in LOSSES.names() if head_class.rejects(LOSSES.get(name)()) is None]
    assert accepted, "the head rejects every loss"
    space = CellSpace("check", ["conv", "pool"], max_nodes=5)
    graphs = space.sample(48, seed=0)
    y = 90.0 + graphs.adjacency.sum((1, 2)).double().numpy() + 0.1 * np.arange(48)
    outputs = 1 if issubclass(head_class, EstimatorHead) else head_class(16).outputs
    if outputs > 1:
        y = np.stack([y, *[-y] * (outputs - 1)], axis=1)
    encoder_class = _Edges if outputs == 1 else _Steps
    with registered_name(HEADS, entry) as name, registered_name(ENCODERS, encoder_class) as encoder:
        for loss in LOSSES.names():
            if loss in accepted:
                _check_fitted_head(name, encoder, loss, graphs, y)
            else:
                predictor = _predictor(name, encoder, loss, outputs)
                assert_raises(
                    InvalidParameter, partial(predictor.fit, graphs, y), f"the rejected loss {loss!r}"
                )


class _Edges(Encoder):
    """Which nodes have an edge to which: a fixed encoding for checks of heads."""

    form = "node"
    fixed = True

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = space.max_nodes**2

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return graphs.adjacency.flatten(1).float()


class _Steps(Encoder):
    """A linear map of the edges for each of several outputs, for checks of heads that have as many."""

    form = "node"

    def __init__(self, space: Space, *, simplify: bool = False, steps: int = 2) -> None:
        super().__init__(space, simplify=simplify)
        self.parts, self.cell_dim = steps, 16 * steps
        self.map = torch.nn.Linear(space.max_nodes**2, self.cell_dim)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        mapped: Tensor = self.map(graphs.adjacency.flatten(1).float())
        return mapped.relu()


def _predictor(head: str, encoder: str, loss: str, outputs: int) -> Predictor:
    """With an encoding of as many parts as the head has outputs."""
    if outputs == 1:
        return Predictor(encoder, head, loss, epochs=40, random_state=0)
    return Predictor(
        encoder, head, loss, encoder_params={"steps": outputs}, epochs=40, lr=1e-2, random_state=0
    )


def _check_fitted_head(head: str, encoder: str, loss: str, graphs: ArchGraphs, y: np.ndarray) -> None:
    outputs = 1 if y.ndim == 1 else y.shape[1]
    predictor = _predictor(head, encoder, loss, outputs).fit(graphs, y)
    scores = predictor.predict(graphs)
    assert scores.shape == y.shape, f"predict gave shape {scores.shape} instead of {y.shape}"
    assert scores.dtype == np.float64, f"predict gave {scores.dtype} instead of float64"
    assert np.isfinite(scores).all(), f"with the loss {loss!r} a score is not finite"
    assert predictor.score(graphs, y) > 0.3, f"with the loss {loss!r} it did not learn its own training set"
    assert_close(predictor.predict(graphs[:5]), scores[:5], "a score depends on what else is predicted")
    again = _predictor(head, encoder, loss, outputs).fit(graphs, y)
    assert np.array_equal(again.predict(graphs), scores), (
        f"with the loss {loss!r} the same seed gives other scores"
    )
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(folder)
        loaded = Predictor.load(folder)
        assert np.array_equal(loaded.predict(graphs), scores), (
            f"with the loss {loss!r} loading gives other scores"
        )
        assert_deviations(predictor, loaded, graphs)
