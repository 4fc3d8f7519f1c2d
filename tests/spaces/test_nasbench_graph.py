"""NAS-Bench-Graph: hashes, link lists, isomorphic writings, enumeration."""

import itertools

import numpy as np
import pytest
import torch

from archenc.graphs.transforms import isomorphic_twin
from archenc.spaces.nasbench_graph import LINKS, OPERATIONS, NASBenchGraph

SPACE = NASBenchGraph()


def test_a_hash():
    graphs = SPACE.parse("77016")  # links 0, 1, 2, 2; fc, gat, gcn, graph
    assert [SPACE.node_vocabulary[k] for k in graphs.ops[0].tolist()] == [
        "input",
        "fc",
        "gat",
        "gcn",
        "graph",
        "output",
    ]
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [1, 2], [2, 3], [2, 4], [3, 5], [4, 5]]
    assert SPACE.format(graphs) == ["77016"]
    assert SPACE.format(SPACE.parse(5)) == ["5"], "link list 0 has no leading digit"
    assert (
        SPACE.format(
            SPACE.parse([77016, "77016", {"link": [0, 1, 2, 2], "ops": ["fc", "gat", "gcn", "graph"]}])
        )
        == ["77016"] * 3
    )
    assert SPACE.format(SPACE.parse('{"link":[0,1,2,2],"ops":[7,0,1,6]}')) == ["77016"]


def test_all_hashes_there_and_back():
    hashes = np.array([int("".join(map(str, digits))) for digits in itertools.product(range(9), repeat=5)])
    graphs = SPACE.validate(SPACE.from_hashes(hashes))
    assert (SPACE.to_hashes(graphs) == hashes).all()


def forest(link, ops):
    """A rooted tree of operations as nested sorted tuples, the plain way."""

    def below(node):
        return tuple(
            sorted((ops[child - 1], below(child)) for child in range(1, 5) if link[child - 1] == node)
        )

    return below(0)


def acyclic(link):
    def depth(node, steps=0):
        return steps if node == 0 or steps > 4 else depth(link[node - 1], steps + 1)

    return all(depth(node) <= 4 for node in range(1, 5))


def test_every_link_list_is_brought_to_a_canonical_one():
    ops = ["gat", "gcn", "gin", "cheb"]
    lists = [link for link in itertools.product(range(5), repeat=4) if acyclic(link)]
    assert len(lists) == 125  # labelled rooted trees of five nodes, by Cayley's formula
    graphs = SPACE.validate(SPACE.parse([{"link": list(link), "ops": ops} for link in lists]))
    for link, value in zip(lists, SPACE.to_hashes(graphs).tolist(), strict=True):
        digits = [value // 10**k % 10 for k in range(4, -1, -1)]
        assert forest(LINKS[digits[0]], [OPERATIONS[k] for k in digits[1:]]) == forest(link, ops)
    assert len(np.unique(SPACE.hash(graphs), axis=0)) == len({forest(link, ops) for link in lists})


def test_isomorphic_writings_have_one_hash():
    graphs = SPACE.sample(300, 0)
    twins = SPACE.validate(isomorphic_twin(graphs, 0))
    assert (SPACE.hash(twins) == SPACE.hash(graphs)).all()
    assert (SPACE.to_hashes(twins) != SPACE.to_hashes(graphs)).any()
    again = SPACE.parse(SPACE.format(twins))
    assert (SPACE.hash(again) == SPACE.hash(graphs)).all()


def test_enumerate():
    graphs = SPACE.enumerate()
    hashes = SPACE.to_hashes(graphs)
    assert (np.diff(hashes) > 0).all()
    trees = {
        forest(LINKS[digits[0]], digits[1:]) for digits in itertools.product(range(9), repeat=5)
    }  # every writing, by an independent canonical form
    assert len(graphs) == len(trees) == 35_919


def test_mutation_changes_one_thing():
    graphs = SPACE.sample(400, 0)
    children = SPACE.mutate(graphs, 0)
    ops_changed = (graphs.ops.sort(1).values != children.ops.sort(1).values).any(1)
    links_changed = (graphs.adjacency != children.adjacency).flatten(1).any(1)
    assert not (ops_changed & links_changed).any()
    assert 50 < int(links_changed.sum()) < 300
    assert torch.equal(graphs.mask, children.mask)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int64])
def test_from_hashes_takes_any_integers(dtype):
    assert SPACE.to_hashes(SPACE.from_hashes(np.array([5, 8888], dtype=dtype))).tolist() == [5, 8888]
