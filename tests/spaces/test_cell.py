"""CellSpace: definition, notations, enumeration, validation."""

import itertools
import json

import networkx as nx
import numpy as np
import pytest
import torch
from networkx.algorithms.isomorphism import categorical_multiedge_match, categorical_node_match

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.spaces.cell import CellSpace
from tests.bad_input import assert_one_sentence
from tests.shared import DIAMOND, SPACES

TINY = {"operations": ["a", "b"], "max_nodes": 4}


def test_output_moves_to_the_last_position():
    space = CellSpace("mine", ["a", "b"], max_nodes=5)
    graphs = space.parse({"adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "b", "output"]})
    assert graphs.ops.tolist() == [[1, 4, 0, 0, 2]]
    assert graphs.mask.tolist() == [[True, True, False, False, True]]
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [0, 4], [1, 4]]


def test_any_node_order_is_read():
    space = CellSpace("mine", ["a", "b"], max_nodes=5)
    # output, b, input, a: input -> a -> b -> output, input -> output
    shuffled = {
        "adjacency": [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0]],
        "ops": ["output", "b", "input", "a"],
    }
    assert json.loads(space.format(space.parse(shuffled))[0]) == {
        "adjacency": [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
        "ops": ["input", "a", "b", "output"],
    }


def test_what_lies_on_no_path_is_cut():
    space = CellSpace("mine", ["a", "b"], max_nodes=4)
    dangling = {
        "adjacency": [[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]],
        "ops": ["input", "a", "b", "a", "output"],  # the first a leads nowhere, the second comes from nowhere
    }
    assert json.loads(space.format(space.parse(dangling))[0]) == {
        "adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]],
        "ops": ["input", "b", "output"],
    }


def test_edge_notation():
    space = CellSpace("mine", ["a", "b"], op_on="edge", max_nodes=4, edges_per_pair=2)
    graphs = space.parse({"nodes": 3, "edges": [[0, 1, "a"], [1, 2, "a"], [1, 2, "b"]]})
    assert graphs.edge_ops().nonzero().tolist() == [[0, 0, 0, 1], [0, 0, 1, 3], [0, 1, 1, 3]]
    assert graphs.edge_ops()[0, :, 1, 3].tolist() == [2, 1], "parallel edges are sorted by operation"
    assert torch.equal(
        graphs.ops, space.parse({"nodes": 3, "edges": [[1, 2, "b"], [1, 2, 0], [0, 1, 0]]}).ops
    )
    four = space.parse(
        {"edges": [[0, 2, "a"], [2, 1, "b"], [1, 3, "a"]]}
    )  # nodes left out: four; 2 comes before 1
    assert four.adjacency[0].nonzero().tolist() == [[0, 1], [1, 2], [2, 3]]


def test_fixed_topology_notations():
    space = SPACES["diamond"]
    one = [["a", "b"], ["zero", "a"]]
    for form in (
        one,
        json.dumps(one),
        [[0, 1], [2, 0]],
        np.array([[0, 1], [2, 0]])[None],
        np.array([[0, 1, 2, 0]]),
    ):
        assert space.to_ops(space.parse(form)).tolist() == [[0, 1, 2, 0]]
    assert len(space.parse([one, one, one])) == 3
    adjacency = np.zeros((4, 4), int)
    for i, j in DIAMOND:
        adjacency[i, j] = 1
    as_dicts = [{"adjacency": adjacency.tolist(), "ops": ["input", *ops, "output"]} for ops in one]
    assert space.to_ops(space.parse(as_dicts)).tolist() == [[0, 1, 2, 0]]
    chain = SPACES["chain"]
    assert len(chain.parse(["id", "k3", "k5"])) == 1
    assert len(chain.parse([["id", "k3", "k5"]] * 4)) == 4


def test_empty_batches():
    for name, space in SPACES.items():
        assert len(space.parse([])) == 0, name
        assert space.format(space.parse([])) == [], name
        assert len(space.mutate(space.parse([]))) == 0, name
        assert space.hash(space.parse([])).shape == (0, 16), name


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (SPACES["chain"], 27),
        (SPACES["diamond"], 81),
        (SPACES["fixed parallel"], 36),  # two pairs of edges, each one of 6 multisets
        (CellSpace("s", ["a", "b", "c"], max_nodes=5, max_edges=9), 1 + 6 + 84 + 2441),
        (CellSpace("s", ["a"], max_nodes=3), 3),
        (CellSpace("s", ["a", "b"], op_on="edge", max_nodes=2, edges_per_pair=2), 5),
        (CellSpace("s", ["a", "b"], op_on="edge", max_nodes=2, edges_per_pair=2, cells=2), 25),
    ],
)
def test_enumerate_counts(space, count):
    graphs = space.validate(space.enumerate())
    assert len(graphs) == count
    assert len(np.unique(space.hash(graphs), axis=0)) == count or space.topology is not None
    assert len(set(space.format(graphs))) == count


def _as_networkx(graphs, index):
    graph = graphs.to_networkx(index)
    for _, data in graph.nodes(data=True):
        data.setdefault("op", data.get("role"))
    return graph


@pytest.mark.parametrize(
    "space",
    [
        CellSpace("s", ["a", "b"], max_nodes=4),
        CellSpace("s", ["a", "b"], max_nodes=4, num_inputs=2, max_edges=4),
        CellSpace("s", ["a", "b"], op_on="edge", max_nodes=3, edges_per_pair=2),
    ],
    ids=["nodes", "two inputs", "edges"],
)
def test_enumeration_holds_each_isomorphism_class_once(space):
    """Against networkx: no two are isomorphic, and everything sampled is isomorphic to one of them."""
    everything = space.enumerate()
    nodes, edges = categorical_node_match("op", None), categorical_multiedge_match("op", None)

    def isomorphic(a, b):
        for graph in (a, b):
            for node in range(space.num_inputs):
                graph.nodes[node]["op"] = f"input {node}"
        if space.op_on == "node":
            return nx.is_isomorphic(a, b, node_match=nodes)
        return nx.is_isomorphic(a, b, node_match=nodes, edge_match=edges)

    graphs = [_as_networkx(everything, index) for index in range(len(everything))]
    signature = [(len(g), g.number_of_edges()) for g in graphs]
    for a, b in itertools.combinations(range(len(graphs)), 2):
        if signature[a] == signature[b]:
            assert not isomorphic(graphs[a], graphs[b]), (a, b)
    position = {digest.tobytes(): index for index, digest in enumerate(space.hash(everything))}
    sample = space.sample(60, 0)
    for index, digest in enumerate(space.hash(sample)):
        assert isomorphic(_as_networkx(sample, index), graphs[position[digest.tobytes()]])


def test_too_large_to_enumerate():
    complete = [(i, j) for j in range(9) for i in range(j)]
    for space in (
        CellSpace("few edges", ["a", "b"], op_on="edge", max_nodes=7),
        CellSpace("many wirings", ["a", "b"], max_nodes=9),
        CellSpace("many operations", list("abcdefghijklm"), max_nodes=6),
        CellSpace("fixed", ["a", "b"], op_on="edge", max_nodes=9, topology=complete),
        CellSpace("two cells", ["a", "b"], max_nodes=5, cells=3),
    ):
        with pytest.raises(InvalidParameter, match="enumeration stops at 2,000,000") as caught:
            space.enumerate()
        assert_one_sentence(caught.value)


def test_nothing_to_mutate():
    space = CellSpace("s", ["only"], max_nodes=3, topology=[(0, 1), (1, 2)])
    with pytest.raises(InvalidParameter, match="no valid architecture") as caught:
        space.mutate(space.sample(1))
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"operations": []}, "operations"),
        ({"operations": ["a", 3]}, "operations"),
        ({"operations": ["a", "a"]}, "'a' twice"),
        ({"operations": ["a", "output"]}, "'input' or 'output'"),
        ({"operations": [f"op{k}" for k in range(300)]}, "300 operations"),
        ({"op_on": "vertex"}, "op_on"),
        ({"none_op": "zero"}, "none_op 'zero'"),
        ({"skip_op": "id"}, "skip_op 'id'"),
        ({"max_nodes": 1}, "max_nodes is 1"),
        ({"max_nodes": 2.5}, "max_nodes is 2.5"),
        ({"max_nodes": 3, "num_inputs": 3}, "leave room"),
        ({"max_edges": 0}, "max_edges is 0"),
        ({"num_inputs": 0}, "num_inputs is 0"),
        ({"cells": 0}, "cells is 0"),
        ({"cells": True}, "cells is True"),
        ({"edges_per_pair": 2}, "op_on='edge'"),
        ({"topology": [(0, 1), (1, 2), (2, 1), (2, 3)]}, "2 -> 1"),
        ({"topology": [(0, 4)]}, r"\[0, 4\]"),
        ({"topology": [(0, 1, 2)]}, r"\[0, 1, 2\]"),
        ({"topology": [5]}, "no edge"),
        ({"topology": [(0, 3), (0, 3)]}, "twice"),
        ({"topology": [(0, 1), (1, 3)]}, "node 2"),
        ({"topology": []}, "node"),
        ({"topology": [(0, 1), (1, 2), (2, 3)], "max_edges": 2}, "max_edges is 2"),
        ({"topology": [(0, 1), (1, 2), (2, 3)], "num_inputs": 2}, "into an input"),
    ],
)
def test_definitions_that_make_no_sense(parameters, message):
    with pytest.raises(InvalidParameter, match=message) as caught:
        CellSpace("mine", **{**TINY, **parameters})
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("n", [-1, 2.5, "many"])
def test_sample_of_nonsense(n):
    with pytest.raises(InvalidParameter) as caught:
        SPACES["nodes"].sample(n)
    assert_one_sentence(caught.value)


def test_validate_finds_the_first_wrong_cell():
    space = SPACES["two inputs"]
    graphs = space.sample(4, 0)
    graphs.adjacency[5] = 0  # the second cell of the third architecture
    with pytest.raises(InvalidArchitecture, match=r"^architecture 2, cell 1: ") as caught:
        space.validate(graphs)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("part", ["adjacency", "ops", "mask"])
def test_validate_notices_any_change_that_no_other_architecture_explains(name, part):
    """Every single entry of the arrays, set to what the conventions forbid, is a fault."""
    space = SPACES[name]
    graphs = space.sample(1, 0)
    array = getattr(graphs, part)
    for index in range(array.numel()):
        broken = space.sample(1, 0)
        flat = getattr(broken, part).view(-1)
        if part == "mask":
            flat[index] = ~flat[index]
        else:
            flat[index] = 255
        if part == "mask" and space.op_on == "edge" and not space.is_valid(graphs).all():
            continue
        with pytest.raises(InvalidArchitecture) as caught:
            space.validate(broken)
        assert_one_sentence(caught.value)


def test_foreign_graphs_are_refused():
    graphs = SPACES["nasbench201"].sample(2)
    for call in (SPACES["edges"].validate, SPACES["edges"].format, SPACES["edges"].mutate):
        with pytest.raises(InvalidArchitecture, match="belong to the space 'nasbench201'") as caught:
            call(graphs)
        assert_one_sentence(caught.value)
    for other in (SPACES["nasbench201"].simplify(graphs), SPACES["nasbench201"].node_form(graphs)):
        with pytest.raises(InvalidArchitecture, match="another form") as caught:
            SPACES["nasbench201"].format(other)
        assert_one_sentence(caught.value)


def test_operation_numbers_only_with_a_fixed_topology():
    for call in (
        lambda: SPACES["nodes"].from_ops([[0, 1]]),
        lambda: SPACES["nodes"].to_ops(SPACES["nodes"].sample(1)),
    ):
        with pytest.raises(InvalidParameter, match="topology of 'nodes' is free") as caught:
            call()
        assert_one_sentence(caught.value)
    for bad in (
        [0, 1, 2],
        [[0, 1]],
        [[0, 1, 3]],
        [[0, 1, -1]],
        [[0.5, 1, 1]],
        [["id", "k3", "k5"]],
        [[0, 1, 2], [0]],
    ):
        with pytest.raises(InvalidArchitecture) as wrong:
            SPACES["chain"].from_ops(bad)
        assert_one_sentence(wrong.value)


def test_sampling_is_uniform_over_operations():
    space = SPACES["chain"]
    counts = np.bincount(space.to_ops(space.sample(3000, 0)).ravel(), minlength=3)
    assert (abs(counts - 3000) < 200).all()


def test_sparse_spaces_can_be_sampled():
    """max_edges far below half of all pairs: drawing ends."""
    space = CellSpace("sparse", ["a"], max_nodes=16, max_edges=14)
    graphs = space.validate(space.sample(50, 0))
    assert int(graphs.adjacency.sum((1, 2)).max()) <= 14


@pytest.mark.parametrize("seed", range(30))
def test_nodes_are_read_in_any_order(seed):
    """The lowest of the nodes that could come next does, inputs first, and what is on no path is cut."""
    rng = np.random.default_rng(seed)
    space = CellSpace("mine", ["a", "b"], max_nodes=9, num_inputs=2)
    written = rng.permutation(9)
    matrix = np.triu(rng.random((9, 9)) < 0.4, 1).astype(int)
    matrix[0, 2] = matrix[1, 2] = matrix[2, 8] = 1
    matrix[:, 1] = 0
    matrix = matrix[np.ix_(written, written)]
    names = [["input", "input", *rng.choice(["a", "b"], 6), "output"][node] for node in written]
    graph = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
    inputs, output = [node for node in range(9) if names[node] == "input"], names.index("output")
    ahead = set(inputs).union(*(nx.descendants(graph, node) for node in inputs))
    used = ahead & (nx.ancestors(graph, output) | {output})
    order = nx.lexicographical_topological_sort(graph, key=lambda node: (node not in inputs, node))
    order = [*inputs, *(node for node in order if node in used and node not in (*inputs, output)), output]
    texts = space.format(space.parse({"adjacency": matrix.tolist(), "ops": [str(name) for name in names]}))
    assert json.loads(texts[0]) == {
        "adjacency": matrix[np.ix_(order, order)].tolist(),
        "ops": [names[node] for node in order],
    }


def test_cells_of_all_sizes_are_read_and_written_together():
    space = CellSpace("mine", ["a", "b"], max_nodes=6)
    graphs = space.sample(200, seed=0)
    texts = space.format(graphs)
    assert len(graphs.mask.sum(1).unique()) > 3
    for row in range(0, 200, 7):
        nodes = graphs.mask[row].nonzero()[:, 0]
        assert json.loads(texts[row]) == {
            "adjacency": graphs.adjacency[row][nodes][:, nodes].tolist(),
            "ops": [space.node_vocabulary[k] for k in graphs.ops[row, nodes]],
        }
    again = space.parse(texts)
    assert torch.equal(again.adjacency, graphs.adjacency)
    assert torch.equal(again.ops, graphs.ops)
