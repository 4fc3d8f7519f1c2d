"""Arithmetic on plain lists for the worked examples, and the slope of a function by finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from archenc.encoders.modules.nodes import node_kinds
from archenc.spaces.cell import CellSpace


def apply(layer, vector):
    bias = [0.0] * len(layer.weight) if layer.bias is None else layer.bias.tolist()
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b
        for row, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def normed(layer, vector):
    mean = sum(vector) / len(vector)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in vector) / len(vector) + layer.eps)
    return [
        (v - mean) / deviation * w + b
        for v, w, b in zip(vector, layer.weight.tolist(), layer.bias.tolist(), strict=True)
    ]


def added(*vectors):
    return [sum(values) for values in zip(*vectors, strict=True)]


def assert_gradient_is_slope(value, weight, entries):
    """Backpropagation through ``value()`` gives the same for some entries of a float64 weight as moving them
    a little both ways.
    """
    value().backward()
    step = 1e-6
    for entry in entries:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[entry] += sign * step
                values.append(value().item())
                weight[entry] -= sign * step
        assert weight.grad[entry].item() == pytest.approx(
            (values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8
        )


def assert_worked_example(make_encoder, by_hand, inputs):
    """The encodings of small padded graphs equal ``by_hand(encoder, adjacency, rows)`` of each, with None as
    the row of padding.

    Args:
        make_encoder: from a space to an encoder with a table of operations, ``encoder.features``.
        by_hand: the encoding of one architecture from its adjacency matrix and the rows of its nodes in that
            table.
        inputs: number of input nodes.
    """
    space = CellSpace("toy", ("a", "b", "skip"), op_on="node", max_nodes=6, num_inputs=inputs, skip_op="skip")
    graphs = space.simplify(space.sample(6, 1))
    assert not graphs.mask.all(), "no architecture has padding"
    encoder = make_encoder(space)
    rows = node_kinds(graphs).tolist()
    rows = [
        [r if there else None for r, there in zip(*both, strict=True)]
        for both in zip(rows, graphs.mask.tolist(), strict=True)
    ]
    expected = [by_hand(encoder, a, r) for a, r in zip(graphs.adjacency.tolist(), rows, strict=True)]
    np.testing.assert_allclose(encoder(graphs).detach().numpy(), expected, rtol=1e-5, atol=1e-7)
