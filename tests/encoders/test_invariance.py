"""Isomorphic architectures, and the same one with its padding elsewhere, must not be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archenc
from archenc.encoders.modules.nodes import OneHotNodes, node_kinds, num_kinds
from archenc.graphs import PAD, ArchGraphs
from archenc.graphs.flow import DenseFlow, SharedFlow
from archenc.graphs.history import history
from archenc.graphs.transforms import isomorphic_twin, permute_nodes
from archenc.testing import example_spaces

SPACES = example_spaces()
INVARIANT = {
    "gates": {},
    "ta-gates": {"layers": (32, 32)},
    "gcn": {},
    "gcn-global": {"global_node": True},
    "linegraph-gcn": {},
    "neural-predictor": {},
    "brp-nas": {"hidden": (32, 32, 32)},
    "flowerformer": {"dim": 32, "layers": 2, "heads": 4},
    "nn-former": {"dim": 32, "layers": 2, "hidden_dim": 64},
    "path": {},
    "op-count": {},
    "graf": {},
    "graf-plus": {},
    "wl": {},
}
SEEDS = st.integers(0, 2**31 - 1)


def encoder_for(label, space):
    """None where the encoder is not defined on the space."""
    name = label.removesuffix("-global")
    if archenc.registry.ENCODERS.get(name).unsupported(space) is not None:
        return None
    # With operations on edges only simplification makes a "none" edge absent for encoders that look at the
    # line graph.
    torch.manual_seed(0)
    return archenc.create_encoder(name, space, simplify=space.op_on == "edge", **INVARIANT[label]).eval()


ENCODERS = {name: {label: encoder_for(label, space) for label in INVARIANT} for name, space in SPACES.items()}


def assert_same_encodings(name, first, second):
    for label, encoder in ENCODERS[name].items():
        if encoder is not None:
            np.testing.assert_allclose(
                encoder.encode(first), encoder.encode(second), rtol=1e-4, atol=1e-5, err_msg=label
            )


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_twins_have_the_same_hash_and_the_same_encodings(name, seed):
    graphs = SPACES[name].sample(24, seed)
    twins = isomorphic_twin(graphs, seed)
    np.testing.assert_array_equal(graphs.hash(), twins.hash())
    assert_same_encodings(name, graphs, twins)


@pytest.mark.parametrize("name", SPACES)
def test_twins_are_not_just_copies(name):
    graphs = SPACES[name].sample(300, 0)
    twins = isomorphic_twin(graphs, 1)
    assert (graphs.ops != twins.ops).flatten(1).any(1).sum() > 0


@pytest.mark.parametrize(
    "name", [name for name, space in SPACES.items() if space.op_on == "node" and space.topology is None]
)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_padding_between_the_nodes_changes_nothing(name, seed):
    """A node slot that is left empty may lie anywhere before the output."""
    graphs = simplified_sample(SPACES[name], seed)
    shuffled = interleave_padding(graphs, seed)
    np.testing.assert_array_equal(graphs.hash(), shuffled.hash())
    assert_same_encodings(name, graphs, shuffled)


def simplified_sample(space, seed) -> ArchGraphs:
    """Many of these have padding, as what computes nothing was cut."""
    return replace(space.simplify(space.sample(24, seed)), simplified=False)


def interleave_padding(graphs: ArchGraphs, seed: int) -> ArchGraphs:
    """Move the padding to random places among the interior nodes, which keep their order."""
    rng = np.random.default_rng(seed)
    nodes = graphs.num_nodes
    order = np.empty((len(graphs.mask), nodes), dtype=np.int64)
    for row, mask in enumerate(graphs.mask.numpy()):
        real = [v for v in range(1, nodes - 1) if mask[v]]
        at = sorted(rng.permutation(np.arange(1, nodes - 1))[: len(real)])
        order[row, [0, nodes - 1]] = [0, nodes - 1]
        order[row, at] = real
        order[row, [v for v in range(1, nodes - 1) if v not in at]] = [
            v for v in range(1, nodes - 1) if not mask[v]
        ]
    return permute_nodes(graphs, torch.from_numpy(order))


def test_the_padding_test_moves_padding():
    graphs = simplified_sample(SPACES["nasbench101"], 0)
    assert not torch.equal(interleave_padding(graphs, 0).ops, graphs.ops)


# -- kinds of nodes, and one-hot vectors of them, against names ----------------------------------------------


def names_of(prepared):
    """Oracle: the name of each node, in which inputs are told apart by their places; None where there is
    none.
    """
    vocabulary, inputs = prepared.space.node_vocabulary, prepared.space.num_inputs
    return [
        [f"input {v}" if v < inputs else None if op == PAD else vocabulary[op] for v, op in enumerate(row)]
        for row in prepared.ops.tolist()
    ]


def test_kinds_are_ids_with_further_inputs_behind(space):
    prepared = space.node_form(space.sample(20, seed=0))
    further = [f"input {v}" for v in range(1, space.num_inputs)]
    kinds = [None, "input 0", *space.node_vocabulary[2:], *further]
    assert len(kinds) == num_kinds(space)
    assert [[kinds[k] for k in row] for row in node_kinds(prepared).tolist()] == names_of(prepared)


@pytest.mark.parametrize("output_last", [True, False])
def test_one_hot_vectors_have_a_column_for_each_kind(space, output_last):
    prepared = space.node_form(space.sample(20, seed=0))
    nodes = OneHotNodes(space, output_last=output_last)
    inputs, operations = [f"input {v}" for v in range(space.num_inputs)], list(space.node_vocabulary[3:])
    columns = [*inputs, *operations, "output"] if output_last else [*inputs, "output", *operations]
    expected = [[[float(name == column) for column in columns] for name in row] for row in names_of(prepared)]
    assert nodes(prepared).tolist() == expected
    ids = nodes.ids(prepared)
    assert (nodes.node_ids(ids.clamp(min=0)) == prepared.ops)[ids >= 0].all()


# -- equal history, equal state ------------------------------------------------------------------------------

LOCAL = ("gates", "gcn", "gcn-global", "linegraph-gcn")


def encoded(encoder, graphs, weights):
    """Encodings, and the gradient of a weighted sum of them."""
    encoder.zero_grad()
    encodings = encoder.encode_cells(graphs)
    (encodings * weights).sum().backward()
    gradients = [
        torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in encoder.parameters()
    ]
    return encodings.detach(), [gradient.clone() for gradient in gradients]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("label", LOCAL)
def test_shared_rows_are_those_of_every_node(label, name, monkeypatch) -> None:
    """The same encodings and gradients as by a row for each node, in parts of a store and all of it."""
    space = SPACES[name]
    encoder = encoder_for(label, space)
    if encoder is None:
        return
    monkeypatch.setattr("archenc.graphs.history.MOST_SHARED", 2.0)
    store = encoder.prepare(space.sample(24, seed=3))
    for rows in (slice(None), slice(3, 9), torch.tensor([5, 5, 17, 2])):
        shared = store[rows]
        plain = replace(shared)
        assert isinstance(encoder.passing(shared), SharedFlow)
        assert isinstance(encoder.passing(plain), DenseFlow)
        weights = torch.randn(shared.adjacency.shape[0], encoder.cell_dim)
        (ours, gradients), (theirs, others) = (encoded(encoder, g, weights) for g in (shared, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        for gradient, other in zip(gradients, others, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4)


def test_rows_are_as_many_as_different_histories() -> None:
    """Counted by nested tuples instead of colours."""
    space = archenc.create_space("nasbench101")
    encoder = archenc.create_encoder("gates", space, layers=(8, 8, 8))
    store = encoder.prepare(space.sample(60, seed=0))
    passing = encoder.passing(store[torch.arange(40)])
    known = [[(v == 0,) for v in range(space.max_nodes)] for _ in range(40)]
    for rows in passing.layers:
        for cell in range(40):
            edges, before = store.adjacency[cell], known[cell]
            known[cell] = [
                (
                    int(store.ops[cell, i]),
                    before[i],
                    tuple(sorted(repr(before[j]) for j in range(space.max_nodes) if edges[j, i] or j == i)),
                )
                if store.mask[cell, i]
                else ()
                for i in range(space.max_nodes)
            ]
        different = {repr(state) for cell in known for state in cell if state}
        assert len(rows.kinds) == len(different)
    assert len(passing.layers[0].kinds) < 60  # of 280 nodes


def test_histories_are_found_once_for_a_store(monkeypatch) -> None:
    found = []

    def counted(*arguments, **keywords):
        found.append(len(arguments[0]))
        return history(*arguments, **keywords)

    monkeypatch.setattr("archenc.encoder.history", counted)
    cells = archenc.create_space("nasbench201").sample(40, seed=0)
    predictor = archenc.Predictor("gates", encoder_params={"layers": (8,)}, epochs=5, batch_size=10)
    predictor.fit(cells, np.arange(40.0))
    assert found.count(40) == 1  # in 5 epochs of 4 batches
    assert len(found) <= 2
    predictor.predict(cells[:7])
    assert found[-1] == 7


def test_changed_graphs_have_no_history() -> None:
    space = archenc.create_space("nasbench201")
    encoder = archenc.create_encoder("gates", space)
    prepared = encoder.prepare(space.sample(4, seed=0))
    assert prepared.histories
    assert prepared[1:].histories
    assert not prepared.with_features(np.zeros((*prepared.ops.shape, 1))).histories
    assert not space.mutate(prepared, np.random.default_rng(0)).histories
