"""Changes of form, on cells small enough to check by hand and against networkx."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, ArchGraphs
from archenc.graphs.paths import is_connected, on_path, reachability
from archenc.graphs.transforms import (
    bypass_nodes,
    isomorphic_twin,
    keep_nodes,
    line_graph,
    node_op,
    permute_nodes,
    prune,
    simplify,
)
from archenc.spaces.cell import CellSpace
from archenc.spaces.nasbench201 import NASBench201
from tests.shared import SPACES

SPACE = CellSpace("mine", ["conv", "pool", "skip", "none"], max_nodes=6, none_op="none", skip_op="skip")
quick = settings(max_examples=20, deadline=None)


def cell(ops, edges, space=SPACE):
    """One cell as it stands, without the pruning of parse."""
    adjacency = np.zeros((1, space.max_nodes, space.max_nodes))
    for source, target in edges:
        adjacency[0, source, target] = 1
    names = {name: k for k, name in enumerate(space.node_vocabulary)}
    return space.graphs(adjacency, [[names[op] for op in ops]])


def read(graphs: ArchGraphs):
    """Operations and edges by name and position, padding left out."""
    names = [graphs.space.node_vocabulary[k] for k in graphs.ops[0].tolist() if k]
    return names, [tuple(edge) for edge in graphs.adjacency[0].nonzero().tolist()]


@quick
@given(seed=st.integers(0, 2**32 - 1), nodes=st.integers(2, 8))
def test_reachability_and_paths_against_networkx(seed, nodes):
    adjacency = torch.from_numpy(
        np.triu(np.random.default_rng(seed).random((5, nodes, nodes)) < 0.35, 1).astype(np.uint8)
    )
    for row, closure, used in zip(adjacency, reachability(adjacency), on_path(adjacency), strict=True):
        graph = nx.from_numpy_array(row.numpy(), create_using=nx.DiGraph)
        assert (closure.numpy() == nx.to_numpy_array(nx.transitive_closure(graph))).all()
        from_input, to_output = nx.descendants(graph, 0) | {0}, nx.ancestors(graph, nodes - 1) | {nodes - 1}
        assert set(used.nonzero()[:, 0].tolist()) == from_input & to_output
    connected = is_connected(adjacency).tolist()
    assert connected == [
        nx.has_path(nx.from_numpy_array(row.numpy(), create_using=nx.DiGraph), 0, nodes - 1)
        for row in adjacency
    ]


def test_prune():
    """Node 1 leads nowhere, node 3 comes from nowhere; a "none" node on a path stays."""
    graphs = cell(
        ["input", "conv", "none", "pool", "skip", "output"], [(0, 1), (0, 2), (2, 4), (3, 4), (4, 5)]
    )
    assert read(prune(graphs)) == (["input", "none", "skip", "output"], [(0, 1), (1, 2), (2, 5)])
    assert prune(graphs).mask.tolist() == [[True, True, True, False, False, True]]


def test_bypass():
    """Input -> skip -> {conv, output}, conv -> output: the skip's source feeds its targets; two routes to one
    target are one edge.
    """
    graphs = cell(
        ["input", "skip", "conv", "<padding>", "<padding>", "output"],
        [(0, 1), (1, 2), (1, 5), (2, 5), (0, 5)],
    )
    skips = node_op(graphs, "skip")
    assert skips.tolist() == [[False, True, False, False, False, False]]
    assert read(bypass_nodes(graphs, skips)) == (["input", "conv", "output"], [(0, 1), (0, 5), (1, 5)])


def test_bypass_of_a_chain_and_of_everything():
    graphs = cell(
        ["input", "skip", "skip", "conv", "skip", "output"], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    )
    assert read(bypass_nodes(graphs, node_op(graphs, "skip"))) == (
        ["input", "conv", "output"],
        [(0, 1), (1, 5)],
    )
    assert read(bypass_nodes(graphs, torch.tensor([[False, True, True, True, True, False]]))) == (
        ["input", "output"],
        [(0, 5)],
    )


def test_keep_nodes_never_drops_the_ends():
    graphs = cell(["input", "conv", "pool", "<padding>", "<padding>", "output"], [(0, 1), (1, 2), (2, 5)])
    assert read(keep_nodes(graphs, torch.zeros(1, 6, dtype=torch.bool))) == (["input", "output"], [])


def test_keep_nodes_with_operations_on_edges():
    space = CellSpace("edges", ["a", "b"], op_on="edge", max_nodes=5, edges_per_pair=2)
    graphs = space.parse(
        {"edges": [[0, 1, "a"], [0, 2, "b"], [1, 3, "b"], [2, 3, "a"], [3, 4, "b"], [3, 4, "a"]]}
    )
    kept = keep_nodes(graphs, torch.tensor([[True, False, True, True, True]]))
    assert kept.mask.tolist() == [[True, True, True, False, True]]
    assert kept.edge_ops().nonzero().tolist() == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 0, 2, 4], [0, 1, 2, 4]]
    assert kept.edge_ops()[0, 0, 0, 1] == 2
    assert kept.edge_ops()[0, :, 2, 4].tolist() == [2, 1]


def test_simplify_nodes():
    """A zero on the only way behind pool kills pool; the skip is bypassed."""
    graphs = cell(
        ["input", "pool", "none", "conv", "skip", "output"],
        [(0, 1), (1, 2), (2, 5), (0, 3), (3, 4), (4, 5)],
    )
    simple = simplify(graphs)
    assert read(simple) == (["input", "conv", "output"], [(0, 1), (1, 5)])
    assert simple.simplified
    dead = cell(["input", "none", "<padding>", "<padding>", "<padding>", "output"], [(0, 1), (1, 5)])
    assert read(simplify(dead)) == (["input", "output"], [])


def test_line_graph_of_nasbench201():
    """Nodes in the order of the string; 0->1 feeds 1->2 and 1->3, 0->2 and 1->2 feed 2->3, what enters node 3
    feeds the output.
    """
    space = NASBench201()
    nodes = line_graph(space.parse([0, 1, 2, 3, 4, 0]))
    assert nodes.ops.tolist() == [[1, 3, 4, 5, 6, 7, 3, 2]]
    feeds = [(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)]
    assert [tuple(edge) for edge in nodes.adjacency[0].nonzero().tolist()] == feeds
    assert nodes.num_nodes == space.num_node_form_nodes == 8
    assert (nodes.num_ops, len(space.node_vocabulary)) == (8, 8)
    simple = simplify(nodes)  # 0->1 is "none": 1->2 and 1->3 are dead; 0->2 is a skip and its 2->3 "none"
    assert read(simple) == (["input", "nor_conv_3x3", "output"], [(0, 1), (1, 7)])


def test_line_graph_with_absent_and_parallel_edges():
    space = CellSpace("edges", ["a", "b"], op_on="edge", max_nodes=4, edges_per_pair=2)
    nodes = line_graph(
        space.parse({"nodes": 3, "edges": [[0, 1, "a"], [0, 1, "b"], [1, 2, "a"], [0, 2, "b"]]})
    )
    assert nodes.num_nodes == 1 + 2 * 6 + 1
    # by target, then source, then slot: 0->1 "b", 0->1 "a", 0->3 "b", 1->3 "a"
    last = nodes.num_nodes - 1
    assert read(nodes) == (
        ["input", "b", "a", "b", "a", "output"],
        [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, last), (4, last)],
    )


def test_line_graph_of_two_inputs():
    space = CellSpace("edges", ["a"], op_on="edge", max_nodes=4, num_inputs=2)
    nodes = line_graph(space.parse({"edges": [[0, 2, "a"], [1, 2, "a"], [2, 3, "a"], [1, 3, "a"]]}))
    last = nodes.num_nodes - 1
    assert read(nodes) == (
        ["input", "input", *["a"] * 4, "output"],
        [(0, 2), (1, 3), (1, 4), (2, 5), (3, 5), (4, last), (5, last)],
    )


def test_simplify_edges_against_networkx():
    space = NASBench201()
    graphs = space.sample(200, 0)
    simple = simplify(graphs)
    for before, after in zip(graphs.ops, simple.ops, strict=True):
        live = nx.DiGraph([(i, j) for i, j in before.nonzero().tolist() if before[i, j] != 1])
        live.add_nodes_from([0, 3])
        used = (nx.descendants(live, 0) | {0}) & (nx.ancestors(live, 3) | {3})
        expected = {(i, j): int(before[i, j]) for i, j in live.edges if {i, j} <= used}
        assert {(i, j): int(after[i, j]) for i, j in after.nonzero().tolist()} == expected
    assert torch.equal(simple.adjacency, (simple.ops != 0).to(torch.uint8))


# -- features of the operations ------------------------------------------------------------------------------


# Nodes 1 and 2 may stand in either order, but their wirings differ: a relabelling that is not the fixed
# topology's.
LOPSIDED = CellSpace("lopsided", ["a", "b"], max_nodes=5, topology=[(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)])


def tagged(space, seed):
    """Graphs each of whose operations has the features (its place, its id)."""
    graphs = space.sample(6, seed)
    place = torch.arange(1, graphs.ops[0].numel() + 1).reshape(graphs.ops[0].shape).expand(graphs.ops.shape)
    return graphs.with_features(torch.stack([place, graphs.ops], dim=-1))


def wirings(nodes: ArchGraphs):
    """The edges of op-on-node graphs, between the first features of their ends; the ends of a cell go by
    their numbers.
    """
    inputs, last = nodes.space.num_inputs, nodes.num_nodes - 1
    names = [
        [("end", v) if v < inputs or v == last else tag for v, tag in enumerate(tags)]
        for tags in nodes.features[..., 0].int().tolist()
    ]
    return [
        {(row[i], row[j]) for i, j in edges.nonzero().tolist()}
        for row, edges in zip(names, nodes.adjacency, strict=True)
    ]


def assert_features_are_with_their_operations(graphs: ArchGraphs, original: ArchGraphs):
    """Each operation is the one that stood at the place of which its features speak, and no two speak of the
    same.
    """
    ids = graphs.ops.long()
    if graphs.op_on != original.op_on:
        ids = torch.where(
            ids < NODE_OFFSET, 0, ids - NODE_OFFSET + EDGE_OFFSET
        )  # the line graph's ends are no operations
    assert torch.equal(graphs.features[..., 1].long(), ids)
    places = graphs.features[..., 0].long().flatten(1)
    first = original.ops.flatten(1).long()
    assert torch.equal(torch.where(places > 0, first.gather(1, (places - 1).clamp(min=0)), 0), ids.flatten(1))
    for row in places.tolist():
        named = [place for place in row if place]
        assert len(set(named)) == len(named)


@pytest.mark.parametrize("space", [*SPACES.values(), LOPSIDED], ids=lambda space: space.name)
@quick
@given(seed=st.integers(0, 2**31 - 1))
def test_features_stay_with_their_operations(space, seed):
    graphs = tagged(space, seed)
    nodes = space.node_form(graphs)
    rng = np.random.default_rng(seed)
    keep = torch.from_numpy(rng.random(tuple(graphs.mask.shape)) < 0.7)
    twins = isomorphic_twin(graphs, seed)
    for changed in (
        nodes,
        space.simplify(graphs),
        space.simplify(nodes),
        prune(graphs),
        keep_nodes(graphs, keep),
        twins,
    ):
        assert_features_are_with_their_operations(changed, graphs)
    simple = space.simplify(nodes)  # without "none" edges, which a twin may turn round
    assert wirings(simple) == wirings(space.simplify(space.node_form(twins)))
    order = torch.from_numpy(
        rng.permuted(np.tile(np.arange(space.num_inputs, nodes.num_nodes - 1), (len(nodes.mask), 1)), axis=1)
    )
    ends = torch.arange(nodes.num_nodes).expand(len(nodes.mask), -1)
    order = torch.cat([ends[:, : space.num_inputs], order, ends[:, -1:]], dim=1)
    assert wirings(permute_nodes(nodes, order)) == wirings(nodes)
    if graphs.op_on == "edge":
        order = torch.from_numpy(
            rng.permuted(np.tile(np.arange(graphs.num_nodes), (len(graphs.mask), 1)), axis=1)
        )
        assert_features_are_with_their_operations(permute_nodes(graphs, order), graphs)


def test_twins_move_features():
    for name in ("nasbench101", "nasbench201"):
        graphs = SPACES[name].sample(50, 0)
        graphs = graphs.with_features(torch.rand(*graphs.ops.shape, 1))
        assert not torch.equal(isomorphic_twin(graphs, 0).features, graphs.features)


def test_line_graph_takes_features_in_the_order_of_its_nodes():
    space = NASBench201()
    graphs = space.parse([1, 2, 3, 4, 1, 2])
    features = torch.arange(16.0).reshape(1, 4, 4, 1)
    nodes = line_graph(graphs.with_features(features))
    assert nodes.features[0, :, 0].tolist() == [
        0,
        *(4 * i + j for i, j in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]),
        0,
    ]
