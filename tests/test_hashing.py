"""The colour-refinement hash."""

import numpy as np
import pytest
import torch

from archenc.graphs import concatenate
from archenc.graphs.hashing import hex_digests, wl_hash
from archenc.graphs.transforms import permute_nodes
from archenc.spaces.cell import CellSpace
from archenc.spaces.nasbench101 import NASBench101
from archenc.spaces.nasbench201 import NASBench201


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
