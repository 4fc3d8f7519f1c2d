"""Genetic CNN and NSGA-Net: bits, genomes and graphs, there and back."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archenc
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.spaces.genetic_cnn import GeneticCNN
from archenc.spaces.nsga_net import NSGANetMacro, NSGANetMicro
from archenc.testing import check_space
from tests.bad_input import assert_one_sentence

SPACE, MACRO, MICRO = GeneticCNN(), NSGANetMacro(), NSGANetMicro()
TALK = [1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1]


def stage_edges(graphs, cell):
    """Edges of one cell as pairs of names: I, O and the numbers of its nodes."""
    last = graphs.num_nodes - 1
    names = {0: "I", last: "O"}
    return [(names.get(i, i), names.get(j, j)) for i, j in graphs.adjacency[cell].nonzero().tolist()]


def test_a_worked_example():
    graphs = SPACE.parse(TALK)
    assert SPACE.format(graphs) == ["1-01|0-01-100|0-11-101-0001"]
    assert stage_edges(graphs, 0) == [("I", 1), (1, 2), (2, 3), (3, "O")]
    assert stage_edges(graphs, 1) == [("I", 1), ("I", 2), (1, 4), (2, 3), (3, "O"), (4, "O")]
    assert stage_edges(graphs, 2) == [("I", 1), ("I", 2), (1, 3), (1, 4), (2, 3), (3, 4), (4, 5), (5, "O")]
    assert graphs.mask.sum(1).tolist() == [5, 6, 7]
    for text in ("1-01|0-01-100|0-11-101-0001", "1010011000111010001"):
        assert SPACE.to_bits(SPACE.parse(text)).tolist() == [TALK]
    assert SPACE.format(SPACE.parse([TALK, "0" * 19])) == [
        "1-01|0-01-100|0-11-101-0001",
        "0-00|0-00-000|0-00-000-0000",
    ]


def wiring(bits, nodes, skip=0):
    """The graph of a stage by the rules of the paper, edge by edge, and its left-out nodes."""
    pairs = [(i, j) for j in range(2, nodes + 1) for i in range(1, j)]
    edges = {pair for pair, bit in zip(pairs, bits, strict=True) if bit}
    sources, targets = {i for i, _ in edges}, {j for _, j in edges}
    wired = set(edges)
    for node in range(1, nodes + 1):
        if node in sources and node not in targets:
            wired.add(("I", node))
        if node in targets and node not in sources:
            wired.add((node, "O"))
    if skip or not edges:
        wired.add(("I", "O"))
    return wired, set(range(1, nodes + 1)) - sources - targets


def test_every_stage_is_wired_by_the_rules():
    space = GeneticCNN((4,))
    graphs = space.enumerate()
    assert len(graphs) == 64
    for row, bits in enumerate(itertools.product((0, 1), repeat=6)):
        wired, left_out = wiring(bits, 4)
        assert set(stage_edges(graphs, row)) == wired
        assert set((graphs.ops[row] == 4).nonzero().flatten().tolist()) == left_out
        simple = space.simplify(graphs[row])
        assert simple.mask.sum() == 6 - len(left_out)
        assert simple.adjacency.sum() == len(wired)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_bits_survive_left_out_nodes(seed):
    rng = np.random.default_rng(seed)
    for space in (SPACE, MACRO, GeneticCNN((2, 5)), GeneticCNN((1, 3))):
        bits = (rng.random((40, sum(space.stage_lengths))) < rng.random((40, 1)) ** 3).astype(
            np.uint8
        )  # from empty to full
        graphs = space.validate(space.from_bits(bits))
        assert (space.to_bits(graphs) == bits).all()
        texts = space.format(graphs)
        assert (space.to_bits(space.parse(texts)) == bits).all()
        assert set("".join(texts)) <= set("01-|")


def test_isolated_nodes_do_not_matter_to_the_hash():
    one = SPACE.hash(
        SPACE.parse(
            ["1-00|0-00-000|0-00-000-0000", "0-01|0-00-000|0-00-000-0000", "0-10|0-00-000|0-00-000-0000"]
        )
    )
    assert (one == one[0]).all(), "one edge, whichever node is left out"
    assert (SPACE.hash(SPACE.parse("0-00|1-00-000|0-00-000-0000")) != one[0]).any(), "another stage"


def test_stages_are_the_acyclic_digraphs():
    spaces = [GeneticCNN((nodes,)) for nodes in (3, 4, 5)]
    assert [len(space.enumerate()) for space in spaces] == [8, 64, 1_024]
    networks = [len(np.unique(space.hash(space.enumerate()), axis=0)) for space in spaces]
    assert networks == [6, 31, 302]  # unlabelled acyclic digraphs, OEIS A003087
    with pytest.raises(InvalidParameter, match="281,474,976,710,656") as caught:
        MACRO.enumerate()
    assert_one_sentence(caught.value)


def test_mutation_turns_one_bit():
    graphs = SPACE.sample(300, 0)
    assert ((SPACE.to_bits(SPACE.mutate(graphs, 1)) != SPACE.to_bits(graphs)).sum(1) == 1).all()


def test_nsga_net_has_a_skip_bit():
    stage = "1000000000111001"
    graphs = MACRO.parse(stage * 3)
    assert MACRO.format(graphs) == ["|".join(["1-00-000-0000-11100-1"] * 3)]
    assert stage_edges(graphs, 0) == [
        ("I", 1),
        ("I", 3),
        ("I", "O"),
        (1, 2),
        (1, 6),
        (2, 6),
        (3, 6),
        (6, "O"),
    ]
    assert (graphs.ops[0] == 4).nonzero().flatten().tolist() == [4, 5]
    without = MACRO.parse("1000000000111000" + 2 * stage)
    assert ("I", "O") not in stage_edges(without, 0)
    assert (MACRO.hash(without) != MACRO.hash(graphs)).any()
    empty = MACRO.parse(["0" * 16 + 2 * stage, "0" * 15 + "1" + 2 * stage])
    assert MACRO.to_bits(empty)[:, 15].tolist() == [0, 1]
    assert (MACRO.hash(empty[0]) == MACRO.hash(empty[1])).all(), "a stage without connections is passed over"


@pytest.mark.parametrize(
    "architecture",
    [
        "1010",
        "2" * 19,
        "1-01|0-01-100|0-11-101-000",
        "10-1|0-01-100|0-11-101-0001",
        [0] * 18,
        [0.5] * 19,
        None,
        {},
    ],
)
def test_what_is_no_bit_string_is_refused(architecture):
    for given_ in ([architecture], architecture):
        if given_ != {}:
            with pytest.raises(InvalidArchitecture) as caught:
                SPACE.parse(given_)
            assert_one_sentence(caught.value)


def test_graphs_of_other_rules_are_refused():
    graphs = SPACE.parse(TALK)
    graphs.adjacency[0, 0, 3] = 1
    for bits in (np.zeros((2, 18)), np.full((2, 19), 2), [[0], [1, 1]]):
        with pytest.raises(InvalidArchitecture, match="19 bits") as caught:
            SPACE.from_bits(bits)
        assert_one_sentence(caught.value)
    with pytest.raises(InvalidArchitecture, match="cell 0"):
        SPACE.validate(graphs)


# -- micro ---------------------------------------------------------------------------------------------------

NORMAL = [[[0, 2], [0, 0]], [[0, 7], [0, 2]], [[0, 3], [1, 3]], [[1, 7], [3, 3]], [[1, 2], [3, 4]]]
REDUCTION = [[[0, 2], [1, 6]], [[0, 1], [1, 3]], [[1, 7], [1, 6]], [[3, 0], [1, 1]], [[3, 0], [1, 7]]]
GENOME = np.ravel([NORMAL, REDUCTION])


def test_a_worked_genome():
    graphs = MICRO.from_genomes(GENOME[None])
    assert len(graphs) == 1
    text = MICRO.format(graphs)[0]
    assert "normal_concat=[2, 4, 5, 6]" in text, "node 3 is the only one that another node uses"
    assert "reduce_concat=[2, 4, 5, 6]" in text
    for cell, genes in enumerate((NORMAL, REDUCTION)):
        for node, pairs in enumerate(genes, start=2):
            found = [
                (source, k - 1)
                for source in range(node)
                for k in graphs.edge_ops()[cell, :, source, node].tolist()
                if k
            ]
            assert sorted(found) == sorted(map(tuple, pairs))
    again = MICRO.to_genomes(graphs)
    assert again.shape == (1, 40)
    assert sorted(map(tuple, again.reshape(-1, 4)[0].reshape(2, 2).tolist())) == [(0, 0), (0, 2)]
    assert (MICRO.to_genomes(MICRO.from_genomes(again)) == again).all()


def test_a_genome_with_a_later_node_is_refused():
    for genome, message in (
        (np.where(np.arange(40) == 0, 2, GENOME), "normal cell, edge 0"),
        (GENOME[:39], "40 numbers"),
    ):
        with pytest.raises(InvalidArchitecture, match=message) as caught:
            MICRO.from_genomes(genome[None])
        assert_one_sentence(caught.value)


# -- encoders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [SPACE, MACRO], ids=["genetic-cnn", "nsga-net-macro"])
def test_encoders_take_stages_of_different_sizes(space):
    check_space(space)
    graphs = space.from_bits(
        np.concatenate(
            [space.to_bits(space.sample(20, 0)), np.zeros((1, sum(space.stage_lengths)), dtype=int)]
        )
    )
    for name in ("adjacency", "path", "gcn", "gates", "ta-gates", "graf"):
        for simplify in (False, True):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                encodings = archenc.create_encoder(name, space, simplify=simplify).encode(graphs)
            assert np.isfinite(encodings).all()
            assert len(np.unique(encodings.round(4), axis=0)) > 10, f"{name} hardly tells them apart"
