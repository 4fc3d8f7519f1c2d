from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.graphs.hashing import _SWEEP_SEEDS, mix
from archenc.spaces.nasbench_nlp import NASBenchNLP
from archenc.testing import check_space
from archenc.testing.assertions import equal
from tests.bad_input import assert_one_sentence

SPACE = NASBenchNLP()


def op(name: str, *inputs: str) -> dict[str, Any]:
    return {"op": name, "input": list(inputs)}


RNN = {"f": op("linear", "x", "h_prev_0"), "h_new_0": op("activation_tanh", "f")}
GRU = {
    "r": op("linear", "x", "h_prev_0"),
    "r_act": op("activation_sigm", "r"),
    "z": op("linear", "x", "h_prev_0"),
    "z_act": op("activation_sigm", "z"),
    "rh": op("elementwise_prod", "r_act", "h_prev_0"),
    "h_tilde": op("linear", "x", "rh"),
    "h_tilde_act": op("activation_tanh", "h_tilde"),
    "h_new_0": op("blend", "z_act", "h_prev_0", "h_tilde_act"),
}


def meaning(recipe: dict[str, Any]) -> tuple[int, dict[str, str]]:
    """Names and free orders removed: how each hidden state is computed, written out, and the number of
    operations.
    """

    def written(name: str) -> str:
        if name not in recipe:
            return name
        read = [written(source) for source in recipe[name]["input"]]
        return f"{recipe[name]['op']}({','.join(read if recipe[name]['op'] == 'blend' else sorted(read))})"

    return len(recipe), {name: written(name) for name in ("h_new_0", "h_new_1", "h_new_2") if name in recipe}


def test_the_contract() -> None:
    check_space(SPACE)
    check_space(NASBenchNLP(max_nodes=14))


def test_the_graph_of_a_plain_cell() -> None:
    graphs = SPACE.parse(RNN)
    names = [SPACE.node_vocabulary[k] for k in graphs.ops[0, graphs.mask[0]]]
    assert names == ["input"] * 4 + ["linear", "activation_tanh", "h_new_0", "output"]
    edges = graphs.adjacency[0][graphs.mask[0]][:, graphs.mask[0]].nonzero().tolist()
    assert edges == [[0, 4], [1, 4], [4, 5], [5, 6], [6, 7]]


def test_a_blend_keeps_its_order() -> None:
    graphs = SPACE.parse(GRU)
    assert meaning(json.loads(SPACE.format(graphs)[0])) == meaning(GRU)
    orders = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)):
        inputs = [GRU["h_new_0"]["input"][at] for at in order]
        orders.append(SPACE.parse(GRU | {"h_new_0": op("blend", *inputs)}))
    assert len({cell.hash().tobytes() for cell in orders}) == 4, "every order of a blend is a cell of its own"
    swapped = GRU | {"rh": op("elementwise_prod", "h_prev_0", "r_act")}
    assert equal(SPACE.parse(swapped), graphs), "the order of a product is not kept"


def test_names_and_their_order_do_not_matter() -> None:
    shuffled = json.loads(json.dumps(dict(reversed(GRU.items()))).replace("r_act", "zebra"))
    graphs, other = SPACE.parse([GRU, shuffled])[0], SPACE.parse([GRU, shuffled])[1]
    assert meaning(json.loads(SPACE.format(other)[0])) == meaning(GRU)
    np.testing.assert_array_equal(graphs.hash(), other.hash())
    assert len(np.unique(SPACE.hash(SPACE.parse([RNN, GRU])), axis=0)) == 2


def test_inputs_and_states_are_not_exchangeable() -> None:
    two = {
        "a": op("linear", "x", "h_prev_0"),
        "h_new_0": op("activation_tanh", "a"),
        "b": op("linear", "x", "h_prev_1"),
        "h_new_1": op("activation_sigm", "b"),
    }
    other_state = two | {"h_new_0": op("activation_sigm", "b"), "h_new_1": op("activation_tanh", "a")}
    other_input = two | {"a": op("linear", "x", "h_prev_1"), "b": op("linear", "x", "h_prev_0")}
    assert len(np.unique(SPACE.hash(SPACE.parse([two, other_state, other_input])), axis=0)) == 3


def test_what_no_state_depends_on_is_cut() -> None:
    assert equal(SPACE.parse({**RNN, "loose": op("activation_sigm", "f")}), SPACE.parse(RNN))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_drawn_and_changed_recipes_are_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graphs = SPACE.sample(4, rng)
    for _ in range(3):
        children = SPACE.validate(SPACE.mutate(graphs, rng))
        for parent, child in zip(SPACE.format(graphs), SPACE.format(children), strict=True):
            assert parent != child
        assert equal(SPACE.parse(SPACE.format(children)), children)
        graphs = children


def test_a_sample_reads_its_input_and_every_state() -> None:
    graphs = SPACE.sample(200, seed=3)
    for text in SPACE.format(graphs):
        recipe = json.loads(text)
        states = sum(name.startswith("h_new") for name in recipe)
        read = {source for entry in recipe.values() for source in entry["input"]} - set(recipe)
        assert read == {"x", *(f"h_prev_{k}" for k in range(states))}
    assert {text.count('"h_new_') >= 3 for text in SPACE.format(graphs)} == {True, False}, (
        "one to three hidden states are drawn"
    )


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        ([], "give a dict"),
        ({}, "give a dict"),
        ({"f": op("linear", "x", "h_prev_0")}, "one to three|hidden states"),
        ({"h_new_1": op("linear", "x", "h_prev_0")}, "no h_new_0"),
        ({"h_new_0": op("linear", "x", "h_prev_1")}, "h_prev_1 is read, but there is no h_new_1"),
        ({"h_new_0": op("conv", "x")}, "unknown operation 'conv'"),
        ({"h_new_0": op("linear", "x")}, "reads 1 values instead of 2 or 3"),
        ({"h_new_0": op("blend", "x", "h_prev_0")}, "reads 2 values instead of 3"),
        ({"h_new_0": op("linear", "x", "x")}, "reads a value twice"),
        ({"h_new_0": op("linear", "x", "y")}, "'y', which is nowhere"),
        ({"h_new_0": op("elementwise_sum", "x", "h_new_0")}, "a cycle"),
        (
            {"x": op("activation_tanh", "h_prev_0"), "h_new_0": op("activation_tanh", "x")},
            "cannot be called so",
        ),
        ({"h_new_0": {"op": "linear"}}, "'op' and its 'input'"),
        ({"h_new_0": {"op": "activation_tanh", "input": "x"}}, "no list of names"),
        ({"h_new_0": {"op": ["linear"], "input": ["x"]}}, "unknown operation"),
        ({7: op("activation_tanh", "x"), "h_new_0": op("activation_tanh", "x")}, "cannot be called so"),
        ("{", "not the JSON text"),
        (17, "give a dict"),
    ],
)
def test_a_bad_recipe_is_refused(recipe: Any, match: str) -> None:
    with pytest.raises(InvalidArchitecture, match=match) as caught:
        SPACE.parse([RNN, recipe])
    assert_one_sentence(caught.value)
    assert "architecture 1" in str(caught.value)


def test_a_cell_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match=r"use NASBenchNLP\(max_nodes=16\)") as caught:
        NASBenchNLP(max_nodes=12).parse(GRU)
    assert_one_sentence(caught.value)
    assert len(NASBenchNLP(max_nodes=16).parse(GRU)) == 1
    with pytest.raises(InvalidParameter, match="at least"):
        NASBenchNLP(max_nodes=7)


def test_a_graph_that_is_no_recipe_is_refused() -> None:
    graphs = SPACE.parse([RNN, GRU])
    gate = int((graphs.ops[1] == SPACE.operations.index("blend_gate") + 3).nonzero()[0, 0])
    for change in ("swapped marks", "input to state", "no gate"):
        ops, adjacency = graphs.ops.clone(), graphs.adjacency.clone()
        if change == "swapped marks":
            ops[1, [gate, gate + 1]] = ops[1, [gate + 1, gate]]
        elif change == "no gate":
            ops[1, gate] = SPACE.operations.index("activation_tanh") + 3
        else:
            state = int((ops[1] == SPACE.operations.index("h_new_0") + 3).nonzero()[0, 0])
            adjacency[1, 0, state] = 1
        with pytest.raises(InvalidArchitecture, match="architecture 1") as caught:
            SPACE.validate(SPACE.graphs(adjacency, ops, torch.as_tensor(graphs.mask)))
        assert_one_sentence(caught.value)


def swept(graphs: ArchGraphs, row: int, seed: int) -> int:
    """Half a hash of one graph, node by node."""

    def mixed(word: int) -> int:
        return int(mix(np.array([word % 2**64], dtype=np.uint64))[0])

    nodes = graphs.mask[row].nonzero()[:, 0].tolist()
    edges = graphs.adjacency[row].tolist()
    words = {node: int(graphs.ops[row, node]) + (256 * node if node < 4 else 0) for node in nodes}
    colours = {node: mixed(word ^ seed) for node, word in words.items()}
    for _ in range(3):
        for order, reads in ((nodes, lambda u, v: edges[u][v]), (nodes[::-1], lambda u, v: edges[v][u])):
            refined: dict[int, int] = {}
            for node in order:
                received = sum(mixed(refined[other]) for other in refined if reads(other, node))
                refined[node] = mixed(3 * colours[node] + mixed(received))
            colours = refined
    return mixed(sum(mixed(colour) for colour in colours.values()))


def test_the_hash_is_that_of_a_walk_over_the_nodes() -> None:
    graphs = SPACE.sample(12, seed=3)
    halves = graphs.hash().view(np.uint64)
    for row in range(len(graphs)):
        assert [swept(graphs, row, int(seed)) for seed in _SWEEP_SEEDS] == halves[row].tolist()


def test_operations_are_read_in_any_order() -> None:
    """What comes before what it reads is put behind it; of those that could come next the first does."""
    turned = dict(reversed(GRU.items()))
    assert SPACE.hash(SPACE.parse([turned]))[0].tolist() == SPACE.hash(SPACE.parse([GRU]))[0].tolist()
    in_order = dict.fromkeys(["r", "z", "r_act"]) | GRU
    assert equal(SPACE.parse([in_order]), SPACE.parse([{name: GRU[name] for name in in_order}]))
