"""Twenty networks of torchvision and timm: their graphs have all of their parameters and multiply-adds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from archenc.spaces import OperationSpace, from_module

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
