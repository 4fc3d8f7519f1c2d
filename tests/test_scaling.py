"""Columns that are constant up to float noise count as constant, for every head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import archenc
from archenc import Predictor
from archenc.encoder import Encoder
from archenc.graphs import ArchGraphs
from archenc.heads.scaling import VaryingColumns
from archenc.registry import ENCODERS
from archenc.spaces.base import Space

HEADS: dict[str, dict[str, Any]] = {
    name: {} for name in archenc.list_heads() if name not in ("anytime", "mlp-ensemble")
}
HEADS["gp"] = {"head_params": {"kernel": "rbf+linear"}}
HEADS["mlp"] = {"epochs": 30}
HEADS["comparator"] = {"epochs": 30, "loss": "comparator"}
HEADS["dngo"] = {"head_params": {"epochs": 20}}


class NoisyEncoder(Encoder):
    """How often each operation occurs, and a number that is .7 but for rounding, or ``away`` from that."""

    fixed = True
    paper = "none: a test"
    away = 0.0

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = len(space.operations) + 1

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        counts = torch.stack(
            [(graphs.ops == k).flatten(1).sum(1) for k in range(1, self.cell_dim)], dim=1
        ).float()
        return torch.cat([counts, 0.7 + self.away + 1e-7 * counts[:, -1:]], dim=1)


@pytest.fixture(autouse=True)
def noisy() -> Iterator[None]:
    ENCODERS.register("noisy", NoisyEncoder)
    yield
    ENCODERS.unregister("noisy")


@pytest.mark.parametrize("head", HEADS)
def test_float_noise_moves_no_prediction(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = archenc.create_space("nasbench201").sample(60, seed=0)
    column = archenc.create_encoder("noisy", graphs.space).encode(graphs)[:, -1]
    assert 0 < column.std() < 2e-7
    y = 70 + 5.0 * (graphs.ops == 3).flatten(1).sum(1).numpy() + (graphs.ops == 5).flatten(1).sum(1).numpy()
    predictor = Predictor(
        **{"encoder": "noisy", "head": head, "loss": "mse", "random_state": 0, **HEADS[head]}
    ).fit(graphs[:40], y[:40])
    usual = predictor.predict(graphs[40:])
    monkeypatch.setattr(NoisyEncoder, "away", 1.0)
    assert np.abs(predictor.predict(graphs[40:]) - usual).max() < 1e-3 * usual.std()


def test_columns_that_vary_are_standardised() -> None:
    encodings = (
        np.random.default_rng(0).normal([0.0, 5.0, 1e6], [1.0, 0.01, 1e4], (200, 3)).astype(np.float32)
    )
    columns = VaryingColumns(encodings)
    assert columns.varies.all()
    np.testing.assert_allclose(columns.transform(encodings).mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(columns.transform(encodings).std(0), 1, atol=1e-6)
