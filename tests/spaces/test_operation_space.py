"""The space of traced networks, whose arrays have room for far more nodes than most networks have."""

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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import archenc
from archenc.graphs import ArchGraphs
from archenc.spaces import OperationSpace, from_module
from archenc.spaces.traced.space import _random_edges
from tests.shared import torch_calls

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
