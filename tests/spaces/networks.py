"""Twenty and more torch models of different kinds, each with an input and the operations that its graph must
have.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

IMAGE = torch.zeros(1, 4, 8, 8)
SEQUENCE = torch.zeros(1, 5, 8)
TOKENS = torch.zeros(1, 5, dtype=torch.long)


class Net(nn.Module):
    """A module whose forward is a function of itself and its inputs."""

    def __init__(self, compute, **parts):
        super().__init__()
        self.compute = compute
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.compute(self, *inputs)


def conv(inputs=4, outputs=4, kernel=3, **options):
    return nn.Conv2d(inputs, outputs, kernel, padding=options.pop("padding", "same"), **options)


def unrolled(net, x):
    state = torch.zeros(1, 6)
    for step in range(3):
        state = net.cell(x[:, step], state)
    return state


def attention(net, x):
    q, k, v = net.qkv(x).chunk(3, dim=-1)
    return net.out(functional.scaled_dot_product_attention(q, k, v))


def in_place_on_view(net, x):
    y = net.a(x)
    y[:, 0] += 1
    return y.mul_(2)


def frozen(net, x):
    with torch.no_grad():
        y = net.a(x)
    return net.b(y)


def by_shape(net, x):
    return net.a(x) if x.shape[-1] == 8 else x


NETWORKS = {
    "plain": (
        nn.Sequential(
            conv(),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        IMAGE,
        ["conv3x3", "batch_norm", "relu", "max_pool", "global_avg_pool", "linear"],
    ),
    "residual": (
        Net(lambda net, x: functional.relu(net.a(x) + x), a=conv()),
        IMAGE,
        ["conv3x3", "add", "relu"],
    ),
    "branching": (
        Net(
            lambda net, x: net.a(x) + net.b(x) + functional.avg_pool2d(x, 3, 1, 1), a=conv(), b=conv(kernel=1)
        ),
        IMAGE,
        ["conv3x3", "conv1x1", "add", "avg_pool", "add"],
    ),
    "grouped": (
        nn.Sequential(conv(groups=2), conv(kernel=5, groups=2)),
        IMAGE,
        ["conv3x3/grouped", "conv5x5/grouped"],
    ),
    "depthwise": (
        nn.Sequential(conv(groups=4), conv(kernel=1), nn.ReLU6()),
        IMAGE,
        ["conv3x3/depthwise", "conv1x1", "relu6"],
    ),
    "dilated": (
        nn.Sequential(conv(dilation=2), conv(kernel=5, groups=4, dilation=2)),
        IMAGE,
        ["conv3x3/dilated", "conv5x5/depthwise/dilated"],
    ),
    "long kernels": (nn.Sequential(conv(kernel=(1, 7)), conv(kernel=(3, 5))), IMAGE, ["conv1xn", "convnxn"]),
    "strided and transposed": (
        nn.Sequential(
            conv(outputs=6, stride=2, padding=1), nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), nn.GELU()
        ),
        IMAGE,
        ["conv3x3", "conv_transpose", "gelu"],
    ),
    "one-dimensional": (
        nn.Sequential(nn.Conv1d(5, 4, 3), nn.SiLU(), nn.AdaptiveMaxPool1d(1)),
        SEQUENCE,
        ["conv1xn", "silu", "global_max_pool"],
    ),
    "squeeze and excite": (
        Net(
            lambda net, x: x * torch.sigmoid(net.b(functional.relu(net.a(x.mean((2, 3), keepdim=True))))),
            a=conv(4, 2, 1),
            b=conv(2, 4, 1),
        ),
        IMAGE,
        ["global_avg_pool", "conv1x1", "relu", "conv1x1", "sigmoid", "mul"],
    ),
    "concatenation": (
        Net(lambda net, x: net.b(torch.cat([x, net.a(x)], 1)), a=conv(), b=conv(8, 2, 1)),
        IMAGE,
        ["conv3x3", "cat", "conv1x1"],
    ),
    "nested": (
        nn.Sequential(
            nn.Sequential(nn.Sequential(conv()), nn.Identity()), nn.Sequential(nn.Dropout(), nn.Tanh())
        ),
        IMAGE,
        ["conv3x3", "tanh"],
    ),
    "functional": (
        Net(
            lambda net, x: functional.linear(x, net.w, net.b).sigmoid_().log_softmax(-1),
            w=nn.Parameter(torch.ones(3, 8)),
            b=nn.Parameter(torch.ones(3)),
        ),
        SEQUENCE,
        ["linear", "sigmoid", "log_softmax"],
    ),
    "attention": (
        Net(attention, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8)),
        SEQUENCE,
        ["linear", "slice", "attention", "linear"],
    ),
    "transformer block": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        SEQUENCE,
        {"linear": 4, "attention": 1, "layer_norm": 2, "add": 2, "relu": 1, "slice": 3},
    ),
    "attention with weights": (
        Net(lambda net, x: net.a(x, x, x)[0], a=nn.MultiheadAttention(8, 2, batch_first=True)),
        SEQUENCE,
        {"linear": 2, "matmul": 2, "softmax": 1, "slice": 3},
    ),
    "recurrent cell": (
        Net(unrolled, cell=nn.GRUCell(8, 6)),
        SEQUENCE,
        ["slice", "gru", "slice", "gru", "slice", "gru"],
    ),
    "lstm": (
        Net(lambda net, x: net.a(x)[0], a=nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True)),
        SEQUENCE,
        ["lstm"],
    ),
    "shared module": (
        Net(lambda net, x: net.a(net.a(x).tanh()), a=nn.Linear(8, 8)),
        SEQUENCE,
        ["linear", "tanh", "linear"],
    ),
    "several inputs": (
        Net(lambda net, x, y: net.a(x) * y, a=nn.Linear(8, 8)),
        (SEQUENCE, SEQUENCE),
        ["argument", "argument", "linear", "mul"],
    ),
    "several outputs": (
        Net(lambda net, x: {"a": net.a(x), "b": (x.exp(), None)}, a=nn.Linear(8, 8)),
        SEQUENCE,
        ["linear", "exp"],
    ),
    "embedding": (
        Net(lambda net, x: net.b(net.a(x).mean(1)), a=nn.Embedding(10, 4), b=nn.Linear(4, 2)),
        TOKENS,
        ["embedding", "mean", "linear"],
    ),
    "norms": (
        nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LayerNorm(8), nn.Hardswish()),
        IMAGE,
        ["group_norm", "instance_norm", "layer_norm", "hardswish"],
    ),
    "constants": (
        Net(
            lambda net, x: (x + net.p.expand(1, 5, 8)) @ net.q.t() * net.scale.rsqrt() + torch.arange(8),
            p=nn.Parameter(torch.ones(8)),
            q=nn.Parameter(torch.ones(8, 8)),
            scale=nn.Buffer(torch.ones(8)),
        ),
        SEQUENCE,
        ["add", "linear", "mul", "add"],
    ),
    "in place on a view": (Net(in_place_on_view, a=conv()), IMAGE, {"conv3x3": 1, "add": 1, "mul": 1}),
    "frozen part": (Net(frozen, a=conv(), b=conv(kernel=1)), IMAGE, ["conv3x3", "conv1x1"]),
    "branch by shape": (Net(by_shape, a=nn.Linear(8, 8)), SEQUENCE, ["linear"]),
}

DYNAMIC = {
    "if": Net(lambda net, x: x * 2 if x.sum() > 0 else x),
    "while": Net(lambda net, x: x * 2 if math.isfinite(x.max().item()) else x),
    "cond": Net(lambda net, x: torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y * 3, (x,))),
}
