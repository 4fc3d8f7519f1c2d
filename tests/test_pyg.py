"""PyTorch Geometric views give the same architectures as the dense store."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from archenc.dataset import ArchDataset
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.pyg import ArchInMemoryDataset, from_batch, loader, to_batch, to_data_list
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES

each_space = pytest.mark.parametrize("name", SPACES)


def dataset(name, n=23):
    space = SPACES[name]
    return ArchDataset("mine", space.sample(n, 0), {"score": np.arange(n) / 2}, "score")


def same(a, b):
    return torch.equal(a.adjacency, b.adjacency) and torch.equal(a.ops, b.ops) and torch.equal(a.mask, b.mask)


def same_data(a, b):
    assert set(a.keys()) == set(b.keys())
    for key in a.keys():  # noqa: SIM118 (iterating over a Data object gives pairs)
        assert torch.equal(a[key], b[key]), key


@each_space
def test_one_data_object_says_what_the_arrays_say(name):
    graphs = SPACES[name].sample(12, 1)
    for index, data in enumerate(to_data_list(graphs)):
        graph = graphs.to_networkx(index)
        nodes = {node: number for number, node in enumerate(graph.nodes)}
        ends = sorted((nodes[i], nodes[j]) for i, j in graph.edges())
        assert sorted(map(tuple, data.edge_index.T.tolist())) == ends
        assert data.num_nodes == len(graph)
        if graphs.op_on == "node":
            assert [graphs.space.node_vocabulary[k] for k in data.x[:, 0].tolist()] == [
                op for _, op in graph.nodes(data="op")
            ]
        else:
            ops = sorted((nodes[i], nodes[j], op) for i, j, op in graph.edges(data="op"))
            seen = [graphs.space.edge_vocabulary[k] for k in data.edge_attr[:, 0].tolist()]
            assert (
                sorted(
                    (*ends, op) for ends, op in zip(map(tuple, data.edge_index.T.tolist()), seen, strict=True)
                )
                == ops
            )
            roles = {"input": 1, "output": 2, "interior": 3}
            assert data.x[:, 0].tolist() == [roles[role] for _, role in graph.nodes(data="role")]
        if graphs.space.cells > 1:
            assert data.cell.tolist() == [cell for _, cell in graph.nodes(data="cell")]


@each_space
def test_batch_is_what_pyg_would_make(name):
    data = dataset(name)
    fast, slow = to_batch(data.graphs, data.y), Batch.from_data_list(to_data_list(data.graphs, data.y))
    same_data(fast, slow)
    assert fast.num_graphs == slow.num_graphs == len(data)
    for a, b in zip(fast.to_data_list(), slow.to_data_list(), strict=True):
        same_data(a, b)
    same_data(fast[5], slow[5])


@each_space
def test_there_and_back(name):
    graphs = SPACES[name].sample(23, 2)
    assert same(from_batch(graphs.space, to_batch(graphs)), graphs)
    nodes = graphs.space.node_form(graphs)
    assert same(from_batch(graphs.space, to_batch(nodes)), nodes)
    picked = [3, 3, 17]
    assert same(
        from_batch(graphs.space, Batch.from_data_list([to_data_list(graphs)[k] for k in picked])),
        graphs[picked],
    )


@each_space
def test_features_go_there_and_back(name):
    space = SPACES[name]
    edges_or_nodes = space.sample(23, 2)
    for graphs in (edges_or_nodes, space.node_form(edges_or_nodes)):
        graphs = graphs.with_features(np.random.default_rng(0).random((*graphs.ops.shape, 3)))
        fast, slow = to_batch(graphs), Batch.from_data_list(to_data_list(graphs))
        same_data(fast, slow)
        for batch in (fast, slow, Batch.from_data_list(fast.to_data_list())):
            assert torch.equal(from_batch(space, batch).features, graphs.features)
        data = to_data_list(graphs)[5]
        assert data.op_features.shape == (data.num_nodes if graphs.op_on == "node" else data.num_edges, 3)
    assert from_batch(space, to_batch(edges_or_nodes)).features is None


@each_space
def test_in_memory_dataset(name):
    data = dataset(name)
    stored = ArchInMemoryDataset(data)
    assert len(stored) == len(data)
    for a, b in zip(stored, to_data_list(data.graphs, data.y), strict=True):
        same_data(a, b)
    assert same(
        from_batch(data.space, next(iter(DataLoader(stored[[4, 2]], batch_size=2)))), data.graphs[[4, 2]]
    )
    assert len(stored[torch.tensor([1, 5])]) == 2


def test_in_memory_dataset_of_one():
    stored = ArchInMemoryDataset(dataset("nasbench101", 1))
    assert len(stored) == 1
    assert stored[0].y.tolist() == [0.0]


@each_space
@pytest.mark.parametrize("shuffle", [False, True])
def test_loader_gives_both_forms_in_one_order(name, shuffle):
    data = dataset(name)
    dense, sparse = (loader(data, form, batch_size=5, shuffle=shuffle, seed=3) for form in ("dense", "pyg"))
    assert len(dense) == len(sparse) == 5
    orders = []
    for _ in range(2):
        order = []
        for (graphs, targets), batch in zip(dense, sparse, strict=True):
            assert same(from_batch(data.space, batch), graphs)
            assert torch.equal(batch.y, targets)
            assert targets.dtype == torch.float32
            assert same(graphs, data.graphs[(targets * 2).long()]), "architectures and targets stay together"
            order += (targets * 2).long().tolist()
        assert sorted(order) == list(range(23))
        orders.append(order)
    assert (orders[0] == list(range(23))) is not shuffle
    assert (orders[0] == orders[1]) is not shuffle, "each pass has its own order"
    again = [targets for _, targets in loader(data, batch_size=5, shuffle=shuffle, seed=3)]
    assert (torch.cat(again) * 2).long().tolist() == orders[0]


@pytest.mark.parametrize("arguments", [{"form": "sparse"}, {"batch_size": 0}, {"batch_size": 2.5}])
def test_loader_of_nonsense(arguments):
    with pytest.raises(InvalidParameter) as caught:
        loader(dataset("nasbench101"), **arguments)
    assert_one_sentence(caught.value)


def test_targets_of_another_length():
    with pytest.raises(InvalidParameter, match="y has shape") as caught:
        to_batch(SPACES["nodes"].sample(3), [1.0, 2.0])
    assert_one_sentence(caught.value)


def test_batches_that_are_no_architectures():
    space = SPACES["parallel"]

    def changed(**parts):
        batch = to_batch(space.sample(6, 0))
        for key, value in parts.items():
            batch[key] = value(batch[key])
        return batch

    doubled = changed(
        edge_index=lambda edges: torch.cat([edges] * 3, 1), edge_attr=lambda ops: torch.cat([ops] * 3)
    )
    for broken in (
        changed(edge_attr=lambda ops: ops + 2),
        changed(edge_attr=lambda ops: ops * 0),
        changed(batch=lambda row: row * 0),
        changed(cell=lambda cell: 1 - cell),
        doubled,
    ):
        with pytest.raises(InvalidArchitecture, match="PyG batch") as caught:
            from_batch(space, broken)
        assert_one_sentence(caught.value)


def test_graphs_method():
    assert len(SPACES["nasbench201"].sample(4).to_pyg()) == 4


def edges(*pairs):
    return torch.tensor(pairs).T.reshape(2, -1)


BROKEN = {
    "self loop": {"edge_index": edges((0, 1), (1, 1), (1, 2))},
    "cycle": {"edge_index": edges((0, 1), (1, 2), (2, 1))},
    "undirected": {"edge_index": edges((0, 1), (1, 0), (1, 2), (2, 1))},
    "no edges": {"edge_index": torch.zeros(2, 0, dtype=torch.int64)},
    "no output": {"x": torch.tensor([[1], [3], [3]])},
    "output first": {"x": torch.tensor([[2], [3], [1]])},
    "two inputs": {"x": torch.tensor([[1], [1], [2]])},
    "an edge number out of range": {"edge_index": edges((0, 1), (1, 99))},
    "a negative edge number": {"edge_index": edges((0, 1), (1, -1))},
    "edges of numbers with a point": {"edge_index": edges((0.0, 1.0), (1.0, 2.0))},
    "edges transposed": {"edge_index": torch.tensor([[0, 1], [1, 2], [0, 2]])},
    "ids with a point": {"x": torch.tensor([[1.0], [3.0], [2.0]])},
    "one-hot ids": {"x": torch.eye(3, dtype=torch.int64)},
    "no ids": {"x": None},
    "no edge_index": {"edge_index": None},
    "features of other nodes": {"op_features": torch.ones(2, 3)},
    "features without an axis": {"op_features": torch.ones(3)},
    "a node of padding": {"x": torch.tensor([[1], [0], [2]])},
    "an id too large": {"x": torch.tensor([[1], [99], [2]])},
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["nasbench101", "nodes"])
def test_graphs_that_are_no_architectures_are_refused(name, parts):
    good = {"x": torch.tensor([[1], [4], [2]]), "edge_index": edges((0, 1), (1, 2)), "num_nodes": 3}
    assert len(from_batch(SPACES[name], Batch.from_data_list([Data(**good)] * 2))) == 2
    with pytest.raises(InvalidArchitecture, match="PyG batch") as caught:
        from_batch(SPACES[name], Batch.from_data_list([Data(**{**good, **parts})] * 2))
    assert_one_sentence(caught.value)


@each_space
@pytest.mark.parametrize("form", ["own", "node"])
def test_edges_that_are_mixed_up_are_refused(name, form):
    space = SPACES[name]
    graphs = space.sample(6, 0) if form == "own" else space.node_form(space.sample(6, 0))
    for change in (
        lambda batch: batch.edge_index.flip(0),
        lambda batch: torch.cat(
            [batch.edge_index[:, :1].repeat(2, 1)[:2] * 0, batch.edge_index[:, 1:]], dim=1
        ),
        lambda batch: batch.edge_index + 1,
        lambda batch: batch.edge_index.double(),
    ):
        batch = to_batch(graphs)
        batch.edge_index = change(batch)
        with pytest.raises(InvalidArchitecture, match="PyG batch") as caught:
            from_batch(space, batch)
        assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "other", [None, 5, Data(x=torch.ones(3, 1)), to_data_list(SPACES["nodes"].sample(1))[0], [], {}]
)
def test_what_is_no_batch(other):
    with pytest.raises(InvalidArchitecture, match="Batch") as caught:
        from_batch(SPACES["nodes"], other)
    assert_one_sentence(caught.value)


def test_simplified_graphs_do_not_come_in_as_plain_ones():
    space = SPACES["nasbench201"]
    with pytest.raises(InvalidArchitecture):
        from_batch(space, to_batch(space.simplify(space.sample(20, 0))))
