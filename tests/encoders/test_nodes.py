"""Kinds of nodes, and one-hot vectors of them, against names."""

import pytest

from archenc.encoders.modules.nodes import OneHotNodes, node_kinds, num_kinds
from archenc.graphs import PAD


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
