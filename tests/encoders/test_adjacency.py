import numpy as np
import pytest

from archenc import CellSpace
from archenc.encoders.adjacency import AdjacencyEncoder
from archenc.encoders.operations import OpCountEncoder, OpOneHotEncoder
from archenc.errors import InvalidParameter


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
