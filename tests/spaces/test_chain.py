"""Chains: codes, choices that differ between layers, identities that may move."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.spaces import from_config
from archenc.spaces.chain import ChainSpace, MacroNAS, NASBenchMacro, ProxylessNAS
from archenc.testing import check_space
from tests.bad_input import assert_one_sentence

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
