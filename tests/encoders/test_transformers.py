"""Transformers over nodes: FlowerFormer and NN-Former."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import archenc
from archenc.encoders.flowerformer import (
    FlowerFormerFlow,
    FlowFunction,
    gated_unit,
    relation_bias,
    sender_bias,
)
from archenc.encoders.nnformer import barred_pairs
from archenc.errors import InvalidParameter
from archenc.graphs.transforms import permute_nodes, prune
from tests.shared import added, apply, assert_worked_example, normed

# -- FlowerFormer --------------------------------------------------------------------------------------------


SMALL = {"dim": 6, "layers": 2, "heads": 2}


def small_encoder(space, **parameters):
    torch.manual_seed(3)
    encoder = archenc.create_encoder("flowerformer", space, **(SMALL | parameters)).double().eval()
    for parameter in encoder.parameters():  # some start at 0 or 1, which would hide an error
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def relu(vector):
    return [max(v, 0.0) for v in vector]


def mixed(scores, vectors):
    """The vectors weighted by the softmax of the scores."""
    exponentials = [math.exp(score) for score in scores]
    return [
        sum(e * v[h] for e, v in zip(exponentials, vectors, strict=True)) / sum(exponentials)
        for h in range(len(vectors[0]))
    ]


def one_pass(flow, x, senders, order):
    """``senders[v]`` are the nodes whose new states v receives."""
    new = {}
    cell = torch.nn.GRUCell(len(x[0]), len(x[0]), dtype=torch.float64)
    state = {"weight_ih": flow.from_node.weight, "bias_ih": flow.from_node.bias}
    cell.load_state_dict(state | {"weight_hh": flow.from_message.weight, "bias_hh": flow.from_message.bias})
    for v in order:
        states = [new[u] for u in senders[v]]
        scores = [sum(a * b for a, b in zip(flow.score.tolist(), state, strict=True)) for state in states]
        message = mixed(scores, states) if states else [0.0] * len(x[0])
        new[v] = cell(torch.tensor(x[v]).double(), torch.tensor(message).double()).tolist()
    return new


def attention(module, x, related):
    size = len(next(iter(x.values())))
    per_head = size // module.heads
    qkv = {v: apply(module.qkv, x[v]) for v in x}
    out = {}
    for v in x:
        heads = []
        for first in range(0, size, per_head):
            part = range(first, first + per_head)
            scores = [
                sum(qkv[v][h] * qkv[u][size + h] for h in part) / math.sqrt(per_head) for u in related[v]
            ]
            heads += mixed(scores, [[qkv[u][2 * size + h] for h in part] for u in related[v]])
        out[v] = apply(module.mix_heads, heads)
    return out


def reachable(adjacency, v):
    found = {u for u in range(len(adjacency)) if adjacency[v][u]}
    return found.union(*(reachable(adjacency, u) for u in found))


def by_hand(encoder, adjacency, rows):
    nodes = [v for v, row in enumerate(rows) if row is not None]
    x = {v: relu(apply(encoder.features.linear, encoder.features.embedding[rows[v]].tolist())) for v in nodes}
    x = {v: [h / math.sqrt(sum(k * k for k in x[v])) for h in x[v]] for v in nodes}
    before = {v: [u for u in nodes if adjacency[u][v]] for v in nodes}
    after = {v: [u for u in nodes if adjacency[v][u]] for v in nodes}
    related = {
        v: [u for u in nodes if u == v or u in reachable(adjacency, v) or v in reachable(adjacency, u)]
        for v in nodes
    }
    for layer in encoder.layers:
        flow = one_pass(
            layer.backward_pass, one_pass(layer.forward_pass, x, before, nodes), after, nodes[::-1]
        )
        seen = attention(layer.attention, x, related)
        new = {}
        for v in nodes:
            h = added(
                normed(layer.flow_norm, added(x[v], relu(flow[v]))),
                normed(layer.attention_norm, added(x[v], seen[v])),
            )
            first, _, second = layer.feed_forward
            new[v] = normed(layer.norm, added(h, apply(second, relu(apply(first, h)))))
        x = new
    return [sum(x[v][h] for v in nodes) / len(nodes) for h in range(len(x[0]))]


@pytest.mark.parametrize("inputs", [1, 2])
def test_worked_example(inputs):
    assert_worked_example(small_encoder, by_hand, inputs)


def flow_arguments(dim=3):
    space = archenc.create_space("nasbench101")
    graphs = space.sample(4, 0)
    torch.manual_seed(0)
    shapes = [(4, graphs.num_nodes, 3 * dim), (dim,), (3 * dim, dim), (3 * dim,)]
    node, score, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes
    )
    return node, sender_bias(graphs.adjacency.transpose(1, 2).bool()).double(), score, weight, bias


def test_the_derivative_of_the_recursion_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(FlowFunction.apply, flow_arguments())


def test_the_derivative_for_several_seeds_at_once():
    node, senders, *others = (argument.detach() for argument in flow_arguments())

    def gradients(node, *others):
        def loss(node, *others):
            return FlowFunction.apply(node, senders, *others).square().sum()

        return torch.func.grad(loss, argnums=(0, 1, 2, 3))(node, *others)

    both = [torch.stack([argument, argument + 0.1]) for argument in (node, *others)]
    for together, alone in zip(
        torch.func.vmap(gradients)(*both), gradients(*(b[1] for b in both)), strict=True
    ):
        torch.testing.assert_close(together[1], alone)


def test_a_node_without_senders_receives_zeros():
    torch.manual_seed(0)
    flow = FlowerFormerFlow(4)
    x = torch.randn(2, 3, 4)
    nothing = sender_bias(torch.zeros(2, 3, 3, dtype=torch.bool))
    _, z, n, _ = gated_unit(
        flow.from_node(x), torch.zeros(2, 3, 4), flow.from_message.weight, flow.from_message.bias
    )
    torch.testing.assert_close(flow(x, nothing), (1 - z) * n)


def test_nodes_see_those_that_a_path_joins_them_with():
    adjacency = torch.tensor([[[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]], dtype=torch.uint8)
    sees = relation_bias(adjacency)[0] == 0
    assert sees.tolist() == [[True] * 4, [True, True, False, True], [True, False, True, True], [True] * 4]


@pytest.mark.parametrize("wrong", [{"dim": 10, "heads": 4}, {"layers": 0}, {"heads": 0}])
def test_sizes_that_do_not_fit(wrong):
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        archenc.create_encoder("flowerformer", archenc.create_space("nasbench101"), **wrong)


# -- NN-Former -----------------------------------------------------------------------------------------------


NNFORMER_SMALL = {"dim": 8, "layers": 3, "hidden_dim": 6}


def small_encoder_nnformer(space):
    torch.manual_seed(3)
    encoder = archenc.create_encoder("nn-former", space, **NNFORMER_SMALL).double().eval()
    for parameter in encoder.parameters():  # some start at 0 or 1, which would hide an error
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


@pytest.mark.parametrize("make", [small_encoder, small_encoder_nnformer])
def test_padding_may_lie_anywhere(make):
    space = archenc.create_space("nasbench101")
    graphs = prune(space.sample(20, 0))
    place = torch.where(graphs.mask, 1, 0)
    place[:, 0], place[:, -1] = -1, 2
    moved = permute_nodes(graphs, torch.argsort(place, dim=1, stable=True))
    assert not torch.equal(moved.mask, graphs.mask)
    encoder = make(space)
    np.testing.assert_allclose(encoder.encode(moved), encoder.encode(graphs), rtol=1e-5, atol=1e-6)


def attention_nnformer(layer, x, seen):
    """``seen[head][v]`` are the tokens that v sees."""
    size = len(next(iter(x.values())))
    qkv = {v: apply(layer.qkv, normed(layer.attention_norm, x[v])) for v in x}
    out = {}
    for v in x:
        heads = []
        for head in range(4):
            part = range(head * size // 4, (head + 1) * size // 4)
            exponentials = {
                u: math.exp(sum(qkv[v][h] * qkv[u][size + h] for h in part) / math.sqrt(size / 4))
                for u in seen[head][v]
            }
            heads += [
                sum(e * qkv[u][2 * size + h] for u, e in exponentials.items()) / sum(exponentials.values())
                for h in part
            ]
        out[v] = apply(layer.mix_heads, heads)
    return out


def feed_forward(layer, x, edge):
    x = {v: normed(layer.forward_norm, x[v]) for v in x}
    mapped = {v: apply(layer.neighbours, x[v]) for v in x} if layer.neighbours is not None else None
    out = {}
    for v in x:
        hidden = apply(layer.own, x[v])
        for h in range(len(hidden) if mapped is not None else 0):
            ahead = h < len(hidden) // 2
            hidden[h] += sum(mapped[u][h] for u in x if (edge(v, u) if ahead else edge(u, v)))
        out[v] = apply(layer.shrink, [max(value, 0.0) for value in hidden])
    return out


def by_hand_nnformer(encoder, adjacency, rows):
    nodes = [v for v, row in enumerate(rows) if row is not None]

    def edge(i, j):
        return "class" not in (i, j) and bool(adjacency[i][j])

    relations = [
        edge,
        lambda i, j: edge(j, i),
        lambda i, j: any(edge(k, i) and edge(k, j) for k in nodes),
        lambda i, j: any(edge(i, k) and edge(j, k) for k in nodes),
    ]
    tokens = [*nodes, "class"]
    seen = [
        {i: [j for j in tokens if i == j or "class" in (i, j) or relation(i, j)] for i in tokens}
        for relation in relations
    ]
    x = {v: apply(encoder.features.linear, encoder.features.embedding[rows[v]].tolist()) for v in nodes}
    x["class"] = encoder.class_token.tolist()
    x = {v: normed(encoder.first_norm, x[v]) for v in x}
    for layer in encoder.layers:
        new = attention_nnformer(layer, x, seen)
        x = {v: added(x[v], new[v]) for v in x}
        new = feed_forward(layer, x, edge)
        x = {v: added(x[v], new[v]) for v in x}
    return normed(encoder.last_norm, x["class"])


@pytest.mark.parametrize("inputs", [1, 2])
def test_worked_example_nnformer(inputs):
    assert_worked_example(small_encoder_nnformer, by_hand_nnformer, inputs)


def test_each_head_sees_one_kind_of_neighbour():
    """A diamond, 0 into 1 and 2 into 3, and the class token behind it."""
    a = torch.tensor([[[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]], dtype=torch.float32)
    sees = barred_pairs(a, torch.ones(1, 4, dtype=torch.bool))[0] == 0
    assert sees[:, :, 4].all()
    assert sees[:, 4].all()
    without_itself = sees[:, :4, :4] & ~torch.eye(4, dtype=torch.bool)
    pairs = [{tuple(pair) for pair in head.nonzero().tolist()} for head in without_itself]
    down = {(0, 1), (0, 2), (1, 3), (2, 3)}
    siblings = {(1, 2), (2, 1)}
    assert pairs == [down, {(j, i) for i, j in down}, siblings, siblings]


@pytest.mark.parametrize("wrong", [{"dim": 10}, {"dim": 0}, {"layers": 0}, {"hidden_dim": 5}])
def test_sizes_that_do_not_fit_nnformer(wrong):
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        archenc.create_encoder("nn-former", archenc.create_space("nasbench101"), **wrong)
