"""Networks of architectures: parameters against the tables, operations against the trace, one step of
training, and sizes at which they do not run.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.spaces import from_module
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.traced.space import OperationSpace
from tests.bad_input import refused

BUILT = [
    "nasbench101",
    "nasbench201",
    "transnas101-micro",
    "nasbench-macro",
    "darts",
    "nds-darts",
    "nasnet",
    "amoeba",
    "pnas",
    "enas",
    "nsga-net-micro",
]
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


def built_parameters(graphs):
    """Of the published networks, which take no memory."""
    with torch.device("meta"):
        return [parameters(graphs.space.build(graphs[i], skeleton="published")) for i in range(len(graphs))]


# -- parameters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_parameters_are_those_of_the_space(name):
    graphs = archenc.create_space(name).sample(20, 4)
    assert built_parameters(graphs) == graphs.space.costs(graphs)["parameters"].tolist()


def tabled(name, data_root, count):
    """Random architectures of a table, and their parameters in it."""
    rows = np.random.default_rng(7)
    space = archenc.create_space(name)
    if name == "nasbench201":
        with np.load(data_root / "nasbench201/table.npz") as table:
            at = rows.choice(len(table["ops"]), count, replace=False)
            return space.from_ops(table["ops"][at]), table["params_cifar10"][at]
    if name == "nasbench101":
        with np.load(data_root / "nasbench101/space.npz") as table:
            at = rows.choice(len(table["params"]), count, replace=False)
            packed = (table[field][at] for field in ("n_nodes", "adj_bits", "ops5"))
            return space.from_bits(*packed), table["params"][at]
    with np.load(data_root / "nasbench_macro/cifar10.npz") as table:
        at = rows.choice(len(table["params"]), count, replace=False)
        return space.from_ops(table["ops"][at]), table["params"][at]


TABLED = ["nasbench101", "nasbench201", "nasbench-macro"]


@pytest.mark.parametrize("name", TABLED)
def test_parameters_are_those_of_the_table(name, data_root):
    graphs, expected = tabled(name, data_root, 30)
    assert built_parameters(graphs) == expected.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLED)
def test_parameters_of_a_thousand_architectures_are_those_of_the_table(name, data_root):
    graphs, expected = tabled(name, data_root, 1_000)
    assert built_parameters(graphs) == expected.tolist()


def test_the_published_network_of_darts_has_the_published_parameters():
    assert built_parameters(archenc.create_space("darts").parse(DARTS_V2)) == [3_349_342]


def test_an_imagenet_sized_nasbench201_network_has_other_classes():
    space = archenc.create_space("nasbench201")
    cell = space.parse("0 0 0 1 0 0")
    with torch.device("meta"):
        network = space.build(cell, skeleton="published", classes=120, resolution=16)
    assert parameters(network) == 80_456  # the base of ImageNet16-120 in the table


# -- running -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT)
def test_one_forward_pass_and_one_step_of_training(name):
    space = archenc.create_space(name)
    graphs = space.sample(4, 1)
    for i in range(len(graphs)):
        torch.manual_seed(i)
        network = space.build(graphs[i])
        images, classes = torch.randn(8, 3, 16, 16), torch.arange(8)
        before = [weight.detach().clone() for weight in network.parameters()]
        optimiser = torch.optim.SGD(network.parameters(), lr=0.002)
        loss = torch.nn.functional.cross_entropy(network(images), classes)
        loss.backward()
        optimiser.step()
        after = torch.nn.functional.cross_entropy(network(images), classes)
        assert after < loss
        assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_the_published_network_runs_and_trains(name):
    space = archenc.create_space(name)
    torch.manual_seed(0)
    network = space.build(space.sample(1, 1), skeleton="published", resolution=32)
    scores = network(torch.randn(2, 3, 32, 32))
    scores.square().mean().backward()
    assert scores.shape == (2, 10)
    assert all(weight.grad.isfinite().all() for weight in network.parameters() if weight.grad is not None)


def test_given_sizes_are_those_of_the_network():
    space = archenc.create_space("nasbench201")
    network = space.build(space.sample(1, 0), channels=6, cells=2, resolution=12, classes=7, image_channels=1)
    assert network(torch.zeros(3, 1, 12, 12)).shape == (3, 7)
    assert network.stem.conv.out_channels == 6
    assert len(network.cells) == 3 * 2 + 2


def test_a_cell_computes_the_sum_over_its_paths():
    """Skip connections and average pooling alone, so that the cell can be computed by hand."""
    space = archenc.create_space("nasbench201")
    x = torch.randn(2, 8, 6, 6)
    pool = torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    for numbers, expected in (
        ((1, 0, 0, 1, 4, 0), x + pool(x)),  # 0->1 skip, 0->3 skip, 1->3 pool
        ((4, 1, 1, 0, 0, 4), pool(x + pool(x))),  # 0->1 pool, 0->2 and 1->2 skip, 2->3 pool
        ((1, 1, 1, 0, 0, 0), torch.zeros_like(x)),  # nothing reaches the output
    ):
        cell = space.build(space.from_ops([numbers])).cells[0]
        torch.testing.assert_close(cell(x), expected)


def test_a_nasbench101_output_joins_nodes_and_adds_the_input():
    space = archenc.create_space("nasbench101")
    matrix = [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    cell = space.build(space.parse((matrix, ["input", "maxpool3x3", "maxpool3x3", "output"]))).cells[0].eval()
    x = torch.randn(2, 16, 6, 6)
    projected = {node: layer(x) for node, layer in cell.projections.items()}
    pooled = [torch.nn.functional.max_pool2d(projected[node], 3, 1, 1) for node in ("1", "2")]
    torch.testing.assert_close(cell(x), torch.cat(pooled, 1) + max(projected.items())[1])


# -- the other direction -------------------------------------------------------------------------------------


def traced(network, side=32):
    return from_module(network, torch.zeros(1, 3, side, side), space=OperationSpace(max_nodes=400))


def kinds(graphs):
    return Counter(graphs.space.node_vocabulary[k] for k in graphs.ops[0].tolist())


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_what_is_traced_costs_what_the_cell_costs(name):
    space = archenc.create_space(name)
    graphs = space.sample(2, 3)
    if name == "nasbench201":  # cells without a convolution that computes nothing for the output
        graphs = space.from_ops([[3, 2, 1, 4, 2, 3], [2, 3, 4, 1, 3, 1]])
    costs = space.costs(graphs)
    for i in range(2):
        features = traced(space.build(graphs[i], skeleton="published")).features[0].double().expm1()
        assert float(features[:, 0].sum()) == pytest.approx(costs["parameters"][i], rel=1e-6)
        biases = 10  # which a trace does not count among the multiply-adds
        assert float(features[:, 1].sum()) == pytest.approx(costs["flops"][i] - biases, rel=1e-6)


def test_what_is_traced_has_the_operations_of_the_cell():
    space = archenc.create_space("nasbench201")
    cell = space.from_ops([[3, 2, 0, 4, 1, 3]])
    found = kinds(traced(space.build(cell, cells=2), 16))
    assert found["conv3x3"] == 6 * 2 + 1 + 2 * 2  # of cells, of the stem, of the residual blocks
    assert found["conv1x1"] == 6 * 1 + 2
    assert found["avg_pool"] == 6 * 1 + 2
    assert found["add"] == 6 * 2 + 2


def test_the_trace_of_a_nasbench101_cell_with_one_operation_a_node():
    space = archenc.create_space("nasbench101")
    graphs = space.sample(1, 5)
    found = kinds(traced(space.build(graphs), 16))
    operations = Counter(space.node_vocabulary[k] for k in graphs.ops[0].tolist())
    projections = int(graphs.adjacency[0, 0].sum())
    assert found["conv3x3"] == 3 * operations["conv3x3-bn-relu"] + 1
    assert found["conv1x1"] == 3 * (operations["conv1x1-bn-relu"] + projections)
    assert found["max_pool"] == 3 * operations["maxpool3x3"] + 2


# -- what does not run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes", "says"),
    [
        ("nasbench201", {"resolution": 18}, "halves its images 2 times and does not run on 18 x 18"),
        ("nasbench201", {"resolution": 2}, "does not run with resolution=2; give a whole number from 4"),
        ("nasbench101", {"channels": 4}, "does not run with channels=4; give a whole number from 5"),
        ("transnas101-micro", {"skeleton": "published", "resolution": 48}, "a multiple of 32"),
        ("nasbench-macro", {"cells": 2}, "say themselves how many layers"),
        ("darts", {"classes": 0}, "classes=0"),
        ("darts", {"channels": 10**9}, "to 4,096"),
        ("darts", {"channels": True}, "channels=True"),
        ("darts", {"skeleton": "large"}, "no skeleton 'large' of 'darts'; choose small or published"),
        ("genetic-cnn", {}, "does not say which layers its operations are"),
    ],
)
def test_a_size_at_which_it_does_not_run(name, sizes, says):
    space = archenc.create_space(name)
    refused(lambda: space.build(space.sample(1, 0), **sizes), InvalidParameter, says)


def test_images_of_another_size_than_the_network_takes():
    space = archenc.create_space("nasbench201")
    network = space.build(space.sample(1, 0))
    refused(lambda: network(torch.zeros(1, 3, 10, 16)), InvalidParameter, "does not run on 10 x 10 pixels")
    refused(lambda: network(torch.zeros(3, 16, 16)), InvalidParameter, r"give \(batch, 3, side, side\)")


def test_several_architectures_are_no_network():
    space = archenc.create_space("darts")
    refused(lambda: space.build(space.sample(2, 0)), InvalidArchitecture, "one architecture, not of 2")
    other = archenc.create_space("nasbench201").sample(1, 0)
    refused(lambda: space.build(other), InvalidArchitecture, "belong to the space 'nasbench201'")


def test_an_operation_without_known_layers():
    space = GenotypeSpace("mine", ["fold", "sep_conv_3x3"], nodes=1, skip_op=None, cells=1)
    cell = space.parse("Genotype(normal=[('fold', 0), ('sep_conv_3x3', 1)], normal_concat=[2])")
    refused(lambda: space.build(cell), InvalidArchitecture, "no layers are known of the operation 'fold'")
