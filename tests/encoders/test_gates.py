"""GATES against the formulas written as explicit sums over one architecture at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidParameter
from archenc.spaces.cell import CellSpace
from tests.shared import assert_gradient_is_slope


def dot(vector, matrix):
    return [sum(vector[a] * matrix[a][b] for a in range(len(vector))) for b in range(len(matrix[0]))]


def sigmoid(value):
    return 1.0 / (1.0 + math.exp(-value))


def linear(layer, vector):
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)
    ]


def start(encoder, cell, nodes):
    """The first states of one row, node by node."""
    inputs = encoder.initial_state.inputs[cell].tolist()
    others = encoder.initial_state.others
    rest = [0.0] * len(inputs[0]) if others is None else others[cell, 0].tolist()
    return [
        linear(encoder.initial_state.linear, inputs[v] if v < len(inputs) else rest) for v in range(nodes)
    ]


def by_hand_on_nodes(encoder, adjacency, ops):
    nodes = len(ops)
    table = encoder.op_embedding().tolist()
    states = start(encoder, 0, nodes)
    for depth, layer in enumerate(encoder.flow):
        weight = layer.weight.tolist()
        x = [dot(state, weight) for state in states]
        new = []
        for i in range(nodes):
            gate = [sigmoid(g) for g in linear(layer.gate, table[ops[i]])]
            row = []
            for h in range(len(gate)):
                flow = x[i][h] + sum(x[j][h] for j in range(nodes) if adjacency[j][i])
                value = gate[h] * flow + (x[i][h] if i == 0 else 0.0) + layer.bias[h].item()
                row.append(value if depth == len(encoder.flow) - 1 else max(value, 0.0))
            new.append(row)
        states = new
    return [
        sum(states[i][h] for i in range(1, nodes) if ops[i] != 0) / (nodes - 1) for h in range(len(states[0]))
    ]


def by_hand_on_edges(encoder, cell, ops, none, skip, inputs):
    """``ops[s][j][i]`` is the operation from j to i in slot s."""
    slots, nodes = len(ops), len(ops[0])
    table = encoder.op_embedding().tolist()
    states = start(encoder, cell, nodes)
    for depth, layer in enumerate(encoder.flow):
        weight = layer.weight.tolist()
        x = [dot(state, weight) for state in states]
        new = []
        for i in range(nodes):
            row = [0.0] * len(x[0])
            for s in range(slots):
                for j in range(nodes):
                    op = ops[s][j][i]
                    if op in (0, none):
                        continue
                    gate = (
                        [1.0] * len(row)
                        if op == skip
                        else [sigmoid(g) for g in linear(layer.gate, table[op])]
                    )
                    row = [r + g * v / slots for r, g, v in zip(row, gate, x[j], strict=True)]
            if i < inputs:
                row = [r + v for r, v in zip(row, x[i], strict=True)]
            new.append(row if depth == len(encoder.flow) - 1 else [max(r, 0.0) for r in row])
        states = new
    return states[-1]


SMALL = {"layers": (5, 4, 3), "op_dim": 3, "node_dim": 2, "hidden_dim": 4}


def small_gates(space, **parameters):
    torch.manual_seed(3)
    encoder = archenc.create_encoder("gates", space, **SMALL, **parameters)
    if encoder.initial_state.others is not None:
        torch.nn.init.normal_(encoder.initial_state.others)  # it starts at zero, which would hide an error
    return encoder


def test_operations_on_nodes_worked_example():
    space = CellSpace("toy", ("a", "b", "c"), op_on="node", max_nodes=5)
    graphs = space.sample(6, 1)
    encoder = small_gates(space)
    expected = [
        by_hand_on_nodes(encoder, a, o)
        for a, o in zip(graphs.adjacency.tolist(), graphs.ops.tolist(), strict=True)
    ]
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("slots", "inputs", "cells"), [(1, 1, 1), (2, 1, 1), (2, 2, 2)])
def test_operations_on_edges_worked_example(slots, inputs, cells):
    space = CellSpace(
        "toy",
        ("zero", "same", "conv"),
        op_on="edge",
        max_nodes=4 + (inputs == 2),
        none_op="zero",
        skip_op="same",
        edges_per_pair=slots,
        num_inputs=inputs,
        cells=cells,
    )
    graphs = space.sample(5, 2)
    encoder = small_gates(space)
    rows = [
        by_hand_on_edges(encoder, r % cells, ops, 1, 2, inputs)
        for r, ops in enumerate(graphs.edge_ops().tolist())
    ]
    np.testing.assert_allclose(
        encoder(graphs).detach().numpy(), np.reshape(rows, (5, -1)), rtol=1e-5, atol=1e-6
    )


def test_gradient_equals_finite_differences():
    space = archenc.create_space("nasbench201")
    encoder = small_gates(space).double()
    graphs = space.sample(4, 0)
    weight = encoder.flow[1].weight
    assert_gradient_is_slope(lambda: encoder(graphs).sum(), weight, [(0, 0), (2, 1), (4, 3)])


def test_none_edges_carry_nothing_and_skips_pass_everything():
    space = archenc.create_space("nasbench201")
    encoder = small_gates(space)
    alone = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    dead_convolution = space.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|none~2|")
    assert torch.equal(encoder(alone), encoder(dead_convolution))


def test_node_form_of_a_space_with_operations_on_edges():
    space = archenc.create_space("nasbench201")
    encoder = archenc.create_encoder("gates", space, form="node", simplify=True)
    same = space.parse(
        [
            "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
            "|none~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
        ]
    )
    first, second = encoder(same)
    torch.testing.assert_close(first, second)


def test_operations_on_nodes_cannot_be_put_on_edges():
    with pytest.raises(InvalidParameter, match="leave form out"):
        archenc.create_encoder("gates", archenc.create_space("nasbench101"), form="edge")
