"""Parameters and FLOPs against networks that are built layer by layer, and against the tables."""

import numpy as np
import pytest
import torch
from torch import nn

from archenc.errors import InvalidParameter
from archenc.spaces.nasbench101 import OPERATIONS, NASBench101
from archenc.spaces.nasbench201 import NASBench201
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES

NB101, NB201 = NASBench101(), NASBench201()
MAXPOOL = OPERATIONS[2]


@pytest.fixture
def tables(data_root):
    def read(name, fields):
        path = data_root / name
        if not path.is_file():
            pytest.skip(f"needs {path}")
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[field] for field in fields]

    return read


def counted(network, side=32):
    """Parameters of a network, and multiply-adds of its convolutions and its classifier for one image, with
    those of the biases.
    """
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += layer.weight.numel() * output.shape[2:].numel() + (
            0 if layer.bias is None else layer.bias.numel()
        )

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    return sum(p.numel() for p in network.parameters()), total


def conv(inputs, outputs, kernel, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


# -- NAS-Bench-101 -------------------------------------------------------------------------------------------


class Cell101(nn.Module):
    """A cell as the official model builder makes it: adjacency as nested lists, names of operations."""

    def __init__(self, adjacency, ops, inputs, outputs):
        super().__init__()
        self.adjacency, self.last = adjacency, len(ops) - 1
        self.feeds = [v for v in range(1, self.last) if adjacency[v][self.last]]
        self.channels = [0] * self.last + [outputs]
        for place, v in enumerate(self.feeds):
            self.channels[v] = outputs // len(self.feeds) + (1 if place < outputs % len(self.feeds) else 0)
        for v in reversed(range(1, self.last)):
            if v not in self.feeds:
                self.channels[v] = max(self.channels[w] for w in range(v + 1, self.last) if adjacency[v][w])
        self.projections = nn.ModuleDict(
            {str(v): conv(inputs, self.channels[v], 1) for v in range(1, self.last + 1) if adjacency[0][v]}
        )
        self.ops = nn.ModuleDict(
            {str(v): self.operation(ops[v], self.channels[v]) for v in range(1, self.last)}
        )

    def operation(self, name, channels):
        return nn.MaxPool2d(3, 1, 1) if name == "maxpool3x3" else conv(channels, channels, int(name[4]))

    def forward(self, x):
        values = {}
        for v in range(1, self.last):
            parts = [values[u][:, : self.channels[v]] for u in range(1, v) if self.adjacency[u][v]]
            if self.adjacency[0][v]:
                parts.append(self.projections[str(v)](x))
            values[v] = self.ops[str(v)](sum(parts))
        joined = [torch.cat([values[v] for v in self.feeds], 1)] if self.feeds else []
        if self.adjacency[0][self.last]:
            joined.append(self.projections[str(self.last)](x))
        return sum(joined)


def network101(adjacency, ops):
    layers, channels = [conv(3, 128, 3)], 128
    for outputs in (128, 256, 512):
        layers += [nn.MaxPool2d(2)] if outputs > 128 else []
        for _ in range(3):
            layers.append(Cell101(adjacency, ops, channels, outputs))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


STAR = [(0, 1), *[(1, v) for v in range(2, 6)], *[(v, 6) for v in range(2, 6)]]
FORK = [(0, 1), (1, 2), (1, 4), (0, 3), (2, 6), (3, 5), (3, 6), (4, 5), (5, 6)]  # three nodes feed the output


def cell(ops, *edges):
    """Those edges, or the single one from the input to the output."""
    adjacency = np.zeros((len(ops) + 2, len(ops) + 2), int)
    for i, j in edges or [(0, 1)]:
        adjacency[i, j] = 1
    return {"adjacency": adjacency, "ops": ["input", *ops, "output"]}


def test_nasbench101_networks_built_layer_by_layer():
    graphs = NB101.parse(
        [
            cell([]),
            cell([MAXPOOL] * 5, *STAR),
            cell(np.resize(OPERATIONS, 5), *FORK),
            *NB101.format(NB101.sample(3, 0)),
        ]
    )
    costs = NB101.costs(graphs)
    feeds = []
    for index in range(len(graphs)):
        nodes = graphs.mask[index].nonzero()[:, 0]
        adjacency = graphs.adjacency[index][nodes][:, nodes].tolist()
        built = network101(adjacency, [NB101.node_vocabulary[k] for k in graphs.ops[index][nodes].tolist()])
        assert (costs["parameters"][index], costs["flops"][index]) == counted(built)
        feeds.append(len(built[1].feeds))
    assert 3 in feeds  # none of 128, 256 and 512 is divided evenly
    assert costs["parameters"][1] == 227_274  # the smallest network of the space, as published


def test_nasbench101_cuts_what_lies_on_no_path():
    adjacency, ops = np.zeros((1, 7, 7), int), [[1, 3, 3, 4, 0, 0, 2]]
    for i, j in [(0, 1), (1, 6), (0, 2), (3, 6)]:  # node 2 leads nowhere, nothing leads to node 3
        adjacency[0, i, j] = 1
    whole, cut = NB101.graphs(adjacency, ops), NB101.parse(cell([OPERATIONS[0]], (0, 1), (1, 2)))
    assert NB101.costs(whole) == NB101.costs(cut)


def test_nasbench101_measured_cells(tables):
    adjacency, ops, n_nodes, parameters = tables(
        "nasbench101/cells.npz", ["adjacency", "ops", "n_nodes", "params"]
    )
    assert np.array_equal(NB101.costs(NB101.from_arrays(adjacency, ops, n_nodes))["parameters"], parameters)


@pytest.mark.slow
def test_nasbench101_whole_space(tables):
    *packed, parameters = tables("nasbench101/space.npz", ["n_nodes", "adj_bits", "ops5", "params"])
    graphs = NB101.from_bits(*packed)
    costs = NB101.costs(graphs)
    assert np.array_equal(costs["parameters"], parameters)
    assert (parameters.min(), parameters.max()) == (227_274, 49_979_274)  # as published


# -- NAS-Bench-201 -------------------------------------------------------------------------------------------


class Cell201(nn.Module):
    def __init__(self, ops, channels):
        super().__init__()
        self.ops = nn.ModuleList(
            [conv(channels, channels, int(op[-1])) if "conv" in op else nn.Identity() for op in ops]
        )

    def forward(self, x):
        (a, b, c, d, e, f), nodes = self.ops, [x]
        nodes.append(a(nodes[0]))
        nodes.append(b(nodes[0]) + c(nodes[1]))
        return d(nodes[0]) + e(nodes[1]) + f(nodes[2])


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.long = nn.Sequential(conv(inputs, outputs, 3, 2), conv(outputs, outputs, 3))
        self.short = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.long(x) + self.short(x)


def network201(ops, classes):
    layers = [conv(3, 16, 3)]
    for channels in (16, 32, 64):
        layers += [Residual(channels // 2, channels)] if channels > 16 else []
        layers += [Cell201(ops, channels) for _ in range(5)]
    head = [nn.BatchNorm2d(64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)]
    return nn.Sequential(*layers, *head)


@pytest.mark.parametrize(("classes", "side"), [(10, 32), (100, 32), (120, 16)])
def test_nasbench201_networks_built_layer_by_layer(classes, side):
    graphs = NB201.sample(2, 1)
    for costs in (
        NB201.costs(form, classes=classes, image_side=side) for form in (graphs, NB201.node_form(graphs))
    ):
        for index, numbers in enumerate(NB201.to_ops(graphs).tolist()):
            built = network201([NB201.operations[k] for k in numbers], classes)
            assert (costs["parameters"][index], costs["flops"][index]) == counted(built, side)


def test_nasbench201_counts_dead_convolutions_unless_they_are_cut():
    dead, without = (
        NB201.from_ops([[3, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0]]),
        NB201.from_ops([[0, 0, 0, 1, 0, 0]]),
    )
    assert NB201.costs(dead)["parameters"].tolist() == [73_306 + 243_040, 73_306]
    assert NB201.costs(NB201.simplify(dead))["parameters"].tolist() == [73_306, 73_306]
    assert NB201.costs(without)["flops"].tolist() == [7_783_050]


@pytest.mark.parametrize(
    ("images", "classes", "side"), [("cifar10", 10, 32), ("cifar100", 100, 32), ("imagenet16_120", 120, 16)]
)
def test_nasbench201_table(tables, images, classes, side):
    ops, parameters, mflops = tables("nasbench201/table.npz", ["ops", f"params_{images}", f"mflops_{images}"])
    costs = NB201.costs(NB201.from_ops(ops), classes=classes, image_side=side)
    assert np.array_equal(costs["parameters"], parameters)
    assert np.abs(costs["flops"] / 1e6 - mflops).max() < 1e-9


# -- all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_costs_are_counts_or_refused(name):
    space = SPACES[name]
    graphs = space.sample(5, 0)
    if name in ("nasbench101", "nasbench201"):
        costs = space.costs(graphs)
        assert list(costs) == ["parameters", "flops"]
        assert all(
            values.shape == (5,) and values.dtype == np.int64 and values.min() > 0
            for values in costs.values()
        )
        assert all(len(values) == 0 for values in space.costs(graphs[:0]).values())
    else:
        with pytest.raises(InvalidParameter, match="does not say which network") as caught:
            space.costs(graphs)
        assert_one_sentence(caught.value)
