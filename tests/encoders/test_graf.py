from itertools import combinations

import numpy as np
import pytest

import archenc
from archenc import CellSpace
from archenc.encoders.graf import GRAFEncoder, operation_subsets
from archenc.encoders.graf_plus import GRAFPlusEncoder
from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, transforms
from tests.shared import torch_calls


class Cell:
    """Oracle: one cell as lists of edges (source, target, operation), and all its paths by recursion.

    Where operations sit on nodes, an edge carries its target's operation, None for the output node.
    """

    def __init__(self, graphs, row):
        space = graphs.space
        self.inputs, self.last = space.num_inputs, graphs.num_nodes - 1
        self.nodes = np.flatnonzero(graphs.mask[row]).tolist()
        pairs = [(i, j) for i in self.nodes for j in self.nodes if graphs.adjacency[row, i, j]]
        self.op = {}
        if graphs.op_on == "edge":
            self.edges = [
                (i, j, space.operations[int(k) - EDGE_OFFSET])
                for i, j in pairs
                for k in graphs.edge_ops()[row, :, i, j]
                if k
            ]
        else:
            interior = [v for v in self.nodes if self.inputs <= v < self.last]
            self.op = {v: space.operations[int(graphs.ops[row, v]) - NODE_OFFSET] for v in interior}
            self.edges = [(i, j, self.op.get(j)) for i, j in pairs]

    def paths(self):
        """Each path as the list of its edges."""

        def onwards(node):
            if node == self.last:
                yield []
            for edge in self.edges:
                if edge[0] == node:
                    yield from ([edge, *rest] for rest in onwards(edge[1]))

        return [path for start in range(self.inputs) for path in onwards(start)]


def ops_on(path):
    return [op for _, _, op in path if op is not None]


def graf_of(cell, space, encoder):
    """Oracle: feature names to values, in the words of the docstring."""
    names = [space.operations[k] for k in encoder.operations]
    on_nodes = space.op_on == "node"
    placed = list(cell.op.values()) if on_nodes else [op for _, _, op in cell.edges]
    expected = {f"op_count({name})": placed.count(name) for name in names}
    if on_nodes:
        expected |= {"op_count(input)": space.num_inputs, "op_count(output)": 1}
    paths = cell.paths()
    for size in range(1, len(names) + 1):
        for subset in combinations(names, size):
            mine = [path for path in paths if set(ops_on(path)) <= set(subset)]
            of_source = [op if not on_nodes else cell.op.get(i) for i, _, op in cell.edges]
            into = [(j, op) for (_, j, _), op in zip(cell.edges, of_source, strict=True) if op in subset]
            out_of = [(i, op) for i, _, op in cell.edges if op in subset]
            expected |= {
                f"{feature}({', '.join(subset)})": value
                for feature, value in {
                    "min_path_len": min(map(len, mine), default=space.max_nodes + 1),
                    "max_op_on_path": max((len(ops_on(path)) for path in mine), default=-1),
                    "out_of_input": sum(i < space.num_inputs for i, _ in out_of),
                    "into_output": sum(j == cell.last for j, _ in into),
                    "mean_in": len(into) / len(cell.nodes),
                    "mean_out": len(out_of) / len(cell.nodes),
                }.items()
            }
    return expected


def graf_plus_of(cell, space, encoder):
    """Oracle: as :func:`graf_of`."""
    names = [space.operations[k] for k in encoder.operations]
    paths = cell.paths()
    edges = [(i, j) for i, j, _ in cell.edges]

    def entering(v):
        return [i for i, j in edges if j == v]

    def leaving(v):
        return [j for i, j in edges if i == v]

    def flow(v):
        return (
            1 / space.num_inputs
            if v < space.num_inputs
            else sum(flow(i) / len(leaving(i)) for i in entering(v))
        )

    def backflow(v):
        return 1 if v == cell.last else sum(backflow(j) / len(entering(j)) for j in leaving(v))

    expected = {
        "nodes": len(cell.nodes),
        "edges": len(edges),
        "edges(inputs)": sum(i < space.num_inputs for i, _ in edges),
        "edges(output)": len(entering(cell.last)),
        "log_paths": np.log(1 + len(paths)),
    }
    for name in names:
        own = [v for v, op in cell.op.items() if op == name]
        expected |= {
            f"{feature}({name})": value
            for feature, value in {
                "op_count": len(own),
                "out_of_input": sum(i < space.num_inputs for v in own for i in entering(v)),
                "into_output": sum(j == cell.last for v in own for j in leaving(v)),
                "in": sum(len(entering(v)) for v in own),
                "out": sum(len(leaving(v)) for v in own),
                "max_in": max((len(entering(v)) for v in own), default=0),
                "max_out": max((len(leaving(v)) for v in own), default=0),
                "mean_on_path": np.mean([ops_on(path).count(name) for path in paths]) if paths else 0,
                "flow": sum(flow(v) for v in own),
                "backflow": sum(backflow(v) for v in own),
            }.items()
        }
        for target in names:
            expected[f"edges({name} -> {target})"] = sum(
                cell.op.get(i) == name and cell.op.get(j) == target for i, j in edges
            )
    for size in range(1, len(names) + 1):
        for subset in combinations(names, size):
            mine, key = [path for path in paths if set(ops_on(path)) <= set(subset)], ", ".join(subset)
            expected[f"min_path_len({key})"] = min(map(len, mine), default=space.num_node_form_nodes + 1)
            expected[f"max_op_on_path({key})"] = max((len(ops_on(path)) for path in mine), default=-1)
            expected[f"most_on_path({key})"] = max(
                (sum(op in subset for op in ops_on(path)) for path in paths), default=0
            )
    return expected


ORACLES = {GRAFEncoder: graf_of, GRAFPlusEncoder: graf_plus_of}
both = pytest.mark.parametrize("encoder_class", list(ORACLES))


@both
@pytest.mark.parametrize("simplify", [False, True])
def test_features_are_those_found_by_walking(encoder_class, simplify, space):
    graphs = space.sample(10, seed=3)
    encoder = encoder_class(space, simplify=simplify)
    encodings = encoder.encode(graphs).reshape(-1, encoder.cell_dim)
    prepared = encoder.prepare(graphs)
    for row, found in enumerate(encodings[:10]):
        expected = ORACLES[encoder_class](Cell(prepared, row), space, encoder)
        if len(encoder.subsets) == 2 ** len(encoder.operations) - 1:
            assert set(encoder.feature_names) == set(expected)
        np.testing.assert_allclose(
            found, [expected[name] for name in encoder.feature_names], rtol=1e-5, atol=1e-6
        )


def test_published_sizes(spaces):
    assert GRAFEncoder(spaces["nasbench201"]).dim == 191
    assert GRAFEncoder(spaces["nasbench101"]).dim == 47
    assert GRAFEncoder(spaces["nasbench201"], simplify=True).dim == 94


def test_a_cell_by_hand(spaces):
    """The constants of the specification: 5 where no path avoids the set, -1 where none uses only the set."""
    space = spaces["nasbench201"]
    encoder = GRAFEncoder(space)
    cell = space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    values = dict(zip(encoder.feature_names, encoder.encode(cell)[0].tolist(), strict=True))
    assert values["op_count(none)"] == 3
    assert values["min_path_len(none)"] == values["max_op_on_path(none)"] == 1
    assert values["min_path_len(nor_conv_3x3)"] == 5
    assert values["max_op_on_path(nor_conv_3x3)"] == -1
    assert values["min_path_len(skip_connect, nor_conv_1x1, nor_conv_3x3)"] == 3
    assert values["out_of_input(none)"] == values["into_output(none)"] == 2
    assert values["mean_in(none)"] == values["mean_out(none)"] == 0.75


@both
def test_isomorphic_architectures_are_equal(encoder_class, space):
    encoder = encoder_class(space, simplify=space.op_on == "edge")
    graphs = space.sample(200, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any(), "no architecture was relabelled, so the test shows nothing"
    np.testing.assert_allclose(encoder.encode(twins), encoder.encode(graphs), rtol=1e-5, atol=1e-6)


def test_subsets_stay_few():
    assert [len(operation_subsets(range(k))) for k in range(1, 12)] == [
        1,
        3,
        7,
        15,
        31,
        63,
        127,
        93,
        46,
        56,
        67,
    ]
    assert operation_subsets([1, 2, 4], max_subset=1) == [(1,), (2,), (4,), (1, 2, 4)]
    assert len(operation_subsets(range(9), max_subset=20)) == 511


@both
def test_wrong_parameters(encoder_class, spaces):
    with pytest.raises(InvalidParameter, match="at least 1"):
        encoder_class(spaces["nasbench201"], max_subset=0)


@both
def test_deep_cells_do_not_overflow(encoder_class):
    """A full graph of 150 nodes has 2^148 paths."""
    space = CellSpace("deep", ["a", "b"], max_nodes=150)
    dense = {
        "adjacency": np.triu(np.ones((150, 150), dtype=int), 1).tolist(),
        "ops": ["input", *["a", "b"] * 74, "output"],
    }
    encoder = encoder_class(space)
    values = dict(zip(encoder.feature_names, encoder.encode(space.parse(dense))[0].tolist(), strict=True))
    assert values["min_path_len(a)"] == 1
    assert values["max_op_on_path(a, b)"] == 148
    assert values.get("log_paths", 148 * np.log(2)) == pytest.approx(148 * np.log(2), rel=1e-4)
    assert values.get("mean_on_path(a)", 37) == pytest.approx(37, rel=1e-4)


@both
def test_every_nasbench101_cell(encoder_class, data_root):
    if not (data_root / "nasbench101" / "space.npz").is_file():
        pytest.skip("the table of all NAS-Bench-101 cells is not there")
    graphs = archenc.load_dataset("nasbench101-space").graphs
    encoder = encoder_class(graphs.space)
    assert encoder.encode(graphs).shape == (423_624, encoder.dim)


@both
def test_the_number_of_cells_does_not_decide_the_number_of_operations(encoder_class, spaces):
    graphs = spaces["nasbench201"].enumerate()
    for simplify in (False, True):
        encoder = encoder_class(graphs.space, simplify=simplify)
        assert encoder.encode(graphs).shape == (15_625, encoder.dim)
        assert torch_calls(lambda: encoder(graphs)) < torch_calls(lambda: encoder(graphs[:10])) + 10  # noqa: B023
