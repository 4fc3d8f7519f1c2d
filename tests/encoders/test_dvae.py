"""D-VAE against its formulas, written for one cell at a time, and what its decoder writes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc.encoders import dvae
from archenc.encoders.dvae import DVAEEncoder
from archenc.encoders.modules.dvae_modules import GRU
from archenc.errors import InvalidParameter
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, PAD
from archenc.graphs.transforms import isomorphic_twin, permute_nodes
from archenc.spaces.cell import CellSpace
from tests.shared import added, apply, assert_gradient_is_slope

SMALL = {"hidden_dim": 5, "latent_dim": 3}


def build(space, seed=0, **hyperparameters):
    torch.manual_seed(seed)
    return DVAEEncoder(space, **{**SMALL, **hyperparameters})


def sigmoid(value):
    return 1.0 / (1.0 + math.exp(-value))


def perceptron(module, vector):
    first, second = (layer for layer in module if isinstance(layer, nn.Linear))
    return apply(second, [max(v, 0.0) for v in apply(first, vector)])


def unit(passing, kind, position, received):
    """A gated recurrent unit whose input is a kind and a position."""
    x = added(passing.kind_inputs[kind].tolist(), passing.position_inputs[position].tolist())
    s, size, state = apply(passing.gru.state_map, received), len(received), []
    for i in range(size):
        reset, keep = sigmoid(x[i] + s[i]), sigmoid(x[size + i] + s[size + i])
        new = math.tanh(x[2 * size + i] + reset * s[2 * size + i])
        state.append((1 - keep) * new + keep * received[i])
    return state


def message(passing, state, position):
    known = state + [float(p == position) for p in range(len(passing.positions))]
    return [
        sigmoid(g) * m for g, m in zip(apply(passing.gate, known), apply(passing.map, known), strict=True)
    ]


def nodes_of(graphs, row):
    """Kinds (inputs, operations, output, in this order) and edges of the nodes that exist."""
    space = graphs.space
    there = [v for v, op in enumerate(graphs.ops[row].tolist()) if op != PAD]
    last = space.num_inputs + len(space.operations)
    kinds = [
        v
        if v < space.num_inputs
        else last
        if graphs.ops[row, v] == OUTPUT
        else int(graphs.ops[row, v]) - 3 + space.num_inputs
        for v in there
    ]
    edges = {(a, b) for a, u in enumerate(there) for b, v in enumerate(there) if graphs.adjacency[row, u, v]}
    return kinds, edges


def cell_state_by_hand(encoder, kinds, edges):
    zero = [0.0] * encoder.mu.in_features
    zero = zero[: len(zero) // 2]

    def run(passing, order, sources):
        states = {}
        for v in order:
            states[v] = unit(
                passing, kinds[v], v, added(zero, *[message(passing, states[u], u) for u in sources(v)])
            )
        return states

    nodes, inputs = len(kinds), encoder.space.num_inputs
    ahead = run(encoder.ahead, range(nodes), lambda v: [u for u, target in edges if target == v])
    back = run(encoder.back, reversed(range(nodes)), lambda v: [u for source, u in edges if source == v])
    return ahead[nodes - 1] + [s / inputs for s in added(*[back[v] for v in range(inputs)])]


def log_likelihood_by_hand(encoder, z, kinds, edges):
    """The decoder writes a cell step by step; each step is held to the right choice."""
    decoder, inputs = encoder.decoder, encoder.space.num_inputs
    passing, places = decoder.passing, encoder.space.num_node_form_nodes
    start = [math.tanh(v) for v in apply(decoder.start, z)]
    states, messages, total = [], [], 0.0
    for v, kind in enumerate(kinds):
        received = start if v < inputs else [0.0] * len(start)
        if inputs <= v < places - 1:
            logits = perceptron(decoder.next_type, states[-1])
            total += logits[kind - inputs] - math.log(sum(math.exp(logit) for logit in logits))
        state = unit(passing, kind, v, received)
        if v >= inputs:
            for u in reversed(range(v)):
                probability = sigmoid(perceptron(decoder.edge, states[u] + state)[0])
                total += math.log(probability if (u, v) in edges else 1 - probability)
                if (u, v) in edges:
                    received = added(received, messages[u])
                    state = unit(passing, kind, v, received)
        states.append(state)
        messages.append(message(passing, state, v))
    return total


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "free edges"])
@torch.no_grad()
def test_encoding_and_loss_by_hand(spaces, name):
    space = spaces[name]
    encoder = build(space, beta=0.1, noise_scale=0.7).double()
    graphs = encoder.prepare(space.sample(3, seed=0))
    losses, noise = [], torch.randn(len(graphs.ops), 3, generator=torch.Generator().manual_seed(1)).tolist()
    for row, encoding in enumerate(encoder.encode_cells(graphs).tolist()):
        kinds, edges = nodes_of(graphs, row)
        states = cell_state_by_hand(encoder, kinds, edges)
        mu, log_variance = apply(encoder.mu, states), apply(encoder.log_variance, states)
        assert encoding == pytest.approx(mu, abs=1e-10)
        z = [m + 0.7 * math.exp(v / 2) * n for m, v, n in zip(mu, log_variance, noise[row], strict=True)]
        kl = -0.5 * sum(1 + v - m * m - math.exp(v) for m, v in zip(mu, log_variance, strict=True))
        losses.append(0.1 * kl - log_likelihood_by_hand(encoder, z, kinds, edges))
    loss = encoder.pretraining_loss(graphs, torch.Generator().manual_seed(1)).item()
    assert loss == pytest.approx(np.mean(losses), rel=1e-8)


def test_gradients_are_slopes(spaces):
    encoder = build(spaces["nasbench101"], beta=0.1, noise_scale=0.7).double()
    graphs = encoder.prepare(spaces["nasbench101"].sample(6, seed=0))
    for name, entries in {
        "ahead.gate.weight": [(0, 1), (3, 6)],
        "back.gru.state_map.weight": [(0, 0), (12, 3)],
        "log_variance.weight": [(1, 2)],
        "decoder.passing.kind_inputs": [(3, 2), (4, 11)],
        "decoder.passing.map.weight": [(2, 2), (1, 7)],
        "decoder.edge.0.weight": [(0, 0), (4, 8)],
        "decoder.next_type.0.weight": [(1, 1)],
    }.items():
        encoder.zero_grad()
        weight = encoder.get_parameter(name)
        assert_gradient_is_slope(
            lambda: encoder.pretraining_loss(graphs, torch.Generator().manual_seed(0)), weight, entries
        )


@torch.no_grad()
def test_the_unit_is_torchs():
    ours, torchs = GRU(6), nn.GRUCell(4, 6)
    ours.state_map.weight.copy_(torchs.weight_hh)
    ours.state_map.bias.copy_(torchs.bias_hh)
    x, state = torch.randn(8, 4), torch.randn(8, 6)
    inputs = nn.functional.linear(x, torchs.weight_ih, torchs.bias_ih)
    torch.testing.assert_close(ours(inputs, state), torchs(x, state))


def test_where_empty_places_lie_changes_nothing(spaces):
    space = spaces["nasbench101"]
    graphs = space.sample(60, seed=0)
    graphs = graphs[(graphs.mask.sum(1) == 5).nonzero()[:, 0]]  # nodes 0 1 2 3, two empty places, the output
    moved = permute_nodes(graphs, torch.tensor([0, 4, 1, 2, 5, 3, 6]).expand(len(graphs), 7))
    assert not torch.equal(moved.mask, graphs.mask)
    encoder = build(space)
    assert encoder.encode(moved) == pytest.approx(encoder.encode(graphs), abs=1e-6)
    first, second = (
        encoder.pretraining_loss(g, torch.Generator().manual_seed(0)).item() for g in (graphs, moved)
    )
    assert second == pytest.approx(first, rel=1e-6)


@torch.no_grad()
def test_the_order_of_the_nodes_counts_by_their_positions_alone(spaces):
    space = spaces["nasbench101"]
    graphs = space.sample(100, seed=0)
    twins = isomorphic_twin(graphs, seed=1)
    reordered = (graphs.ops != twins.ops).any(1).numpy()
    assert reordered.sum() > 10
    assert not DVAEEncoder.invariant
    encoder = build(space)
    apart = np.abs(encoder.encode(graphs) - encoder.encode(twins)).max(1)
    assert (apart[reordered] > 1e-4).all()
    for passing in (encoder.ahead, encoder.back):
        passing.positions.zero_()
        passing.position_inputs.zero_()
    assert encoder.encode(twins) == pytest.approx(encoder.encode(graphs), abs=1e-6)


def learn_by_heart(encoder, graphs, steps):
    optimiser = torch.optim.Adam(encoder.parameters(), 2e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = encoder.pretraining_loss(graphs, generator)
        loss.backward()
        optimiser.step()
        if loss < 0.05:
            return


@torch.no_grad()
def test_what_was_learnt_by_heart_is_decoded(spaces):
    space = spaces["free nodes"]
    encoder = build(space, hidden_dim=16, beta=1e-4)
    graphs = encoder.prepare(space.sample(12, seed=0))
    assert len(torch.unique(graphs.mask.sum(1))) > 2
    assert encoder.pretraining_metrics(graphs, torch.Generator())["reconstruction_accuracy"] < 50
    with torch.enable_grad():
        learn_by_heart(encoder, graphs, 150)
    decoded = encoder.decode(encoder.encode_cells(graphs))
    assert torch.equal(decoded.ops, graphs.ops)
    assert torch.equal(decoded.adjacency, graphs.adjacency)
    assert torch.equal(decoded.mask, graphs.mask)
    assert encoder.pretraining_metrics(graphs, torch.Generator()) == {"reconstruction_accuracy": 100.0}
    spoilt = replace(graphs, adjacency=graphs.adjacency.clone())
    spoilt.adjacency[:3, 0, -1] ^= 1
    assert encoder.pretraining_metrics(spoilt, torch.Generator()) == {
        "reconstruction_accuracy": pytest.approx(75.0, abs=9)
    }


@pytest.mark.parametrize("generator", [None, 0], ids=["most probable", "drawn"])
@torch.no_grad()
def test_what_is_decoded_is_in_form_whatever_the_point(space, generator):
    encoder = build(space)
    generator = generator if generator is None else torch.Generator().manual_seed(generator)
    z = 10 * torch.randn(200 * space.cells, 3)
    graphs = encoder.decode(z, generator, batch_size=64 * space.cells)
    ops, mask, inputs = graphs.ops, graphs.mask, space.num_inputs
    assert graphs.op_on == "node"
    assert len(graphs) == 200
    assert graphs.num_nodes == space.num_node_form_nodes
    assert (ops[:, :inputs] == INPUT).all()
    assert (ops[:, -1] == OUTPUT).all()
    inside = ops[:, inputs:-1]
    assert ((inside == PAD) | (inside >= NODE_OFFSET)).all()
    assert torch.equal(mask, ops != PAD)
    assert not (mask[:, inputs + 1 : -1] & ~mask[:, inputs:-2]).any()
    assert not graphs.adjacency.tril().any()
    assert not graphs.adjacency[:, :, :inputs].any()
    assert not (graphs.adjacency.bool() & ~(mask[:, :, None] & mask[:, None, :])).any()
    if generator is None:
        assert torch.equal(encoder.decode(z[: space.cells]).ops, ops[: space.cells])
    else:
        assert len(torch.unique(ops, dim=0)) > 10


@torch.no_grad()
def test_the_figures_of_an_untrained_encoder(space, monkeypatch):
    monkeypatch.setattr(dvae.DVAEEncoder, "draws", 100)
    figures = build(space).pretraining_figures(space.sample(20, seed=0), torch.Generator().manual_seed(0))
    assert {"validity", "uniqueness"} <= set(figures)
    assert all(0 <= value <= 100 for value in figures.values())


@torch.no_grad()
def test_cells_are_drawn_as_often_as_their_likelihood_says():
    space = CellSpace("tiny", ["conv", "pool"], max_nodes=4)
    encoder = build(space, seed=1)
    z, draws = torch.randn(1, 3), 20_000
    drawn = encoder.decode(z.expand(draws, -1), torch.Generator().manual_seed(0))
    _, first, counts = np.unique(
        np.c_[drawn.ops.numpy(), drawn.adjacency.flatten(1).numpy()],
        axis=0,
        return_index=True,
        return_counts=True,
    )
    cells = dvae.output_behind_nodes(drawn[first])
    columns, adjacency = encoder.features.ids(cells), cells.adjacency.float()
    probability = encoder.decoder.log_likelihood(z.expand(len(first), -1), columns, adjacency).exp().numpy()
    assert 0.95 < probability.sum() < 1 + 1e-5
    common = counts > 100
    assert common.sum() > 10
    deviations = (counts - draws * probability) / np.sqrt(draws * probability)
    assert np.abs(deviations[common]).max() < 4.5


@torch.no_grad()
def test_draws_follow_the_seed(spaces):
    encoder = build(spaces["nasbench101"])
    z = torch.randn(50, 3)
    first, again, other = (
        encoder.decode(z, torch.Generator().manual_seed(seed)).adjacency for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pretraining_ends_with_weights_that_are_loaded(tmp_path, spaces):
    graphs = spaces["free nodes"].sample(80, seed=0)
    card = archenc.pretrain("dvae", graphs, tmp_path / "run", encoder_params=SMALL, epochs=2)
    assert {"loss", "reconstruction_accuracy", "validity", "uniqueness", "strict_validity"} <= set(
        card["figures"]
    )
    assert card["history"][1]["loss"] < card["history"][0]["loss"]
    encoder = archenc.load_pretrained(tmp_path / "run")
    assert encoder.encode(graphs) == pytest.approx(archenc.load_embeddings(tmp_path / "run").values, abs=1e-6)


def test_negative_settings_are_refused(spaces):
    for parameters in ({"beta": -0.1}, {"noise_scale": -1.0}):
        with pytest.raises(InvalidParameter, match="from 0 up"):
            build(spaces["nasbench201"], **parameters)
