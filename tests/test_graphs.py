"""ArchGraphs: indexing, joining, views, and the colour-refinement hash."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from archenc.dataset import ArchDataset
from archenc.errors import InvalidParameter
from archenc.graphs import concatenate
from archenc.graphs.hashing import hex_digests, wl_hash
from archenc.graphs.transforms import permute_nodes
from archenc.spaces.cell import CellSpace
from archenc.spaces.nasbench101 import NASBench101
from archenc.spaces.nasbench201 import NASBench201
from archenc.testing.assertions import equal
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES

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
    cells = [
        {"nodes": 3, "edges": [[0, 2, "a"], [0, 2, "b"]]},
        {"nodes": 4, "edges": [[1, 2, "b"], [2, 3, "a"]]},
    ]
    graph = space.parse([cells]).to_networkx()
    assert sorted(graph.edges(data="op")) == [(0, 4, "a"), (0, 4, "b"), (6, 7, "b"), (7, 9, "a")]
    assert dict(graph.nodes(data="role")) == {
        0: "input", 1: "input", 4: "output", 5: "input", 6: "input", 7: "interior", 9: "output",
    }  # fmt: skip
    assert dict(graph.nodes(data="cell")) == {0: 0, 1: 0, 4: 0, 5: 1, 6: 1, 7: 1, 9: 1}


def test_networkx_takes_one_architecture():
    from archenc.graphs.networkx import to_networkx

    with pytest.raises(InvalidParameter, match="2 architectures") as caught:
        to_networkx(SPACES["nodes"].sample(2))
    assert_one_sentence(caught.value)


# -- features of the operations ------------------------------------------------------------------------------


def described(name, n=10):
    """Graphs whose features say where each operation stands."""
    graphs = SPACES[name].sample(n, 0)
    return graphs.with_features(np.arange(graphs.ops.numel() * 2).reshape(*graphs.ops.shape, 2))


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "two inputs", "parallel"])
@pytest.mark.parametrize("kind", INDICES)
def test_features_are_indexed_with_their_architectures(name, kind):
    graphs = described(name)
    index, positions = INDICES[kind]
    by_architecture = graphs.features.reshape(10, graphs.space.cells, *graphs.features.shape[1:])
    assert torch.equal(graphs[index].features, by_architecture[positions].flatten(0, 1))


@pytest.mark.parametrize("name", SPACES)
def test_features_do_not_touch_what_an_architecture_is(name):
    graphs = described(name)
    plain = graphs.with_features(None)
    assert (graphs.num_features, plain.num_features, plain.features) == (2, 0, None)
    assert graphs.features.dtype == torch.float32
    assert (graphs.features[graphs.ops == 0] == 0).all(), "there is nothing to be known where no operation is"
    assert (graphs.hash() == plain.hash()).all()
    assert graphs.space.format(graphs) == graphs.space.format(plain)
    assert equal(graphs, plain)
    assert torch.equal(graphs.to("cpu").features, graphs.features)
    assert graphs.space.mutate(graphs, 0).features is None, "the mutants' operations are others"


def test_features_are_concatenated_and_all_or_none_have_them():
    graphs = described("parallel")
    assert torch.equal(concatenate([graphs[:4], graphs[4:4], graphs[4:]]).features, graphs.features)
    for other in (graphs.with_features(None), graphs.with_features(graphs.features[..., :1])):
        with pytest.raises(InvalidParameter, match="features") as caught:
            concatenate([graphs, other])
        assert_one_sentence(caught.value)


def test_features_may_be_missing_where_there_is_no_operation():
    graphs = SPACES["nodes"].sample(30, 0)
    features = torch.ones(*graphs.ops.shape, 1)
    features[~graphs.mask] = torch.nan
    assert not graphs.mask.all()
    assert torch.equal(graphs.with_features(features).features[..., 0], graphs.mask.float())


@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 0), (2, 7, 4), (3, 6, 4), (3, 7, 7, 4), ()])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(InvalidParameter, match="features") as caught:
        SPACES["nasbench101"].sample(3).with_features(np.ones(shape))
    assert_one_sentence(caught.value)


def test_features_that_are_no_numbers_are_refused():
    graphs = SPACES["nasbench201"].sample(3)
    features = np.ones((3, 4, 4, 2))
    features[1, 0, 2, 1] = np.inf
    with pytest.raises(InvalidParameter, match="finite") as caught:
        graphs.with_features(features)
    assert_one_sentence(caught.value)


def test_networkx_carries_features_beside_the_operations():
    nodes = described("nasbench101").to_networkx(1)
    assert nodes.nodes[0]["features"] == [14.0, 15.0]
    edges = described("nasbench201").to_networkx(1)
    assert next(edge["features"] for _, _, edge in edges.edges(data=True)) == [34.0, 35.0], "0 -> 1"
    assert "features" not in SPACES["nasbench101"].sample(1).to_networkx().nodes[0]


# -- indices by numpy's rules, or none -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench201", "two inputs"])
@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (np.array([2, 0, 1], dtype=np.uint8), [2, 0, 1]),
        (torch.tensor([2, 0, 1], dtype=torch.uint8), [2, 0, 1]),
        (np.array([2, -1], dtype=np.int16), [2, 2]),
        (torch.tensor(2), [2]),
        (np.array(1), [1]),
        (np.uint64(2), [2]),
        (torch.tensor([-1, 0]), [2, 0]),
        ([True, False, True], [0, 2]),
        (torch.tensor([False, True, False]), [1]),
        (np.array([], dtype=float), []),
        (range(2), [0, 1]),
        ((np.array([1], dtype=np.uint8), ...), [1]),
        (slice(None, None, -1), [2, 1, 0]),
    ],
)
def test_indices_mean_what_they_mean_to_numpy(name, index, rows):
    space = SPACES[name]
    graphs, y = space.sample(3, 0), np.arange(3.0)
    texts = space.format(graphs)
    assert space.format(graphs[index]) == [texts[row] for row in rows]
    part = ArchDataset("own", graphs, {"y": y}, "y")[index]
    assert part.y.tolist() == rows
    assert space.format(part.graphs) == [texts[row] for row in rows]


NO_INDICES = [
    *(
        None,
        ...,
        1.0,
        "1",
        b"1",
        True,
        np.True_,
        [1.0],
        ["a"],
        [None],
        [[0, 1]],
        [True, False],
        [0, [1]],
        (0, 1),
        (),
        {0: 1},
        {1},
        object(),
    ),
    *(
        np.array([[0], [1]]),
        np.array([0.0, 1.0]),
        torch.tensor([[0, 1]]),
        torch.tensor([0.5]),
        torch.tensor([True, False]),
        np.zeros((0, 2)),
    ),
    *(
        3,
        -4,
        [0, 3],
        [-4],
        np.array([3], dtype=np.uint8),
        torch.tensor([3]),
        torch.tensor([0, -4]),
        10**400,
        [10**400],
        slice("a", None),
        slice(None, None, "a"),
        slice(None, None, 0),
    ),
]


@pytest.mark.parametrize("name", ["nasbench201", "two inputs"])
@pytest.mark.parametrize("index", NO_INDICES)
def test_what_is_no_index_is_refused_in_a_sentence(name, index):
    graphs = SPACES[name].sample(3, 0)
    for batch in (graphs, ArchDataset("own", graphs, {"y": np.arange(3.0)}, "y")):
        with pytest.raises(IndexError) as caught:
            batch[index]
        assert_one_sentence(caught.value)


def test_iterating_ends():
    assert [len(one) for one in SPACES["two inputs"].sample(3, 0)] == [1, 1, 1]


def test_a_batch_of_the_training_loop_is_taken_without_detours(monkeypatch):
    graphs = SPACES["two inputs"].sample(6, 0)
    monkeypatch.setattr(
        "archenc.graphs.positions", lambda *_: pytest.fail("an int64 tensor needs no reading")
    )
    assert len(graphs[torch.tensor([5, 0, 3])]) == 3


@pytest.mark.parametrize(
    "features",
    ["x", np.array(["x"]), [[1.0], [1.0, 2.0]], np.ma.masked_array([1.0], mask=[True]), {}, object()],
)
def test_features_of_anything_else(features):
    graphs = SPACES["nodes"].sample(2, 0)
    with pytest.raises(InvalidParameter) as caught:
        graphs.with_features(features)
    assert_one_sentence(caught.value)


# -- the colour-refinement hash ------------------------------------------------------------------------------


def classes(digests):
    return np.unique(digests, axis=0, return_inverse=True)[1].ravel()


def test_partition_is_that_of_the_official_hash():
    space = NASBench101()
    graphs = space.sample(4000, 0)
    graphs = concatenate([graphs, space.mutate(graphs, 0), space.mutate(graphs, 1)])
    official, own = classes(space.hash(graphs)), classes(wl_hash(graphs))
    assert official.max() + 1 < len(graphs), "there are equal cells to be found"
    assert len(np.unique(np.stack([official, own]), axis=1).T) == official.max() + 1 == own.max() + 1


def test_batch_and_order_do_not_matter():
    graphs = NASBench101().sample(50, 0)
    whole = wl_hash(graphs)
    assert (np.concatenate([wl_hash(graphs[index]) for index in range(50)]) == whole).all()
    assert (wl_hash(graphs[np.arange(49, -1, -1)]) == whole[::-1]).all()


@pytest.mark.parametrize("op_on", ["node", "edge"])
def test_inputs_are_not_exchangeable_and_interior_nodes_are(op_on):
    space = CellSpace("two", ["a", "b"], op_on=op_on, max_nodes=5, num_inputs=2)
    if op_on == "node":
        a = {
            "adjacency": [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0] * 5],
            "ops": ["input", "input", "a", "b", "output"],
        }
    else:
        a = {"edges": [[0, 2, "a"], [1, 3, "b"], [2, 4, "a"], [3, 4, "b"]]}
    graphs = space.parse([a])
    swapped_inside = permute_nodes(graphs, torch.tensor([[0, 1, 3, 2, 4]]))
    swapped_inputs = permute_nodes(graphs, torch.tensor([[1, 0, 2, 3, 4]]))
    assert (wl_hash(swapped_inside) == wl_hash(graphs)).all()
    assert (wl_hash(swapped_inputs) != wl_hash(graphs)).any()


def test_order_of_cells_matters():
    space = CellSpace("pair", ["a", "b"], max_nodes=3, topology=[(0, 1), (1, 2)], cells=2)
    digests = wl_hash(space.from_ops([[0, 1], [1, 0], [0, 0], [0, 1]]))
    assert classes(digests)[0] == classes(digests)[3]
    assert len(np.unique(digests, axis=0)) == 3


def test_parallel_edges_are_a_multiset():
    space = CellSpace("parallel", ["a", "b"], op_on="edge", max_nodes=2, edges_per_pair=2)
    digests = wl_hash(
        space.parse([{"edges": [[0, 1, op] for op in ops]} for ops in ("a", "b", "aa", "ab", "ba", "bb")])
    )
    assert classes(digests)[3] == classes(digests)[4]
    assert len(np.unique(digests, axis=0)) == 5


def test_none_edges_are_absent_edges():
    space = CellSpace("zeros", ["zero", "a"], op_on="edge", max_nodes=3, none_op="zero")
    digests = wl_hash(
        space.parse(
            [
                {"edges": [[0, 1, "a"], [1, 2, "a"]]},
                {"edges": [[0, 1, "a"], [1, 2, "a"], [0, 2, "zero"]]},
                {"edges": [[0, 1, "a"], [1, 2, "a"], [0, 2, "a"]]},
            ]
        )
    )
    assert (digests[0] == digests[1]).all()
    assert (digests[0] != digests[2]).any()


def test_hex_digests():
    assert hex_digests(np.array([[0, 1, 255, *[16] * 13]], dtype=np.uint8)) == ["0001ff" + "10" * 13]


def test_hashes_are_stable():
    """Stored hashes must mean the same tomorrow."""
    space = NASBench101()
    cell = {"adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}
    assert hex_digests(wl_hash(space.parse(cell))) == ["7a5969ae17a9aa9a990d86084f8c1425"]
    edges = NASBench201().parse([0, 1, 2, 3, 4, 0])
    assert hex_digests(wl_hash(edges)) == ["38fab8d86360067954b107bfe2507bc0"]
