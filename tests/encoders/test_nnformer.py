"""NN-Former against its equations written as explicit sums over one architecture at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import archenc
from archenc.encoders.nnformer import barred_pairs
from archenc.errors import InvalidParameter
from archenc.graphs.transforms import permute_nodes, prune
from tests.encoders.by_hand import added, apply, assert_worked_example, normed

SMALL = {"dim": 8, "layers": 3, "hidden_dim": 6}


def small_encoder(space):
    torch.manual_seed(3)
    encoder = archenc.create_encoder("nn-former", space, **SMALL).double().eval()
    for parameter in encoder.parameters():  # some start at 0 or 1, which would hide an error
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def attention(layer, x, seen):
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


def by_hand(encoder, adjacency, rows):
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
        new = attention(layer, x, seen)
        x = {v: added(x[v], new[v]) for v in x}
        new = feed_forward(layer, x, edge)
        x = {v: added(x[v], new[v]) for v in x}
    return normed(encoder.last_norm, x["class"])


@pytest.mark.parametrize("inputs", [1, 2])
def test_worked_example(inputs):
    assert_worked_example(small_encoder, by_hand, inputs)


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


def test_padding_may_lie_anywhere():
    space = archenc.create_space("nasbench101")
    graphs = prune(space.sample(20, 0))
    place = torch.where(graphs.mask, 1, 0)
    place[:, 0], place[:, -1] = -1, 2
    moved = permute_nodes(graphs, torch.argsort(place, dim=1, stable=True))
    assert not torch.equal(moved.mask, graphs.mask)
    encoder = small_encoder(space)
    np.testing.assert_allclose(encoder.encode(moved), encoder.encode(graphs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"dim": 10}, {"dim": 0}, {"layers": 0}, {"hidden_dim": 5}])
def test_sizes_that_do_not_fit(wrong):
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        archenc.create_encoder("nn-former", archenc.create_space("nasbench101"), **wrong)
