"""NAS-Bench-101: pruning, the official hash, packed tables, enumeration."""

import hashlib

import numpy as np
import pytest
import torch

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.hashing import wl_hash
from archenc.graphs.transforms import isomorphic_twin
from archenc.spaces.nasbench101 import OPERATIONS, NASBench101
from archenc.spaces.nasbench101.hash import md5_rows
from tests.bad_input import assert_one_sentence

SPACE = NASBench101()


@pytest.fixture(scope="module")
def table(data_root):
    path = data_root / "nasbench101" / "space.npz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("hash", "n_nodes", "adj_bits", "ops5")}


def official_hash(adjacency, ops):
    """The hash of the official records in plain Python, from its description."""

    def md5(text):
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    nodes = range(len(ops))
    label = {"input": -1, "output": -2} | {op: k for k, op in enumerate(OPERATIONS)}
    digests = [
        md5(str((sum(adjacency[v]), sum(adjacency[u][v] for u in nodes), label[ops[v]]))) for v in nodes
    ]
    for _ in nodes:
        digests = [
            md5(
                "".join(sorted(digests[u] for u in nodes if adjacency[u][v]))
                + "|"
                + "".join(sorted(digests[u] for u in nodes if adjacency[v][u]))
                + "|"
                + digests[v]
            )
            for v in nodes
        ]
    return md5(str(sorted(digests)))


def test_the_official_hash():
    graphs = SPACE.sample(60, 0)
    assert len(graphs.mask.sum(1).unique()) > 2
    for index, digest in enumerate(SPACE.hash(graphs)):
        nodes = graphs.mask[index].nonzero()[:, 0]
        adjacency = graphs.adjacency[index][nodes][:, nodes].tolist()
        assert digest.tobytes().hex() == official_hash(
            adjacency, [SPACE.node_vocabulary[k] for k in graphs.ops[index][nodes].tolist()]
        )


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 66, 98, 130, 252])
@pytest.mark.parametrize("rows", [0, 3, 700])
def test_md5_of_many_texts(rows, length):
    texts = np.random.default_rng(length).integers(256, size=(rows, length), dtype=np.uint8)
    digests = md5_rows(texts)
    assert digests.shape == (rows, 16)
    for text, digest in zip(texts, digests, strict=True):
        assert digest.tobytes() == hashlib.md5(text.tobytes(), usedforsecurity=False).digest()


def test_a_hash_does_not_depend_on_the_cells_beside_it():
    """Many cells are hashed by other code than few."""
    graphs = SPACE.enumerate(5)
    hashes = SPACE.hash(graphs)
    for rows in np.array_split(np.random.default_rng(0).permutation(len(graphs)), 40):
        np.testing.assert_array_equal(SPACE.hash(graphs[rows]), hashes[rows])


def test_isomorphic_cells_of_the_paper():
    """Two writings of one cell get one hash, another operation another one."""
    a = {
        "adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        "ops": ["input", OPERATIONS[0], OPERATIONS[2], "output"],
    }
    b = {"matrix": a["adjacency"], "ops": ["input", OPERATIONS[2], OPERATIONS[0], "output"]}
    c = {"matrix": a["adjacency"], "ops": ["input", OPERATIONS[2], OPERATIONS[1], "output"]}
    first, second, third = SPACE.hash(SPACE.parse([a, b, c])).tolist()
    assert first == second != third


def test_what_is_cut_does_not_count():
    """Ten edges and eight nodes as given, but nine and seven on paths."""
    adjacency = np.triu(np.zeros((8, 8), int))
    for i, j in [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 7),
        (0, 7),
        (0, 2),
        (0, 3),
        (0, 6),
    ]:  # node 6 leads nowhere
        adjacency[i, j] = 1
    graphs = SPACE.parse({"adjacency": adjacency, "ops": ["input", *[OPERATIONS[0]] * 6, "output"]})
    assert int(graphs.adjacency.sum()) == 9
    assert graphs.mask.all()
    adjacency[1, 3] = 1
    with pytest.raises(InvalidArchitecture, match="architecture 0: it has more than 9 edges") as caught:
        SPACE.parse({"adjacency": adjacency, "ops": ["input", *[OPERATIONS[0]] * 6, "output"]})
    assert_one_sentence(caught.value)


def test_packed_tables():
    adjacency, ops = np.zeros((2, 7, 7), np.uint8), np.full((2, 7), -1, np.int8)
    adjacency[0, 0, 1] = adjacency[0, 1, 2] = adjacency[0, 0, 2] = (
        1  # input -> maxpool -> output, input -> output
    )
    ops[0, :3] = [0, 3, 4]
    adjacency[1, 0, 1] = 1
    ops[1, :2] = [0, 4]
    graphs = SPACE.validate(SPACE.from_arrays(adjacency, ops, [3, 2]))
    assert graphs.ops.tolist() == [[1, 5, 0, 0, 0, 0, 2], [1, 0, 0, 0, 0, 0, 2]]
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [0, 6], [1, 6]]
    bits = SPACE.from_bits(
        [3, 2], [0b111, 0b1], [[2, 255, 255, 255, 255], [255] * 5]
    )  # bits 0, 1, 2: 0->1, 0->2, 1->2
    assert torch.equal(bits.ops, graphs.ops)
    assert torch.equal(bits.adjacency, graphs.adjacency)


@pytest.mark.parametrize(
    "call",
    [
        lambda: SPACE.from_bits([3], [1, 2], np.zeros((2, 5))),
        lambda: SPACE.from_bits([9], [1], np.zeros((1, 5), int)),
        lambda: SPACE.from_arrays(np.zeros((1, 6, 6)), np.zeros((1, 7)), [3]),
        lambda: SPACE.from_arrays(np.zeros((1, 7, 7)), np.full((1, 7), -1), [3]),
        lambda: SPACE.from_arrays(np.zeros((1, 7, 7)), np.full((1, 7), 5), [3]),
    ],
)
def test_packed_tables_that_cannot_be(call):
    with pytest.raises(InvalidArchitecture) as caught:
        call()
    assert_one_sentence(caught.value)


def test_enumerate_small_cells():
    graphs = SPACE.validate(SPACE.enumerate(max_nodes=5))
    assert np.bincount(graphs.mask.sum(1)).tolist() == [0, 0, 1, 6, 84, 2441]
    digests = [digest.tobytes() for digest in SPACE.hash(graphs)]
    assert digests == sorted(set(digests))
    assert len(np.unique(wl_hash(graphs), axis=0)) == len(graphs)
    drawn = SPACE.sample(3000, 0)
    small = drawn[(drawn.mask.sum(1) <= 5).numpy()]
    assert len(small) > 20
    assert {digest.tobytes() for digest in SPACE.hash(small)} <= set(digests)


@pytest.mark.parametrize("max_nodes", [1, 8, 2.0])
def test_enumerate_nonsense(max_nodes):
    with pytest.raises(InvalidParameter) as caught:
        SPACE.enumerate(max_nodes=max_nodes)
    assert_one_sentence(caught.value)


def test_hashes_against_the_table(table):
    rows = np.random.default_rng(0).choice(len(table["hash"]), 2000, replace=False)
    graphs = SPACE.validate(
        SPACE.from_bits(table["n_nodes"][rows], table["adj_bits"][rows], table["ops5"][rows])
    )
    assert (SPACE.hash(graphs) == table["hash"][rows]).all()
    assert (SPACE.hash(isomorphic_twin(graphs, 0)) == table["hash"][rows]).all()
    assert (wl_hash(isomorphic_twin(graphs, 0)) == wl_hash(graphs)).all()
    assert len(np.unique(wl_hash(graphs), axis=0)) == 2000


def test_samples_are_in_the_table(table):
    known = {digest.tobytes() for digest in table["hash"]}
    graphs = SPACE.sample(500, 1)
    assert {digest.tobytes() for digest in SPACE.hash(graphs)} <= known
    assert {digest.tobytes() for digest in SPACE.hash(SPACE.mutate(graphs, 1))} <= known


@pytest.mark.slow
def test_enumerate_everything(table):
    graphs = SPACE.enumerate()
    assert len(graphs) == 423_624
    assert np.bincount(graphs.mask.sum(1)).tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]
    stored = SPACE.from_bits(table["n_nodes"], table["adj_bits"], table["ops5"])
    assert (SPACE.hash(stored) == table["hash"]).all()
    assert torch.equal(graphs.adjacency, stored.adjacency)
    assert torch.equal(graphs.ops, stored.ops)
    assert len(np.unique(wl_hash(graphs), axis=0)) == 423_624
