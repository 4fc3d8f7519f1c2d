"""A few cells with labels that can be computed, a predictor that is fitted in no time, a pretraining of
seconds; work counted, not seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import archenc
from archenc import Predictor
from archenc.encoders.modules.nodes import node_kinds
from archenc.graphs import ArchGraphs
from archenc.spaces.cell import CellSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.darts import DARTS, NASNet
from archenc.spaces.nasbench101 import NASBench101
from archenc.spaces.nasbench201 import NASBench201
from archenc.spaces.nasbench_graph import NASBenchGraph
from archenc.spaces.transnas101 import TransNAS101Micro

# -- cells and a predictor; work -----------------------------------------------------------------------------


SPACE = archenc.create_space("nasbench201")
ALL = SPACE.enumerate()
RNG = np.random.default_rng(0)
TRAINED = ALL[RNG.permutation(len(ALL))[:24]]
POOL = ALL[RNG.permutation(len(ALL))[:300]]
FEW = 12


def accuracy(graphs):
    """Convolutions are good, and a little difference makes the labels unlike."""
    costs = SPACE.costs(graphs)["parameters"]
    return 60.0 + 5.0 * (graphs.ops == 3 + 1).sum((1, 2)).numpy() + costs / 1e6


Y = accuracy(TRAINED)


def cheap(random_state=0):
    return Predictor("op-count", "gp", "mse", head_params={"restarts": 0}, random_state=random_state)


def dominated(values, row):
    return ((values >= row).all(1) & (values > row).any(1)).any()


class _Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def torch_calls(work: Callable[[], Any]) -> int:
    """How many operations of torch ``work`` calls: a loop over architectures shows as thousands more for more
    of them.
    """
    with _Count() as count:
        work()
    return count.calls


# -- a pretraining -------------------------------------------------------------------------------------------


PRETRAINING_SPACE = CellSpace("small", ["conv", "pool"], max_nodes=5)
GRAPHS = PRETRAINING_SPACE.sample(150, seed=0)
SMALL = {"hidden_dim": 16, "layers": 2}
SETTINGS: dict[str, Any] = {"encoder_params": SMALL, "epochs": 3, "batch_size": 16}


def run(folder: Path, graphs: ArchGraphs = GRAPHS, **changes: Any) -> dict[str, Any]:
    """Pretrain arch2vec in ``folder`` and give the card."""
    return archenc.pretrain("arch2vec", graphs, folder, **{**SETTINGS, **changes})


# -- arithmetic on plain lists for the worked examples, and the slope of a function by finite differences ----


def apply(layer, vector):
    bias = [0.0] * len(layer.weight) if layer.bias is None else layer.bias.tolist()
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b
        for row, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def normed(layer, vector):
    mean = sum(vector) / len(vector)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in vector) / len(vector) + layer.eps)
    return [
        (v - mean) / deviation * w + b
        for v, w, b in zip(vector, layer.weight.tolist(), layer.bias.tolist(), strict=True)
    ]


def added(*vectors):
    return [sum(values) for values in zip(*vectors, strict=True)]


def assert_gradient_is_slope(value, weight, entries):
    """Backpropagation through ``value()`` gives the same for some entries of a float64 weight as moving them
    a little both ways.
    """
    value().backward()
    step = 1e-6
    for entry in entries:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[entry] += sign * step
                values.append(value().item())
                weight[entry] -= sign * step
        assert weight.grad[entry].item() == pytest.approx(
            (values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8
        )


def assert_worked_example(make_encoder, by_hand, inputs):
    """The encodings of small padded graphs equal ``by_hand(encoder, adjacency, rows)`` of each, with None as
    the row of padding.

    Args:
        make_encoder: from a space to an encoder with a table of operations, ``encoder.features``.
        by_hand: the encoding of one architecture from its adjacency matrix and the rows of its nodes in that
            table.
        inputs: number of input nodes.
    """
    space = CellSpace("toy", ("a", "b", "skip"), op_on="node", max_nodes=6, num_inputs=inputs, skip_op="skip")
    graphs = space.simplify(space.sample(6, 1))
    assert not graphs.mask.all(), "no architecture has padding"
    encoder = make_encoder(space)
    rows = node_kinds(graphs).tolist()
    rows = [
        [r if there else None for r, there in zip(*both, strict=True)]
        for both in zip(rows, graphs.mask.tolist(), strict=True)
    ]
    expected = [by_hand(encoder, a, r) for a, r in zip(graphs.adjacency.tolist(), rows, strict=True)]
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-7)


# -- spaces that between them use everything a space can have ------------------------------------------------


CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4)]
DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]
SPACES = {
    "nasbench101": NASBench101(),
    "nasbench201": NASBench201(),
    "transnas101-micro": TransNAS101Micro(),
    "nasbench-graph": NASBenchGraph(),
    "chain": CellSpace("chain", ["id", "k3", "k5"], max_nodes=5, topology=CHAIN, skip_op="id"),
    "diamond": CellSpace(
        "diamond", ["a", "b", "zero"], max_nodes=4, topology=DIAMOND, none_op="zero", cells=2
    ),
    "nodes": CellSpace(
        "nodes", ["zero", "a", "b", "id"], max_nodes=6, max_edges=9, none_op="zero", skip_op="id"
    ),
    "two inputs": CellSpace("two inputs", ["a", "b", "id"], max_nodes=6, num_inputs=2, skip_op="id", cells=2),
    "edges": CellSpace(
        "edges", ["zero", "a", "id"], op_on="edge", max_nodes=5, max_edges=7, none_op="zero", skip_op="id"
    ),
    "parallel": CellSpace(
        "parallel", ["a", "b"], op_on="edge", max_nodes=5, num_inputs=2, edges_per_pair=2, cells=2
    ),
    "fixed parallel": CellSpace(
        "fixed parallel",
        ["a", "b", "c"],
        op_on="edge",
        max_nodes=3,
        topology=[(0, 1), (1, 2)],
        edges_per_pair=2,
    ),
    "darts": DARTS(),
    "nasnet": NASNet(),
    "genotype": GenotypeSpace(
        "genotype", ["zero", "a", "b", "id"], nodes=3, none_op="zero", skip_op="id", output="loose"
    ),
}
