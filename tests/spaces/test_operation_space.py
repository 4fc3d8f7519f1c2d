"""The space of real networks' operations, and what holds for architectures of every space."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import archenc
from archenc.graphs import ArchGraphs
from archenc.graphs.hashing import wl_hash
from archenc.graphs.paths import is_connected, on_path
from archenc.graphs.transforms import isomorphic_twin, live_edges, permute_nodes, simplify
from archenc.spaces import OperationSpace, from_config, from_module
from archenc.spaces.traced.space import _random_edges
from tests.shared import SPACES, torch_calls

ONE = ['{"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "relu", "output"]}']
WORK: dict[str, Callable[[OperationSpace], Any]] = {
    "parse": lambda space: space.parse(ONE),
    "mutate": lambda space: space.mutate(space.parse(ONE)),
    "sample": lambda space: space.sample(100),
    **{
        name: lambda space, name=name: archenc.create_encoder(name, space).encode(space.parse(ONE))
        for name in ("graf-plus", "combined")
    },
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_work_follows_the_nodes_that_are_there(work: Callable[[OperationSpace], Any]) -> None:
    few, many = (torch_calls(partial(work, OperationSpace(max_nodes=most))) for most in (80, 400))
    assert many < 2.5 * few


@pytest.mark.parametrize("encoder", ["path-profile", "op-count", "wl"])
def test_room_for_more_nodes_changes_no_encoding(encoder: str) -> None:
    space = OperationSpace(max_nodes=40)
    texts = space.format(space.sample(30))
    small, large = (
        archenc.create_encoder(encoder, of).encode(of.parse(texts))
        for of in (space, OperationSpace(max_nodes=200))
    )
    np.testing.assert_allclose(small, large, atol=1e-5)


def test_large_graphs_are_encoded_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    space = OperationSpace(max_nodes=256)
    seen: list[int] = []
    encoder = archenc.create_encoder("op-count", space)

    def encode_cells(graphs: ArchGraphs) -> torch.Tensor:
        seen.append(len(graphs))
        return torch.zeros(len(graphs), encoder.dim)

    monkeypatch.setattr(encoder, "encode_cells", encode_cells)
    encoder.encode(space.parse(ONE * 600))
    assert max(seen) * 256 * 256 <= 2**24
    assert sum(seen) == 600


def test_mutations_use_all_the_room_there_is() -> None:
    """Nodes come until the space is full, whatever the arrays of the work are cut to."""
    space = OperationSpace(max_nodes=66, operations=("relu", "add"))
    graphs = space.parse(
        json.dumps(
            {"adjacency": np.eye(64, k=1, dtype=int).tolist(), "ops": ["input", *["relu"] * 62, "output"]}
        )
    )
    graphs = graphs[[0] * 20]
    sizes: set[int] = set()
    for seed in range(8):
        graphs = space.mutate(graphs, seed)
        space.validate(graphs)
        sizes |= set(graphs.mask.sum(1).tolist())
    assert max(sizes) == 66


def test_each_pair_of_nodes_is_joined_equally_often() -> None:
    row, source, target = _random_edges(4_000, 5, 0.3, np.random.default_rng(0))
    counts = Counter(zip(source.tolist(), target.tolist(), strict=True))
    assert set(counts) == {(i, j) for j in range(5) for i in range(j)}
    assert all(abs(count - 1_200) < 5 * np.sqrt(4_000 * 0.3 * 0.7) for count in counts.values())
    assert len(set(zip(row.tolist(), source.tolist(), target.tolist(), strict=True))) == len(row)


# -- twenty networks of torchvision and timm: their graphs have all of their paramete ------------------------


pytestmark = pytest.mark.slow

TORCHVISION = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "efficientnet_b0",
    "maxvit_t",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
]
TIMM = ["vit_tiny_patch16_224", "mixer_s32_224", "ghostnet_100", "poolformer_s12"]
SPACE = OperationSpace(max_nodes=2048)


@pytest.fixture(scope="module")
def torchvision():
    """torchvision, also where its compiled operators do not load, as beside a build of torch without CUDA:
    the models need none of them.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("needs torchvision, which is not installed; run: pip install 'archenc[test]'")
    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        torch.ops.load_library(next(Path(spec.origin).parent.glob("_C.*")))
    except (OSError, StopIteration):  # what the import asks for is declared here
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    yield torchvision
    del library


def check(create, name, **options):
    with torch.device("meta"):  # no weights are drawn
        model, image = create(name, **options), torch.zeros(1, 3, 224, 224)
    graphs = from_module(model, image, space=SPACE)
    SPACE.validate(graphs)
    parameters, flops = np.expm1(graphs.features[0, :, :2].double().numpy()).sum(axis=0)
    assert parameters == pytest.approx(sum(parameter.numel() for parameter in model.parameters()), rel=1e-5)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model.eval()(image)
    assert flops == pytest.approx(counter.get_total_flops() / 2, rel=1e-5)


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name, torchvision):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    check(torchvision.models.get_model, name, **options)


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(name, torchvision):
    check(pytest.importorskip("timm").create_model, name)


# -- What every space promises, on random architectures ------------------------------------------------------


seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=6, deadline=None)
each_space = pytest.mark.parametrize("name", SPACES)


def same(a: ArchGraphs, b: ArchGraphs) -> bool:
    return torch.equal(a.adjacency, b.adjacency) and torch.equal(a.ops, b.ops) and torch.equal(a.mask, b.mask)


@each_space
@quick
@given(seed=seeds)
def test_text_there_and_back(name, seed):
    space = SPACES[name]
    graphs = space.sample(20, seed)
    texts = space.format(graphs)
    assert same(space.parse(texts), graphs)
    assert same(space.parse(texts[3]), graphs[3]), "one text is a batch of one"


@each_space
def test_config_builds_the_space_again(name):
    space = SPACES[name]
    again = from_config(json.loads(json.dumps(space.config())))
    assert again == space
    assert type(again) is type(space)
    assert same(again.sample(9, 4), space.sample(9, 4))


@each_space
@quick
@given(seed=seeds)
def test_twins_are_valid_and_have_equal_hashes(name, seed):
    space = SPACES[name]
    graphs = space.sample(30, seed)
    twins = space.validate(isomorphic_twin(graphs, seed))
    assert (space.hash(twins) == space.hash(graphs)).all()
    assert (wl_hash(simplify(twins)) == wl_hash(simplify(graphs))).all()
    nodes, twin_nodes = space.node_form(graphs), space.node_form(twins)
    if (
        space.op_on == "node" or space.topology is None or space.none_op is None
    ):  # a "none" edge that is turned round has other neighbours in the line graph
        assert (wl_hash(nodes) == wl_hash(twin_nodes)).all()
    assert (wl_hash(simplify(nodes)) == wl_hash(simplify(twin_nodes))).all()


@pytest.mark.parametrize(
    "name",
    ["nasbench101", "nasbench201", "nasbench-graph", "diamond", "nodes", "two inputs", "edges", "parallel"],
)
def test_twins_are_not_all_the_same_writing(name):
    graphs = SPACES[name].sample(200, 0)
    twins = isomorphic_twin(graphs, 1)
    assert not torch.equal(twins.ops, graphs.ops)


@each_space
@quick
@given(seed=seeds)
def test_simplify_twice_is_simplify_once(name, seed):
    space = SPACES[name]
    for graphs in (space.sample(20, seed), space.node_form(space.sample(20, seed))):
        once = simplify(graphs)
        assert same(simplify(once), once)
        assert once.simplified


@each_space
@quick
@given(seed=seeds)
def test_nothing_dead_is_left(name, seed):
    space = SPACES[name]
    graphs = space.sample(20, seed)
    simple = simplify(space.node_form(graphs))
    names = np.array([*space.node_vocabulary])[simple.ops.numpy().astype(int)]
    assert not np.isin(names, [op for op in (space.none_op, space.skip_op) if op is not None]).any()
    used = on_path(simple.adjacency, space.num_inputs)
    used[:, : space.num_inputs] = True
    used[:, -1] = True
    assert torch.equal(used, simple.mask)
    if graphs.op_on == "edge":
        cut = simplify(graphs)
        source, target = live_edges(cut).any(1).nonzero()[:, 1:].T
        row = live_edges(cut).any(1).nonzero()[:, 0]
        used = on_path(cut.adjacency, space.num_inputs)
        assert used[row, source].all()
        assert used[row, target].all()
        assert torch.equal(cut.edge_ops() != 0, live_edges(cut))


@each_space
@quick
@given(seed=seeds)
def test_mutants_are_valid_and_differ(name, seed):
    space = SPACES[name]
    graphs = space.sample(40, seed)
    before = graphs.ops.clone(), graphs.adjacency.clone()
    children = space.validate(space.mutate(graphs, seed))
    rows = len(graphs)
    changed = (children.ops != graphs.ops).reshape(rows, -1).any(1) | (
        children.adjacency != graphs.adjacency
    ).reshape(rows, -1).any(1)
    assert changed.all()
    assert torch.equal(before[0], graphs.ops), "the parents were changed"
    assert torch.equal(before[1], graphs.adjacency), "the parents were changed"
    if space.topology is not None:
        assert ((space.to_ops(children) != space.to_ops(graphs)).sum(1) <= space.edges_per_pair).all()


@each_space
def test_conventions_of_a_sample(name):
    space = SPACES[name]
    graphs = space.sample(200, 3)
    assert len(graphs) == 200
    assert is_connected(graphs.adjacency, space.num_inputs).all()
    for adjacency, mask in zip(graphs.adjacency.tolist(), graphs.mask.tolist(), strict=True):
        existing = [node for node, there in enumerate(mask) if there]
        assert existing == [*range(len(existing) - 1), space.max_nodes - 1], (
            "padding lies just before the output"
        )
        for i, row in enumerate(adjacency):
            for j, edge in enumerate(row):
                assert edge in (0, 1)
                if edge:
                    assert i < j
                    assert j >= space.num_inputs
                    assert mask[i]
                    assert mask[j]
    assert same(space.sample(200, 3), graphs)
    assert not same(space.sample(200, 4), graphs)
    assert len(space.sample(0)) == 0


def test_padding_rows_carry_nothing():
    """Garbage in the order of padding nodes changes nothing, and cells of different sizes share a batch."""
    space = SPACES["nodes"]
    graphs = space.sample(100, 0)
    sizes = graphs.mask.sum(1)
    assert len(sizes.unique()) > 2
    assert not graphs.ops[~graphs.mask].any()
    assert not graphs.adjacency[~graphs.mask].any()
    first_padding = torch.where(graphs.mask.all(1), 1, (~graphs.mask).int().argmax(1))
    order = torch.arange(space.max_nodes).repeat(100, 1)
    order[:, -2], order[torch.arange(100), first_padding] = first_padding.clone(), order[:, -2].clone()
    padded_twice = sizes < space.max_nodes - 1
    swapped = permute_nodes(graphs, order)
    assert (space.hash(swapped) == space.hash(graphs))[padded_twice.numpy()].all()


def test_every_edge_and_operation_can_change():
    """Mutation alone leads from one cell to cells of every size."""
    for name in ("nasbench101", "nodes", "edges", "parallel"):
        space = SPACES[name]
        walkers = space.sample(1, 0)[np.zeros(300, dtype=int)]
        for step in range(25):
            walkers = space.mutate(walkers, step)
        sizes = set(walkers.mask.sum(1).tolist())
        assert sizes >= set(range(space.max_nodes - 2, space.max_nodes + 1)), name
        used = set(walkers.ops.unique().tolist())
        assert used >= set(range(3 if space.op_on == "node" else 1, walkers.num_ops)), name
