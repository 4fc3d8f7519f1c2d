"""Small benchmarks: TransNAS-Bench-101 micro and NAS-Bench-Graph, read, printed and enumerated; and chains:
codes, choices that differ between layers, identities that may move.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archenc
import archenc.spaces
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import isomorphic_twin, live_edges
from archenc.spaces import from_config
from archenc.spaces.chain import ChainSpace, MacroNAS, NASBenchMacro, ProxylessNAS
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.nasbench_graph import LINKS, NASBenchGraph
from archenc.spaces.nasbench_graph import OPERATIONS as LAYERS
from archenc.spaces.transnas101 import OPERATIONS, TransNAS101Micro
from archenc.testing import check_space
from tests.bad_input import assert_one_sentence

# -- transNAS-Bench-101 micro: the official string, numbering, enumeration -----------------------------------

TRANSNAS = TransNAS101Micro()
TEXT, NUMBERS = "64-41414-3_02_113", [3, 0, 2, 1, 1, 3]


def test_the_string():
    graphs = TRANSNAS.parse(TEXT)
    assert TRANSNAS.to_ops(graphs).tolist() == [NUMBERS]
    for k, (source, target) in zip(NUMBERS, EDGES, strict=True):
        assert int(graphs.ops[0, source, target]) == k + 1
    assert TRANSNAS.format(graphs) == [TEXT]


def test_every_other_notation():
    names = [OPERATIONS[k] for k in NUMBERS]
    for one in ("3_02_113", f" {TEXT}\n", names, NUMBERS, tuple(NUMBERS), np.array(NUMBERS)):
        assert TRANSNAS.format(TRANSNAS.parse(one)) == [TEXT]
    assert TRANSNAS.format(TRANSNAS.parse([TEXT, "3_02_113", names, NUMBERS])) == [TEXT] * 4


def test_all_cells_are_read_and_printed_in_counting_order():
    graphs = TRANSNAS.enumerate()
    texts = TRANSNAS.format(graphs)
    assert len(graphs) == 4_096
    assert texts == sorted(set(texts))
    assert texts[0] == "64-41414-0_00_000"
    assert texts[-1] == "64-41414-3_33_333"
    assert torch.equal(TRANSNAS.parse(texts).ops, graphs.ops)
    assert int((~is_connected(live_edges(graphs).any(1))).sum()) == 169


def test_zero_and_identity_are_known():
    """0 -conv3x3-> 1 -skip-> 3 computes what 0 -conv3x3-> 3 computes."""
    first, second = TRANSNAS.parse(["3_00_010", "0_00_300"])
    simple = [TRANSNAS.hash(TRANSNAS.simplify(TRANSNAS.node_form(one))).tobytes() for one in (first, second)]
    assert simple[0] == simple[1]


def test_it_is_registered_and_not_nasbench201():
    assert archenc.create_space("transnas101-micro") == TRANSNAS
    assert archenc.create_space("nasbench201") != TRANSNAS


def test_the_other_macro_structures_are_refused():
    with pytest.raises(InvalidArchitecture, match="write it as 64-41414-"):
        TRANSNAS.parse("64-12414-3_02_113")


# -- NAS-Bench-Graph: hashes, link lists, isomorphic writings, enumeration -----------------------------------

GRAPH = NASBenchGraph()


def test_a_hash():
    graphs = GRAPH.parse("77016")  # links 0, 1, 2, 2; fc, gat, gcn, graph
    assert [GRAPH.node_vocabulary[k] for k in graphs.ops[0].tolist()] == [
        "input",
        "fc",
        "gat",
        "gcn",
        "graph",
        "output",
    ]
    assert graphs.adjacency[0].nonzero().tolist() == [[0, 1], [1, 2], [2, 3], [2, 4], [3, 5], [4, 5]]
    assert GRAPH.format(graphs) == ["77016"]
    assert GRAPH.format(GRAPH.parse(5)) == ["5"], "link list 0 has no leading digit"
    assert (
        GRAPH.format(
            GRAPH.parse([77016, "77016", {"link": [0, 1, 2, 2], "ops": ["fc", "gat", "gcn", "graph"]}])
        )
        == ["77016"] * 3
    )
    assert GRAPH.format(GRAPH.parse('{"link":[0,1,2,2],"ops":[7,0,1,6]}')) == ["77016"]


def test_all_hashes_there_and_back():
    hashes = np.array([int("".join(map(str, digits))) for digits in itertools.product(range(9), repeat=5)])
    graphs = GRAPH.validate(GRAPH.from_hashes(hashes))
    assert (GRAPH.to_hashes(graphs) == hashes).all()


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
    graphs = GRAPH.validate(GRAPH.parse([{"link": list(link), "ops": ops} for link in lists]))
    for link, value in zip(lists, GRAPH.to_hashes(graphs).tolist(), strict=True):
        digits = [value // 10**k % 10 for k in range(4, -1, -1)]
        assert forest(LINKS[digits[0]], [LAYERS[k] for k in digits[1:]]) == forest(link, ops)
    assert len(np.unique(GRAPH.hash(graphs), axis=0)) == len({forest(link, ops) for link in lists})


def test_isomorphic_writings_have_one_hash():
    graphs = GRAPH.sample(300, 0)
    twins = GRAPH.validate(isomorphic_twin(graphs, 0))
    assert (GRAPH.hash(twins) == GRAPH.hash(graphs)).all()
    assert (GRAPH.to_hashes(twins) != GRAPH.to_hashes(graphs)).any()
    again = GRAPH.parse(GRAPH.format(twins))
    assert (GRAPH.hash(again) == GRAPH.hash(graphs)).all()


def test_enumerate():
    graphs = GRAPH.enumerate()
    hashes = GRAPH.to_hashes(graphs)
    assert (np.diff(hashes) > 0).all()
    trees = {
        forest(LINKS[digits[0]], digits[1:]) for digits in itertools.product(range(9), repeat=5)
    }  # every writing, by an independent canonical form
    assert len(graphs) == len(trees) == 35_919


def test_mutation_changes_one_thing():
    graphs = GRAPH.sample(400, 0)
    children = GRAPH.mutate(graphs, 0)
    ops_changed = (graphs.ops.sort(1).values != children.ops.sort(1).values).any(1)
    links_changed = (graphs.adjacency != children.adjacency).flatten(1).any(1)
    assert not (ops_changed & links_changed).any()
    assert 50 < int(links_changed.sum()) < 300
    assert torch.equal(graphs.mask, children.mask)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int64])
def test_from_hashes_takes_any_integers(dtype):
    assert GRAPH.to_hashes(GRAPH.from_hashes(np.array([5, 8888], dtype=dtype))).tolist() == [5, 8888]


# -- chains --------------------------------------------------------------------------------------------------

MACRO = NASBenchMacro()
SMALL = ChainSpace(
    "small",
    ["skip", "conv", "pool"],
    [(0, 1), (1,), (0, 1, 2), (2, 0)],
    runs=(1, 3),
    identity="skip",
    symbols="_cp",
)


def test_a_code_is_a_chain():
    graphs = MACRO.parse("22212202")
    assert [MACRO.node_vocabulary[k] for k in graphs.ops[0].tolist()] == [
        "input",
        *["MB6_K5"] * 3,
        "MB3_K3",
        *["MB6_K5"] * 2,
        "Identity",
        "MB6_K5",
        "output",
    ]
    assert graphs.adjacency[0].nonzero().tolist() == [[node, node + 1] for node in range(9)]
    names = [MACRO.operations[k] for k in (2, 2, 2, 1, 2, 2, 0, 2)]
    assert MACRO.format(MACRO.parse(["22212202", names, [2, 2, 2, 1, 2, 2, 0, 2]])) == ["22212202"] * 3
    assert (
        MACRO.format(MACRO.parse(names))
        == MACRO.format(MACRO.parse(np.array([2, 2, 2, 1, 2, 2, 0, 2])))
        == ["22212202"]
    )


def test_enumeration_has_every_code_once():
    assert MACRO.format(MACRO.enumerate()) == ["".join(code) for code in itertools.product("012", repeat=8)]
    assert SMALL.format(SMALL.enumerate()) == [
        "".join(code) for code in itertools.product("_c", "c", "_cp", "p_")
    ]
    assert MacroNAS().num_codes == 4_782_969
    for space, writings in ((MacroNAS(), "4,782,969"), (ProxylessNAS(), "10\\^17")):
        with pytest.raises(InvalidParameter, match=writings) as caught:
            space.enumerate()
        assert_one_sentence(caught.value)


def networks(stages, reducing):
    """How many networks there are, by walking through the codes of each stage."""
    count = 1
    for layers in stages:
        kept = set()
        for code in itertools.product("012", repeat=layers):
            head = code[: int(reducing)]
            kept.add((*head, "|", *(block for block in code[int(reducing) :] if block != "0")))
        count *= len(kept)
    return count


def test_networks_with_several_codes_have_one_hash():
    hashes = MACRO.hash(MACRO.enumerate())
    assert len(np.unique(hashes, axis=0)) == networks((2, 3, 3), reducing=True) == 3_969
    assert networks((4, 4, 4, 2), reducing=False) == 208_537

    def same(first, second):
        one, other = MACRO.hash(MACRO.parse([first, second]))
        return (one == other).all()

    assert same("11101000", "11110000"), "layers 3 and 4 are at one resolution"
    assert not same("01000000", "10000000"), "layer 0 reduces the resolution, and its 0 is a convolution"
    assert not same("10100000", "11000000"), "the block moved to another stage"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_simplify_keeps_the_network_and_its_features(seed):
    space = MacroNAS()
    graphs = space.sample(20, seed)
    features = graphs.ops.float().unsqueeze(-1) * torch.tensor([1.0, 10.0])
    simple = space.simplify(graphs.with_features(features))
    assert torch.equal(simple.features, simple.ops.float().unsqueeze(-1) * torch.tensor([1.0, 10.0]))
    for code, ops in zip(space.format(graphs), simple.ops[:, 1:-1].tolist(), strict=True):
        parts = [code[a:b] for a, b in ((0, 4), (4, 8), (8, 12), (12, 14))]
        expected = "".join(part.replace("I", "").ljust(len(part), "I") for part in parts)
        assert "".join("I12"[k - 3] for k in ops) == expected
    assert (space.hash(simple) == space.hash(graphs)).all()


def test_layers_keep_to_their_choices():
    check_space(ProxylessNAS())
    space = ProxylessNAS()
    firsts = [0, 4, 8, 12, 16, 20]
    numbers = space.to_ops(space.sample(500, 0))
    assert (numbers.max(0) == [5 if layer in firsts else 6 for layer in range(21)]).all(), (
        "Zero where a shortcut can stand for it, only"
    )
    assert space.num_codes == 6**6 * 7**15
    children = space.to_ops(space.mutate(space.sample(500, 0), 1))
    assert ((children != numbers).sum(1) == 1).all()
    assert (children[:, firsts] < 6).all()


def test_what_is_no_code_is_refused():
    wrong = "0" * 20 + "6"
    cases = [
        (MACRO, "222122023", "8 of the symbols 0, 1, 2"),
        (MACRO, ["22212202", "2221220x"], "architecture 1"),
        (MACRO, [[2, 2, 2]], "3 operations for a cell of 8"),
        (MACRO, [{"ops": []}], "8 of the symbols"),
        (MACRO, None, "cannot read"),
        (
            ProxylessNAS(),
            ["0" * 21, wrong],
            "architecture 1: the operation of layer 20 is not among its choices",
        ),
        (SMALL, "cccc", "layer 3"),
    ]
    for space, architectures, message in cases:
        with pytest.raises(InvalidArchitecture, match=message) as caught:
            space.parse(architectures)
        assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": [(0, 1), ()]}, "layer 1"),
        ({"choices": [(0, 1), (3,)]}, "layer 1"),
        ({"choices": [(0, 1), (1, 1)]}, "layer 1"),
        ({"runs": (1,)}, "do not make up 2"),
        ({"identity": "none"}, "no operation"),
        ({"symbols": "aa."}, "3 different"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(change, message):
    parameters = {"name": "bad", "operations": ["skip", "conv", "pool"], "choices": [(0, 1), (1, 2)]}
    with pytest.raises(InvalidParameter, match=message) as caught:
        ChainSpace(**(parameters | change))
    assert_one_sentence(caught.value)


def test_a_chain_of_ones_own():
    assert from_config(json.loads(json.dumps(SMALL.config()))) == SMALL
    assert ChainSpace("mine", ["a", "b"], [[0, 1]] * 9).parse("010101010").num_nodes == 11
    sampled = SMALL.sample(400, 0)
    assert len(np.unique(SMALL.to_ops(sampled), axis=0)) == SMALL.num_codes == 12
