import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc import CellSpace
from archenc.encoders.path import PathEncoder, longest_path
from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, transforms
from tests.shared import torch_calls


def cell_paths(graphs, row, *, simplify):
    """Oracle: the set of (input, operations) of all paths of one cell, by recursion over its own edges."""
    space, last = graphs.space, graphs.num_nodes - 1
    names = space.operations
    found = set()

    def operation(number):
        return None if number is None else names[number]

    def arrive(node, start, sequence):
        if node == last:
            found.add((start, tuple(names.index(name) for name in sequence)))
            return
        for target in range(node + 1, last + 1):
            for name in steps(node, target):
                if simplify and name is not None and name == space.none_op:
                    continue
                kept = [] if name is None or (simplify and name == space.skip_op) else [name]
                arrive(target, start, sequence + kept)

    def steps(node, target):
        """The operations met on going from one node to the next; None where there is none to be met."""
        if space.op_on == "edge":
            return [names[int(k) - EDGE_OFFSET] for k in graphs.edge_ops()[row, :, node, target] if k]
        if not graphs.adjacency[row, node, target]:
            return []
        return [None if target == last else names[int(graphs.ops[row, target]) - NODE_OFFSET]]

    for start in range(space.num_inputs):
        arrive(start, start, [])
    return found


def numbered_paths(space, encoder):
    """Oracle: all possible paths in the order of the features: by length, input, and operations with the last
    one first.
    """
    longest = space.max_nodes - space.num_inputs - (1 if space.op_on == "node" else 0)
    if space.name == "nasbench201":
        longest = 3
    ops = range(len(space.operations))
    shortest = 1 if space.op_on == "edge" and not (encoder.simplify and space.skip_op) else 0
    return [
        (start, sequence[::-1])
        for length in range(shortest, longest + 1)
        for start in range(space.num_inputs)
        for sequence in product(ops, repeat=length)
    ]


@pytest.mark.parametrize("simplify", [False, True])
def test_bits_are_the_paths_found_by_walking(space, simplify):
    graphs = space.sample(60, seed=3)
    encoder = PathEncoder(space, simplify=simplify)
    order = numbered_paths(space, encoder)
    bits = encoder.encode(graphs).reshape(-1, len(order))
    for row in range(len(bits)):
        assert {order[i] for i in np.flatnonzero(bits[row])} == cell_paths(graphs, row, simplify=simplify)


@pytest.mark.parametrize("simplify", [False, True])
def test_kinds_agree(space, simplify):
    graphs = space.sample(60, seed=4)
    bits = PathEncoder(space, simplify=simplify).encode(graphs).reshape(60 * space.cells, -1)
    counted = (
        PathEncoder(space, kind="continuous", simplify=simplify).encode(graphs).reshape(60 * space.cells, -1)
    )
    listed = (
        PathEncoder(space, kind="categorical", simplify=simplify).encode(graphs).reshape(60 * space.cells, -1)
    )
    assert (counted[:, :-1] == bits).all()
    assert (counted[:, -1] == bits.sum(1)).all()
    for row in range(len(bits)):
        indices = list(np.flatnonzero(bits[row]) + 1)
        assert list(listed[row]) == indices + [0] * (listed.shape[1] - len(indices))


def test_truncation_is_a_prefix(space):
    graphs = space.sample(40, seed=5)
    whole = PathEncoder(space).encode(graphs).reshape(40 * space.cells, -1)
    for cutoff in (1, 7, 10, whole.shape[1], whole.shape[1] + 5):
        cut = PathEncoder(space, cutoff=cutoff)
        assert cut.dim == min(cutoff, whole.shape[1]) * space.cells
        assert (cut.encode(graphs).reshape(40 * space.cells, -1) == whole[:, :cutoff]).all()
        counted = (
            PathEncoder(space, cutoff=cutoff, kind="continuous").encode(graphs).reshape(40 * space.cells, -1)
        )
        assert (counted[:, -1] == whole[:, :cutoff].sum(1)).all()
        assert PathEncoder(space, cutoff=cutoff, kind="categorical").encode(graphs).max() <= cutoff


@pytest.mark.parametrize("kind", ["onehot", "categorical", "continuous"])
def test_isomorphic_architectures_are_equal(space, kind):
    encoder = PathEncoder(space, kind=kind, simplify=space.op_on == "edge")
    graphs = space.sample(200, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any(), "no architecture was relabelled, so the test shows nothing"
    assert (encoder.encode(twins) == encoder.encode(graphs)).all()


def test_sizes_of_the_benchmarks(spaces):
    assert PathEncoder(spaces["nasbench101"]).dim == 364
    assert PathEncoder(spaces["nasbench101"], kind="categorical").dim == 32
    assert PathEncoder(spaces["nasbench101"], cutoff=40).max_length == 3
    assert PathEncoder(spaces["nasbench201"]).dim == 155
    assert PathEncoder(spaces["nasbench201"], simplify=True).dim == 156
    assert PathEncoder(spaces["nasbench201"], cutoff=30).max_length == 2
    assert [longest_path(spaces[name]) for name in ("nasbench101", "nasbench201")] == [5, 3]


def test_index_formula():
    space = CellSpace("chain", ["a", "b", "c"], max_nodes=5)
    chain = {"adjacency": np.eye(5, k=1, dtype=int).tolist(), "ops": ["input", "b", "a", "c", "output"]}
    bits = PathEncoder(space).encode(space.parse(chain))[0]
    assert np.flatnonzero(bits).tolist() == [(1 + 3 + 9) + 1 * 1 + 3 * 0 + 9 * 2]


def test_chunks_do_not_show(space, monkeypatch):
    graphs = space.sample(50, seed=7)
    expected = PathEncoder(space).encode(graphs)
    monkeypatch.setattr("archenc.encoders.path._CHUNK_BYTES", 7 * expected.shape[1] * 20)
    assert (PathEncoder(space).encode(graphs) == expected).all()


def test_too_many_features_ask_for_a_cutoff():
    space = CellSpace("large", [f"op{k}" for k in range(12)], max_nodes=8)
    with pytest.raises(InvalidParameter, match="smaller cutoff"):
        PathEncoder(space)
    assert PathEncoder(space, cutoff=157).encode(space.sample(3)).shape == (3, 157)


@pytest.mark.parametrize("parameters", [{"kind": "one-hot"}, {"cutoff": 0}])
def test_wrong_parameters(spaces, parameters):
    with pytest.raises(InvalidParameter):
        PathEncoder(spaces["nasbench201"], **parameters)


@pytest.fixture(scope="module")
def every_nasbench101_cell():
    if (
        not (Path(os.environ.get("ARCHENC_DATA", "")) / "nasbench101" / "space.npz").is_file()
        or "ARCHENC_DATA" not in os.environ
    ):
        pytest.skip("the table of all NAS-Bench-101 cells is not there (ARCHENC_DATA)")
    return archenc.load_dataset("nasbench101-space").graphs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["path", "adjacency"])
def test_every_nasbench101_cell(every_nasbench101_cell, name):
    encoder = archenc.create_encoder(name, every_nasbench101_cell.space)
    assert encoder.encode(every_nasbench101_cell).shape == (423_624, encoder.dim)
    few, many = every_nasbench101_cell[:10], every_nasbench101_cell[:8000]
    assert torch_calls(lambda: encoder(many)) < torch_calls(lambda: encoder(few)) + 10


@pytest.mark.slow
def test_two_thousand_nasbench101_cells(every_nasbench101_cell):
    graphs = every_nasbench101_cell[np.random.default_rng(0).choice(423_624, 2000, replace=False)]
    encoder = PathEncoder(graphs.space)
    order = numbered_paths(graphs.space, encoder)
    bits = encoder.encode(graphs)
    for row in range(2000):
        assert {order[i] for i in np.flatnonzero(bits[row])} == cell_paths(graphs, row, simplify=False)
