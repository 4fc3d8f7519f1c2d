"""Fixed encodings: adjacency matrices and counts, paths, Weisfeiler-Lehman labels."""

import os
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc import CellSpace
from archenc.encoders.adjacency import AdjacencyEncoder
from archenc.encoders.operations import OpCountEncoder, OpOneHotEncoder
from archenc.encoders.path import PathEncoder, longest_path
from archenc.encoders.wl import WLEncoder, wl_labels
from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, transforms
from archenc.heads.gp import GaussianProcessHead
from archenc.losses import MSELoss
from tests.shared import torch_calls

# -- adjacency matrices, counts of operations ----------------------------------------------------------------


def read_cell(graphs, row, *, all_pairs):
    """Oracle: edge bits, operation numbers and number of live edges of one cell, read one by one."""
    space, nodes = graphs.space, graphs.num_nodes
    if space.op_on == "node":
        bits = [
            int(graphs.adjacency[row, i, j])
            for i in range(nodes)
            for j in range(max(i + 1, space.num_inputs), nodes)
        ]
        numbers = [max(0, int(graphs.ops[row, node]) - 2) for node in range(space.num_inputs, nodes - 1)]
        return (bits if all_pairs else []), numbers, sum(bits)
    edges = [(i, j) for j in range(space.num_inputs, nodes) for i in range(j)]
    if space.topology is not None:
        edges = [edge for edge in edges if edge in space.topology]
    numbers = [int(graphs.edge_ops()[row, s, i, j]) for i, j in edges for s in range(space.edges_per_pair)]
    none = space.operations.index(space.none_op) + 1 if space.none_op else 0
    return [], numbers, sum(number not in (0, none) for number in numbers)


@pytest.mark.parametrize("simplify", [False, True])
def test_every_kind_by_reading_one_by_one(space, simplify):
    graphs = space.sample(100, seed=1)
    encodings = {
        kind: AdjacencyEncoder(space, kind=kind, simplify=simplify)
        .encode(graphs)
        .reshape(100 * space.cells, -1)
        for kind in ("onehot", "categorical", "continuous")
    }
    read = space.simplify(graphs) if simplify else graphs
    free = space.topology is None or simplify
    states = range(0 if space.op_on == "edge" and free else 1, len(space.operations) + 1)
    for row in range(100 * space.cells):
        bits, numbers, count = read_cell(read, row, all_pairs=free)
        assert encodings["onehot"][row].tolist() == bits + [
            int(n == state) for n in numbers for state in states
        ]
        values = [np.float32(n) / np.float32(len(space.operations)) for n in numbers]
        assert encodings["continuous"][row].tolist() == pytest.approx([*bits, *values, count])
        indices = [position + 1 for position, bit in enumerate(bits) if bit]
        places = encodings["categorical"].shape[1] - len(numbers)
        assert encodings["categorical"][row].tolist() == indices + [0] * (places - len(indices)) + numbers


def test_sizes_of_the_benchmarks(spaces):
    sizes = {
        kind: [AdjacencyEncoder(spaces[n], kind=kind).dim for n in ("nasbench101", "nasbench201")]
        for kind in ("onehot", "categorical", "continuous")
    }
    assert sizes == {"onehot": [36, 30], "categorical": [14, 6], "continuous": [27, 7]}


def test_unknown_kind(spaces):
    with pytest.raises(InvalidParameter, match="categorical"):
        AdjacencyEncoder(spaces["nasbench201"], kind="binary")


def test_bypassed_skips_may_exceed_the_limit_on_edges():
    space = CellSpace("narrow", ["skip", "conv"], max_nodes=7, max_edges=10, skip_op="skip")
    adjacency = np.zeros((7, 7), dtype=int)
    for edge in [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (3, 4), (3, 5), (3, 6), (4, 6), (5, 6)]:
        adjacency[edge] = 1
    graphs = space.parse(
        {"adjacency": adjacency.tolist(), "ops": ["input", "conv", "conv", "skip", "conv", "conv", "output"]}
    )
    listed = AdjacencyEncoder(space, kind="categorical", simplify=True).encode(graphs)[0]
    assert (listed[:-5] > 0).sum() == 2 + 3 * 3 + 2


def test_counts(space):
    graphs = space.sample(50, seed=2)
    for simplify in (False, True):
        counts = OpCountEncoder(space, simplify=simplify).encode(graphs).reshape(50 * space.cells, -1)
        read = space.simplify(graphs) if simplify else graphs
        for row in range(len(counts)):
            _, numbers, _ = read_cell(read, row, all_pairs=True)
            assert counts[row].tolist() == [numbers.count(k + 1) for k in range(len(space.operations))]


def test_onehot_of_a_string(spaces):
    space = spaces["nasbench201"]
    graphs = space.parse(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    )
    chosen = OpOneHotEncoder(space).encode(graphs).reshape(6, 5).argmax(1)
    assert [space.operations[k] for k in chosen] == [
        "nor_conv_3x3",
        "none",
        "skip_connect",
        "avg_pool_3x3",
        "nor_conv_1x1",
        "nor_conv_3x3",
    ]
    with pytest.raises(InvalidParameter, match="adjacency"):
        OpOneHotEncoder(spaces["nasbench101"])


# -- paths ---------------------------------------------------------------------------------------------------


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


def test_sizes_of_the_benchmarks_paths(spaces):
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


# -- Weisfeiler-Lehman labels --------------------------------------------------------------------------------


def subtrees(graphs, row, iterations):
    """Oracle: how often each subtree of depth 0 to ``iterations`` occurs, as nested tuples of operation ids
    and sorted sources.
    """
    nodes = np.flatnonzero(graphs.mask[row]).tolist()
    sources = {v: [u for u in nodes if graphs.adjacency[row, u, v]] for v in nodes}

    def tree(v, depth):
        op = int(graphs.ops[row, v])
        return (
            op
            if depth == 0
            else (tree(v, depth - 1), tuple(sorted((tree(u, depth - 1) for u in sources[v]), key=repr)))
        )

    return Counter((depth, tree(v, depth)) for depth in range(iterations + 1) for v in nodes)


@pytest.mark.parametrize("iterations", [0, 1, 2, 3])
def test_products_are_the_subtree_kernel(space, iterations):
    """With columns enough that no labels collide, phi . phi' counts pairs of equal subtrees."""
    encoder = WLEncoder(space, iterations=iterations, buckets=2**20)
    graphs = encoder.prepare(space.sample(8, seed=1))
    histograms = encoder.encode_cells(graphs).numpy().astype(int)
    counts = [subtrees(graphs, row, iterations) for row in range(len(histograms))]
    for i, mine in enumerate(counts):
        for j, other in enumerate(counts):
            assert histograms[i] @ histograms[j] == sum(mine[tree] * other[tree] for tree in mine)


def test_encoding_is_a_histogram(space):
    encoder = WLEncoder(space, iterations=2, buckets=50)
    graphs = encoder.prepare(space.sample(30, seed=2))
    nodes = graphs.mask.sum(1).numpy()
    histograms = encoder.encode_cells(graphs).numpy()
    assert encoder.cell_dim == len(space.operations) + 2 + 50
    assert (histograms[:, :-50].sum(1) == nodes).all()
    assert (histograms[:, -50:].sum(1) == 2 * nodes).all()
    for op in range(1, len(space.operations) + 3):
        assert (histograms[:, op - 1] == (graphs.ops == op).sum(1).numpy()).all()


def test_isomorphic_architectures_are_equal_wl(space):
    encoder = WLEncoder(space, iterations=3, simplify=space.op_on == "edge")
    graphs = space.sample(200, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any(), "no architecture was relabelled, so the test shows nothing"
    assert (encoder.encode(twins) == encoder.encode(graphs)).all()


def test_edges_have_a_direction():
    space = CellSpace("chain", ["a", "b"], max_nodes=4)
    adjacency = np.eye(4, k=1, dtype=int).tolist()
    graphs = space.parse([{"adjacency": adjacency, "ops": ["input", *ops, "output"]} for ops in ("ab", "ba")])
    labels = wl_labels(graphs, 1)
    assert set(labels[0, 0]) == set(labels[0, 1])
    assert len(set(labels[1, 0]) & set(labels[1, 1])) == 1  # the input's


@pytest.mark.parametrize("parameters", [{"iterations": -1}, {"buckets": 0}])
def test_wrong_parameters_wl(spaces, parameters):
    with pytest.raises(InvalidParameter, match="WLEncoder got"):
        WLEncoder(spaces["nasbench201"], **parameters)


def test_linear_kernel_is_the_posterior_mean_of_normalised_products():
    rng = np.random.RandomState(0)
    z, y, z_new = (
        rng.poisson(1.0, (40, 12)).astype(np.float32),
        rng.randn(40),
        rng.poisson(1.0, (7, 12)).astype(np.float32),
    )
    z[:, 0] += 1
    z_new[0] = 0  # an encoding of norm 0 is not divided by it
    y = y + 2 * z[:, 1] - z[:, 2]
    head = GaussianProcessHead(kernel="linear", random_state=0).fit(z, y, MSELoss())
    c, v = np.exp(head.theta_)

    def unit(x):
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    gram = c * unit(z) @ unit(z).T + v * np.eye(40)
    expected = y.mean() + c * unit(z_new) @ unit(z).T @ np.linalg.solve(gram, y - y.mean())
    np.testing.assert_allclose(head.predict(z_new), expected, atol=1e-4)
    assert head.predict(3 * z_new) == pytest.approx(head.predict(z_new), abs=1e-4)
