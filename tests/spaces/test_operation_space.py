"""The space of traced networks, whose arrays have room for far more nodes than most networks have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import archenc
from archenc.graphs import ArchGraphs
from archenc.spaces import OperationSpace
from archenc.spaces.traced.space import _random_edges
from tests.work import torch_calls

ONE = ['{"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "relu", "output"]}']
WORK: dict[str, Callable[[OperationSpace], Any]] = {
    "parse": lambda space: space.parse(ONE),
    "mutate": lambda space: space.mutate(space.parse(ONE)),
    "sample": lambda space: space.sample(100),
    **{
        name: lambda space, name=name: archenc.create_encoder(name, space).encode(space.parse(ONE))
        for name in ("graf-plus", "combined")
    },
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_work_follows_the_nodes_that_are_there(work: Callable[[OperationSpace], Any]) -> None:
    few, many = (torch_calls(partial(work, OperationSpace(max_nodes=most))) for most in (80, 400))
    assert many < 2.5 * few


@pytest.mark.parametrize("encoder", ["path-profile", "op-count", "wl"])
def test_room_for_more_nodes_changes_no_encoding(encoder: str) -> None:
    space = OperationSpace(max_nodes=40)
    texts = space.format(space.sample(30))
    small, large = (
        archenc.create_encoder(encoder, of).encode(of.parse(texts))
        for of in (space, OperationSpace(max_nodes=200))
    )
    np.testing.assert_allclose(small, large, atol=1e-5)


def test_large_graphs_are_encoded_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    space = OperationSpace(max_nodes=256)
    seen: list[int] = []
    encoder = archenc.create_encoder("op-count", space)

    def encode_cells(graphs: ArchGraphs) -> torch.Tensor:
        seen.append(len(graphs))
        return torch.zeros(len(graphs), encoder.dim)

    monkeypatch.setattr(encoder, "encode_cells", encode_cells)
    encoder.encode(space.parse(ONE * 600))
    assert max(seen) * 256 * 256 <= 2**24
    assert sum(seen) == 600


def test_mutations_use_all_the_room_there_is() -> None:
    """Nodes come until the space is full, whatever the arrays of the work are cut to."""
    space = OperationSpace(max_nodes=66, operations=("relu", "add"))
    graphs = space.parse(
        json.dumps(
            {"adjacency": np.eye(64, k=1, dtype=int).tolist(), "ops": ["input", *["relu"] * 62, "output"]}
        )
    )
    graphs = graphs[[0] * 20]
    sizes: set[int] = set()
    for seed in range(8):
        graphs = space.mutate(graphs, seed)
        space.validate(graphs)
        sizes |= set(graphs.mask.sum(1).tolist())
    assert max(sizes) == 66


def test_each_pair_of_nodes_is_joined_equally_often() -> None:
    row, source, target = _random_edges(4_000, 5, 0.3, np.random.default_rng(0))
    counts = Counter(zip(source.tolist(), target.tolist(), strict=True))
    assert set(counts) == {(i, j) for j in range(5) for i in range(j)}
    assert all(abs(count - 1_200) < 5 * np.sqrt(4_000 * 0.3 * 0.7) for count in counts.values())
    assert len(set(zip(row.tolist(), source.tolist(), target.tolist(), strict=True))) == len(row)
