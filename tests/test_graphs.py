"""ArchGraphs: indexing, joining, views."""

import networkx as nx
import numpy as np
import pytest
import torch

from archenc.errors import InvalidParameter
from archenc.graphs import concatenate
from tests.bad_input import assert_one_sentence
from tests.spaces.examples import SPACES

INDICES = {
    "int": (3, [3]),
    "numpy int": (np.int64(3), [3]),
    "from the end": (-1, [9]),
    "slice": (slice(2, 9, 3), [2, 5, 8]),
    "reversed by positions": (list(range(9, -1, -1)), list(range(9, -1, -1))),
    "array with repeats": (np.array([4, 4, 0]), [4, 4, 0]),
    "tensor": (torch.tensor([1, 7]), [1, 7]),
    "bool mask": (np.arange(10) % 4 == 1, [1, 5, 9]),
    "tensor mask": (torch.arange(10) > 7, [8, 9]),
    "empty list": ([], []),
    "empty mask": (np.zeros(10, dtype=bool), []),
}


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "two inputs", "parallel"])
@pytest.mark.parametrize("kind", INDICES)
def test_indexing(name, kind):
    space = SPACES[name]
    graphs = space.sample(10, 0)
    index, positions = INDICES[kind]
    picked = graphs[index]
    assert len(picked) == len(positions)
    texts = space.format(graphs)
    assert space.format(picked) == [texts[position] for position in positions]


@pytest.mark.parametrize("index", [10, -11, np.ones(9, dtype=bool)])
def test_indices_out_of_range(index):
    with pytest.raises(IndexError):
        SPACES["nodes"].sample(10)[index]


@pytest.mark.parametrize("name", SPACES)
def test_concatenate(name):
    space = SPACES[name]
    graphs = space.sample(10, 0)
    joined = concatenate([graphs[:4], graphs[4:4], graphs[4:]])
    assert space.format(joined) == space.format(graphs)


def test_concatenate_what_does_not_fit():
    edges, nodes = SPACES["nasbench201"].sample(2), SPACES["nasbench101"].sample(2)
    for batches in ([], [edges, nodes], [edges, SPACES["nasbench201"].node_form(edges)]):
        with pytest.raises(InvalidParameter) as caught:
            concatenate(batches)
        assert_one_sentence(caught.value)


def test_what_it_says_of_itself():
    graphs = SPACES["two inputs"].sample(3)
    assert repr(graphs) == "ArchGraphs(two inputs: 3 architectures, 2 cells each, 6 nodes, ops on nodes)"
    assert (graphs.op_on, graphs.num_nodes, graphs.num_ops) == ("node", 6, 6)
    edges = SPACES["parallel"].sample(3)
    assert (edges.op_on, edges.num_ops, edges.edge_ops().shape) == ("edge", 3, (6, 2, 5, 5))
    assert SPACES["edges"].sample(3).edge_ops().shape == (3, 1, 5, 5)
    with pytest.raises(InvalidParameter, match="on nodes"):
        graphs.edge_ops()


def test_every_id_is_below_num_ops():
    for name, space in SPACES.items():
        for graphs in (space.sample(200, 0), space.node_form(space.sample(200, 0))):
            vocabulary = space.node_vocabulary if graphs.op_on == "node" else space.edge_vocabulary
            assert len(vocabulary) == graphs.num_ops, name
            assert int(graphs.ops.max()) < graphs.num_ops, name


def test_transitive_closure():
    graphs = SPACES["nodes"].sample(20, 0)
    for index, closure in enumerate(graphs.transitive_closure().numpy()):
        graph = nx.from_numpy_array(graphs.adjacency[index].numpy(), create_using=nx.DiGraph)
        assert (closure == nx.to_numpy_array(nx.transitive_closure(graph))).all()


def test_hash_is_the_spaces_own():
    graphs = SPACES["nasbench101"].sample(5)
    assert (graphs.hash() == SPACES["nasbench101"].hash(graphs)).all()


def test_networkx_with_operations_on_nodes():
    space = SPACES["nasbench101"]
    cell = {"adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}
    graph = space.parse([cell, cell]).to_networkx(1)
    assert dict(graph.nodes(data="op")) == {0: "input", 1: "maxpool3x3", 6: "output"}
    assert sorted(graph.edges) == [(0, 1), (0, 6), (1, 6)]
    assert not graph.is_multigraph()


def test_networkx_with_operations_on_edges():
    space = SPACES["parallel"]
    cells = [{"nodes": 3, "edges": [[0, 2, "a"], [0, 2, "b"]]}, {"nodes": 4, "edges": [[1, 2, "b"], [2, 3, "a"]]}]
    graph = space.parse([cells]).to_networkx()
    assert sorted(graph.edges(data="op")) == [(0, 4, "a"), (0, 4, "b"), (6, 7, "b"), (7, 9, "a")]
    assert dict(graph.nodes(data="role")) == {
        0: "input", 1: "input", 4: "output", 5: "input", 6: "input", 7: "interior", 9: "output",
    }  # fmt: skip
    assert dict(graph.nodes(data="cell")) == {0: 0, 1: 0, 4: 0, 5: 1, 6: 1, 7: 1, 9: 1}


def test_networkx_takes_one_architecture():
    from archenc.convert import to_networkx

    with pytest.raises(InvalidParameter, match="2 architectures") as caught:
        to_networkx(SPACES["nodes"].sample(2))
    assert_one_sentence(caught.value)
