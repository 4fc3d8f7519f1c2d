"""TA-GATES against its formulas, written as explicit sums over one architecture at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidParameter
from archenc.spaces.cell import CellSpace
from tests.encoders.by_hand import assert_gradient_is_slope

SMALL = {"op_dim": 3, "node_dim": 2, "hidden_dim": 4, "update_dim": 5}


def linear(layer, vector):
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in rows]


def two_layers(module, vector):
    return linear(module[2], [max(v, 0.0) for v in linear(module[0], vector)])


def times(vector, matrix):
    return [sum(vector[a] * matrix[a][b] for a in range(len(vector))) for b in range(len(matrix[0]))]


def gate(layer, op):
    return [1.0 / (1.0 + math.exp(-v)) for v in linear(layer.gate, op)]


def first_states(encoder, nodes):
    inputs = encoder.initial_state.inputs[0].tolist()
    others = encoder.initial_state.others
    rest = [0.0] * len(inputs[0]) if others is None else others[0, 0].tolist()
    return [linear(encoder.initial_state.linear, inputs[v] if v < len(inputs) else rest) for v in range(nodes)]


def gradient_states(encoder, states):
    nodes, size = len(states), len(states[0])
    return [[0.0] * size for _ in range(nodes - 1)] + [two_layers(encoder.output_gradient, states[-1])]


def relu(rows, last):
    return rows if last else [[max(v, 0.0) for v in row] for row in rows]


def on_nodes(encoder, adjacency, kinds):
    nodes = len(kinds)
    table = encoder.op_embedding().tolist()
    ops = [list(table[k]) for k in kinds]

    def flow(stack, states, sources, keep):
        for depth, layer in enumerate(stack.layers):
            x = [times(s, layer.weight.tolist()) for s in states]
            gates = [gate(layer, op) for op in ops]
            bias = layer.bias.tolist()
            new = []
            for i in range(nodes):
                carried = [sum(x[j][h] for j in [i, *sources(i)]) for h in range(len(bias))]
                new.append([gates[i][h] * carried[h] + (x[i][h] if i == keep else 0.0) + bias[h] for h in range(len(bias))])
            states = relu(new, depth == len(stack.layers) - 1)
        return states

    def into(i):
        return [j for j in range(nodes) if adjacency[j][i]]

    def out_of(i):
        return [j for j in range(nodes) if adjacency[i][j]]

    for _ in range(encoder.steps - 1):
        y = flow(encoder.forward_flow, first_states(encoder, nodes), into, 0)
        b = flow(encoder.backward_flow, gradient_states(encoder, y), out_of, nodes - 1)
        changes = [two_layers(encoder.update, ops[i] + y[i] + b[i]) for i in range(nodes)]
        ops = [[e + 0.1 * c for e, c in zip(op, change, strict=True)] for op, change in zip(ops, changes, strict=True)]
    y = flow(encoder.forward_flow, first_states(encoder, nodes), into, 0)
    return [sum(y[i][h] for i in range(1, nodes)) / (nodes - 1) for h in range(len(y[0]))]


def on_edges(encoder, edges, nodes, slots, fixed_gate, updated):
    """``edges`` are (source, target, kind); ``fixed_gate`` and ``updated`` tell what kinds do."""
    table = encoder.op_embedding().tolist()
    ops = [list(table[kind]) for _, _, kind in edges]

    def flow(stack, states, reverse, keep):
        messages = []
        for depth, layer in enumerate(stack.layers):
            x = [times(s, layer.weight.tolist()) for s in states]
            size = len(x[0])
            messages = []
            new = [[x[i][h] if i == keep else 0.0 for h in range(size)] for i in range(nodes)]
            for (source, target, kind), op in zip(edges, ops, strict=True):
                sender, receiver = (target, source) if reverse else (source, target)
                g = [fixed_gate[kind]] * size if kind in fixed_gate else gate(layer, op)
                message = [g[h] * x[sender][h] for h in range(size)]
                messages.append(message)
                new[receiver] = [n + m / slots for n, m in zip(new[receiver], message, strict=True)]
            states = relu(new, depth == len(stack.layers) - 1)
        return states, messages

    for _ in range(encoder.steps - 1):
        y, ahead = flow(encoder.forward_flow, first_states(encoder, nodes), False, 0)
        _, back = flow(encoder.backward_flow, gradient_states(encoder, y), True, nodes - 1)
        for e, (_, _, kind) in enumerate(edges):
            if kind in updated:
                change = two_layers(encoder.update, ops[e] + ahead[e] + back[e])
                ops[e] = [v + 0.1 * c for v, c in zip(ops[e], change, strict=True)]
    y, _ = flow(encoder.forward_flow, first_states(encoder, nodes), False, 0)
    return y[-1]


def small_encoder(space, **parameters):
    torch.manual_seed(7)
    encoder = archenc.create_encoder("ta-gates", space, layers=(5, 4), **{**SMALL, **parameters})
    if encoder.initial_state.others is not None:
        torch.nn.init.normal_(encoder.initial_state.others)
    for module in (encoder.update, encoder.output_gradient):  # as large as the rest, or an error in the update would not show
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    return encoder


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_operations_on_nodes_worked_example(steps):
    space = CellSpace("toy", ("a", "b", "c"), op_on="node", max_nodes=5)
    graphs = space.sample(40, 1)
    graphs = graphs[graphs.mask.all(1)][:4]  # no padding, so that every node counts
    encoder = small_encoder(space, steps=steps)
    expected = [on_nodes(encoder, a, k) for a, k in zip(graphs.adjacency.tolist(), graphs.ops.tolist(), strict=True)]
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("steps", "slots"), [(1, 1), (4, 1), (3, 2)])
def test_operations_on_edges_worked_example(steps, slots):
    names = ("zero", "same", "max_pool", "conv")
    space = CellSpace("toy", names, op_on="edge", max_nodes=4, none_op="zero", skip_op="same", edges_per_pair=slots)
    graphs = space.sample(5, 3)
    encoder = small_encoder(space, steps=steps)
    expected = []
    for ops in graphs.edge_ops().tolist():
        edges = [(i, j, ops[s][i][j]) for s in range(slots) for i in range(4) for j in range(4) if ops[s][i][j]]
        expected.append(on_edges(encoder, edges, 4, slots, {1: 0.0, 2: 1.0}, {4}))
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_gradients_stop_at_the_operations_and_states_that_are_held_fixed(name):
    """The update sees e and y as constants: with a frozen forward state its gradient is that of finite differences of b_y alone."""
    space = archenc.create_space(name)
    encoder = small_encoder(space, steps=2).double()
    graphs = space.sample(3, 0)
    weight = encoder.backward_flow.layers[0].weight  # reaches the output through b_y only, where nothing is held fixed
    assert_gradient_is_slope(lambda: encoder(graphs).sum(), weight, [(0, 0), (1, 3), (3, 2)])


def test_what_is_held_fixed_passes_no_gradient():
    """In the update of step 1, the operation table's gradient comes through the gates and e itself, not through the MLP's input."""
    space = archenc.create_space("nasbench201")
    graphs = space.sample(4, 0)
    gradients = []
    for scale in (1.0, 0.0):
        encoder = small_encoder(space, steps=2)
        with torch.no_grad():  # the MLP's columns for e and y; they may change values but carry no gradient
            encoder.update[0].weight[:, : 3 + 4] *= scale
            encoder.update[0].weight[:, 3 + 4 :] = 0.0
            encoder.update[2].weight.zero_()  # no change of e at all, so that both encoders compute the same
        encoder(graphs).sum().backward()
        gradients.append(encoder.op_embedding.table.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_random_symmetry_breaking_is_for_training_only():
    space = archenc.create_space("nasbench201")
    encoder = small_encoder(space, symmetry_breaking="random")
    graphs = space.sample(4, 0)
    torch.manual_seed(0)
    first, second = encoder.train()(graphs), encoder(graphs)
    assert not torch.equal(first, second)
    assert torch.equal(encoder.eval()(graphs), encoder(graphs))


def test_operations_that_do_nothing_are_not_updated():
    encoder = archenc.create_encoder("ta-gates", archenc.create_space("nasbench201"))
    assert encoder.updated.flatten().tolist() == [False, False, False, True, True, False]


@pytest.mark.parametrize("parameters", [{"form": "edge"}, {"symmetry_breaking": "noise"}, {"readout": "sum"}])
def test_what_makes_no_sense_is_refused(parameters):
    with pytest.raises(InvalidParameter):
        archenc.create_encoder("ta-gates", archenc.create_space("nasbench101"), **parameters)
