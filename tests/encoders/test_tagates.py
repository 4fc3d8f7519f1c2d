"""TA-GATES against its formulas, written as explicit sums over one architecture at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archenc
from archenc.encoders.tagates import TAGATESEncoder
from archenc.errors import InvalidParameter
from archenc.graphs.transforms import isomorphic_twin
from archenc.spaces.cell import CellSpace
from archenc.testing import check_encoder, example_spaces
from tests.bad_input import assert_one_sentence
from tests.shared import assert_gradient_is_slope

SMALL = {"op_dim": 3, "node_dim": 2, "hidden_dim": 4, "update_dim": 5}


def linear(layer, vector):
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in rows]


def perceptron(module, vector):
    layers = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    for layer in layers[:-1]:
        vector = [max(v, 0.0) for v in linear(layer, vector)]
    return linear(layers[-1], vector)


def times(vector, matrix):
    return [sum(vector[a] * matrix[a][b] for a in range(len(vector))) for b in range(len(matrix[0]))]


def gate(layer, op):
    return [1.0 / (1.0 + math.exp(-v)) for v in linear(layer.gate, op)]


def first_states(encoder, nodes):
    inputs = encoder.initial_state.inputs[0].tolist()
    others = encoder.initial_state.others
    rest = [0.0] * len(inputs[0]) if others is None else others[0, 0].tolist()
    return [
        linear(encoder.initial_state.linear, inputs[v] if v < len(inputs) else rest) for v in range(nodes)
    ]


def gradient_states(encoder, states):
    nodes, size = len(states), len(states[0])
    return [[0.0] * size for _ in range(nodes - 1)] + [perceptron(encoder.output_gradient, states[-1])]


def first_operations(encoder, kinds, scores):
    table = encoder.op_embedding().tolist()
    ops = [list(table[k]) for k in kinds]
    if encoder.symmetry_breaking == "scores":
        shifts = [perceptron(encoder.score_embedding, z) for z in scores]
        ops = [
            [e + encoder.score_scale * v for e, v in zip(op, shift, strict=True)]
            for op, shift in zip(ops, shifts, strict=True)
        ]
    return ops


def seen_by_gates(encoder, op, number, scores):
    return op + scores[number] if encoder.symmetry_breaking == "scores-concat" else op


def constants(held):
    """What the update takes as constants: kept in the first pass, and the same again in every later one with
    the same list.
    """
    again = iter(list(held)) if held else None

    def constant(vector):
        if again is not None:
            return next(again)
        held.append(vector)
        return vector

    return constant


def relu(rows, last):
    return rows if last else [[max(v, 0.0) for v in row] for row in rows]


def on_nodes(encoder, adjacency, kinds, scores=None, held=None):
    """The readout of each step."""
    nodes = len(kinds)
    constant = constants([] if held is None else held)
    ops = first_operations(encoder, kinds, scores)

    def flow(stack, states, sources, keep):
        for depth, layer in enumerate(stack.layers):
            x = [times(s, layer.weight.tolist()) for s in states]
            gates = [gate(layer, seen_by_gates(encoder, op, v, scores)) for v, op in enumerate(ops)]
            bias = layer.bias.tolist()
            new = []
            for i in range(nodes):
                carried = [sum(x[j][h] for j in [i, *sources(i)]) for h in range(len(bias))]
                new.append(
                    [
                        gates[i][h] * carried[h] + (x[i][h] if i == keep else 0.0) + bias[h]
                        for h in range(len(bias))
                    ]
                )
            states = relu(new, depth == len(stack.layers) - 1)
        return states

    def into(i):
        return [j for j in range(nodes) if adjacency[j][i]]

    def out_of(i):
        return [j for j in range(nodes) if adjacency[i][j]]

    readouts = []
    for step in range(encoder.steps):
        y = flow(encoder.forward_flow, first_states(encoder, nodes), into, 0)
        readouts.append([sum(y[i][h] for i in range(1, nodes)) / (nodes - 1) for h in range(len(y[0]))])
        if step < encoder.steps - 1:
            b = flow(encoder.backward_flow, gradient_states(encoder, y), out_of, nodes - 1)
            changes = [
                perceptron(encoder.update, constant(ops[i]) + constant(y[i]) + b[i]) for i in range(nodes)
            ]
            ops = [
                [e + 0.1 * c for e, c in zip(op, change, strict=True)]
                for op, change in zip(ops, changes, strict=True)
            ]
    return readouts


def on_edges(encoder, edges, nodes, slots, fixed_gate, updated, scores=None, held=None):
    """The readout of each step; ``edges`` are (source, target, kind), ``fixed_gate`` and ``updated`` tell
    what kinds do.
    """
    constant = constants([] if held is None else held)
    ops = first_operations(encoder, [kind for _, _, kind in edges], scores)

    def flow(stack, states, reverse, keep):
        messages = []
        for depth, layer in enumerate(stack.layers):
            x = [times(s, layer.weight.tolist()) for s in states]
            size = len(x[0])
            messages = []
            new = [[x[i][h] if i == keep else 0.0 for h in range(size)] for i in range(nodes)]
            for number, ((source, target, kind), op) in enumerate(zip(edges, ops, strict=True)):
                sender, receiver = (target, source) if reverse else (source, target)
                g = (
                    [fixed_gate[kind]] * size
                    if kind in fixed_gate
                    else gate(layer, seen_by_gates(encoder, op, number, scores))
                )
                message = [g[h] * x[sender][h] for h in range(size)]
                messages.append(message)
                new[receiver] = [n + m / slots for n, m in zip(new[receiver], message, strict=True)]
            states = relu(new, depth == len(stack.layers) - 1)
        return states, messages

    readouts = []
    for step in range(encoder.steps):
        y, ahead = flow(encoder.forward_flow, first_states(encoder, nodes), False, 0)
        readouts.append(y[-1])
        if step < encoder.steps - 1:
            _, back = flow(encoder.backward_flow, gradient_states(encoder, y), True, nodes - 1)
            for e, (_, _, kind) in enumerate(edges):
                if kind in updated:
                    change = perceptron(encoder.update, constant(ops[e]) + constant(ahead[e]) + back[e])
                    ops[e] = [v + 0.1 * c for v, c in zip(ops[e], change, strict=True)]
    return readouts


def small_encoder(space, **parameters):
    torch.manual_seed(7)
    encoder = archenc.create_encoder("ta-gates", space, layers=(5, 4), **{**SMALL, **parameters})
    if encoder.initial_state.others is not None:
        torch.nn.init.normal_(encoder.initial_state.others)
    for module in (
        encoder.update,
        encoder.output_gradient,
    ):  # as large as the rest, or an error in the update would not show
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    return encoder


NODES = CellSpace("toy", ("a", "b", "c"), op_on="node", max_nodes=5)
EDGES = CellSpace(
    "toy", ("zero", "same", "max_pool", "conv"), op_on="edge", max_nodes=4, none_op="zero", skip_op="same"
)
PARALLEL = CellSpace(
    "toy",
    ("zero", "same", "max_pool", "conv"),
    op_on="edge",
    max_nodes=4,
    none_op="zero",
    skip_op="same",
    edges_per_pair=2,
)
VARIANTS = {
    "without scores": {},
    "scores added": {"symmetry_breaking": "scores", "score_dim": 2, "score_scale": 0.7},
    "scores beside": {"symmetry_breaking": "scores-concat", "score_dim": 2},
    "anytime": {"anytime": True},
    "anytime, scores added": {"anytime": True, "symmetry_breaking": "scores", "score_dim": 2},
}


def with_scores(graphs, seed=0):
    return graphs.with_features(np.random.default_rng(seed).normal(size=(*graphs.ops.shape, 2)))


def whole_cells(space):
    """Architectures without padding, so that every node counts, and with scores."""
    graphs = space.sample(40, 1)
    return with_scores(graphs[graphs.mask.all(1)][:4])


def by_loops(encoder, graphs, row, held=None):
    """The encoding of one architecture of one cell."""
    if graphs.op_on == "node":
        adjacency, kinds, scores = (
            graphs.adjacency[row].tolist(),
            graphs.ops[row].tolist(),
            graphs.features[row].tolist(),
        )
        readouts = on_nodes(encoder, adjacency, kinds, scores, held)
    else:
        (slots, nodes), ops = graphs.edge_ops()[row].shape[:2], graphs.edge_ops()[row].tolist()
        places = [(s, i, j) for s in range(slots) for i in range(nodes) for j in range(nodes) if ops[s][i][j]]
        scores = [graphs.edge_features()[row][place].tolist() for place in places]
        readouts = on_edges(
            encoder,
            [(i, j, ops[s][i][j]) for s, i, j in places],
            nodes,
            slots,
            {1: 0.0, 2: 1.0},
            {4},
            scores,
            held,
        )
    return [value for readout in readouts for value in readout] if encoder.anytime else readouts[-1]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("space", "steps"),
    [(NODES, 1), (NODES, 3), (EDGES, 1), (EDGES, 4), (PARALLEL, 3)],
    ids=["n1", "n3", "e1", "e4", "parallel"],
)
def test_worked_example(space, steps, variant):
    graphs = whole_cells(space)
    encoder = small_encoder(space, steps=steps, **VARIANTS[variant])
    expected = [by_loops(encoder, graphs, row) for row in range(len(graphs))]
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("space", [NODES, PARALLEL], ids=["nodes", "edges"])
def test_gradient_of_the_worked_example(space, variant):
    """Every weight's gradient is the slope of the explicit sums while what the update holds fixed stays as it
    is.
    """
    graphs = whole_cells(space)[0]
    encoder = small_encoder(space, steps=3, **VARIANTS[variant]).double()
    graphs = replace(graphs, features=graphs.features.double())
    weights = np.random.default_rng(0).normal(size=encoder.dim)
    (encoder(graphs)[0] @ torch.from_numpy(weights)).backward()
    held = []
    by_loops(encoder, graphs, 0, held)
    rng = np.random.default_rng(1)
    for name, parameter in encoder.named_parameters():
        entry = int(parameter.grad.abs().flatten().argmax()), int(rng.integers(parameter.numel()))
        for at in entry:
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[at] += sign * 1e-6
                    values.append(weights @ by_loops(encoder, graphs, 0, held))
                    parameter.view(-1)[at] -= sign * 1e-6
            slope = (values[0] - values[1]) / 2e-6
            assert parameter.grad.view(-1)[at].item() == pytest.approx(slope, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_gradients_stop_at_the_operations_and_states_that_are_held_fixed(name):
    """The update sees e and y as constants: with a frozen forward state its gradient is that of finite
    differences of b_y alone.
    """
    space = archenc.create_space(name)
    encoder = small_encoder(space, steps=2).double()
    graphs = space.sample(3, 0)
    weight = encoder.backward_flow.layers[
        0
    ].weight  # reaches the output through b_y only, where nothing is held fixed
    assert_gradient_is_slope(lambda: encoder(graphs).sum(), weight, [(0, 0), (1, 3), (3, 2)])


def test_what_is_held_fixed_passes_no_gradient():
    """In the update of step 1, the operation table's gradient comes through the gates and e itself, not
    through the MLP's input.
    """
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


@pytest.mark.parametrize(
    "parameters",
    [
        {"form": "edge"},
        {"symmetry_breaking": "noise"},
        {"readout": "sum"},
        {"symmetry_breaking": "scores"},
        {"symmetry_breaking": "scores-concat", "score_dim": -1},
        {"symmetry_breaking": "random", "score_dim": 3},
    ],
)
def test_what_makes_no_sense_is_refused(parameters):
    with pytest.raises(InvalidParameter) as caught:
        archenc.create_encoder("ta-gates", archenc.create_space("nasbench101"), **parameters)
    assert_one_sentence(caught.value)


# -- given scores --------------------------------------------------------------------------------------------


def sensitive_encoder(space, kind, **parameters):
    """The scores move its encodings by far more than rounding."""
    torch.manual_seed(0)
    return archenc.create_encoder(
        "ta-gates", space, layers=(32, 32), symmetry_breaking=kind, score_dim=2, score_scale=3.0, **parameters
    ).eval()


@pytest.mark.parametrize("kind", ["scores", "scores-concat"])
@pytest.mark.parametrize("features", [None, 3])
def test_graphs_without_the_scores_are_refused(kind, features):
    space = archenc.create_space("nasbench201")
    encoder = small_encoder(space, symmetry_breaking=kind, score_dim=2)
    graphs = space.sample(4, 0)
    graphs = graphs.with_features(None if features is None else np.ones((*graphs.ops.shape, features)))
    with pytest.raises(InvalidParameter, match=f"the graphs have {features or 0}") as caught:
        encoder(graphs)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("kind", ["scores", "scores-concat"])
@pytest.mark.parametrize("form", ["node", None])
def test_scores_tell_equal_operations_apart(kind, form):
    """It matters which of the two 1x1 convolutions behind the input has the high score."""
    space = archenc.create_space("nasbench201")
    graphs = space.parse([2, 2, 3, 2, 2, 2])
    encoder = sensitive_encoder(space, kind, form=form)
    encodings = []
    for place in ((0, 1), (0, 2)):
        scores = torch.zeros(1, 4, 4, 2)
        scores[0][place] = 3.0
        encodings.append(encoder.encode(graphs.with_features(scores)))
    assert np.abs(encodings[0] - encodings[1]).max() > 1e-4


SPACES = example_spaces()
SCORED = {
    (name, kind): sensitive_encoder(space, kind, simplify=space.op_on == "edge")
    for name, space in SPACES.items()
    for kind in ("scores", "scores-concat")
}


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_isomorphic_architectures_with_their_scores_have_the_same_encoding(name, seed):
    graphs = with_scores(SPACES[name].sample(8, seed), seed)
    twins = isomorphic_twin(graphs, seed)
    for kind in ("scores", "scores-concat"):
        encoder = SCORED[name, kind]
        np.testing.assert_allclose(
            encoder.encode(graphs), encoder.encode(twins), rtol=1e-4, atol=1e-5, err_msg=kind
        )


@pytest.mark.parametrize("name", SPACES)
def test_scores_that_do_not_travel_with_their_operations_give_another_encoding(name):
    graphs = with_scores(SPACES[name].sample(100, 0))
    twins = isomorphic_twin(graphs, 1)
    left_behind = twins.with_features(graphs.features)
    for kind in ("scores", "scores-concat"):
        encoder = SCORED[name, kind]
        assert np.abs(encoder.encode(twins) - encoder.encode(left_behind)).max() > 1e-3


@pytest.mark.parametrize(("kind", "form"), [("scores", None), ("scores-concat", "node")])
def test_a_predictor_learns_what_only_the_scores_tell(kind, form, tmp_path):
    """In minibatches, on other architectures, and after loading."""
    space = archenc.create_space("nasbench201")
    graphs = with_scores(space.parse([[2, 3, 2, 3, 2, 3]] * 120))
    y = graphs.features[..., 0].sum((1, 2)).numpy()
    scores = {"symmetry_breaking": kind, "score_dim": 2, "score_scale": 1.0, "form": form}
    predictor = archenc.Predictor(
        "ta-gates",
        encoder_params={"layers": [16, 16, 16], **scores},
        epochs=12,
        batch_size=40,
        lr=1e-2,
        random_state=0,
    ).fit(graphs[:80], y[:80])
    assert predictor.score(graphs[80:], y[80:]) > 0.6
    loaded = archenc.Predictor.load(predictor.save(tmp_path / "p"))
    np.testing.assert_array_equal(loaded.predict(graphs), predictor.predict(graphs))


class Scored(TAGATESEncoder):
    """TA-GATES with scores made of the degrees, so that the contract checks need not know of scores."""

    def __init__(self, space, *, kind="scores", simplify=False):
        super().__init__(space, symmetry_breaking=kind, score_dim=2, layers=(16, 16), simplify=simplify)

    def prepare(self, graphs):
        graphs = super().prepare(graphs)
        degrees = torch.stack([graphs.adjacency.sum(1), graphs.adjacency.sum(2)], dim=-1).float()
        if graphs.op_on == "edge":
            degrees = (degrees[:, :, None] + 2 * degrees[:, None, :]).expand(*graphs.ops.shape, 2)
        return graphs.with_features(degrees / 3)


@pytest.mark.parametrize("kind", ["scores", "scores-concat"])
@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_encoders_with_scores_keep_the_contract(name, kind):
    check_encoder(Scored, SPACES[name], kind=kind)


# -- anytime -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_each_part_of_an_anytime_encoding_is_what_so_many_steps_give(name):
    """Also where an architecture has several cells: a part holds its own step's readouts of all of them."""
    graphs = SPACES[name].sample(5, 0)
    anytime = small_encoder(SPACES[name], steps=3, anytime=True).eval()
    assert anytime.parts == 3
    parts = np.split(anytime.encode(graphs), 3, axis=1)
    for steps, part in enumerate(parts, start=1):
        plain = small_encoder(SPACES[name], steps=steps).eval()
        plain.load_state_dict(anytime.state_dict())
        np.testing.assert_allclose(plain.encode(graphs), part, rtol=1e-5, atol=1e-6)
    assert np.abs(parts[0] - parts[1]).max() > 1e-4
    assert np.abs(parts[1] - parts[2]).max() > 1e-4


def test_the_anytime_variant_has_two_steps_by_default():
    encoder = archenc.create_encoder("ta-gates", SPACES["nasbench201"], anytime=True)
    assert (encoder.steps, encoder.parts, encoder.dim) == (2, 2, 256)
    assert archenc.create_encoder("ta-gates", SPACES["nasbench201"]).parts == 1


@pytest.mark.parametrize("name", ["nasbench101", "free edges"])
def test_the_anytime_variant_keeps_the_contract(name):
    check_encoder("ta-gates", SPACES[name], anytime=True, layers=(16, 16))
