"""Networks of NAS-Bench-Macro (Su et al., CVPR 2021, the supplement's table of the space)."""

from __future__ import annotations

from torch import Tensor, nn

from archenc.graphs import ArchGraphs
from archenc.spaces.networks import Network, Skeleton, check_one, conv, conv_bn, reading

SKELETONS = {
    "small": Skeleton(channels=4, cells=0, resolution=16, halvings=3),
    "published": Skeleton(channels=32, cells=0, resolution=32, halvings=3),
}
STAGES = (2, 3, 3)
"""Layers of each stage."""
BLOCKS = {"MB3_K3": (3, 3), "MB6_K5": (6, 5)}
"""Expansion and kernel."""


def conv_bn_relu6(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch normalisation, ReLU6."""
    return [conv(inputs, outputs, kernel, stride, groups=groups), nn.BatchNorm2d(outputs), nn.ReLU6()]


class Inverted(nn.Module):
    """The inverted residual of MobileNetV2: expand, convolve each channel, project; the input is added where
    it has the same shape.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential(
            *conv_bn_relu6(inputs, hidden, 1),
            *conv_bn_relu6(hidden, hidden, kernel, stride, groups=hidden),
            conv(hidden, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


def network(graphs: ArchGraphs, skeleton: Skeleton) -> Network:
    """The network of a code: a stem of C channels, stages of 2, 3 and 3 layers with 2C, 4C and 8C channels,
    whose first layers halve the image, and 40C channels before the classifier. An identity that must change
    the shape is a strided 1x1 convolution.
    """
    check_one(len(graphs))
    space = graphs.space
    with reading():
        blocks = iter([space.operations[k] for k in space.to_ops(graphs)[0].tolist()])
    width = skeleton.channels
    stem = nn.Sequential(*conv_bn_relu6(skeleton.image_channels, width, 3))
    cells: list[nn.Module] = []
    for stage, layers in enumerate(STAGES):
        outputs = skeleton.channels * 2 ** (stage + 1)
        for layer in range(layers):
            name, stride = next(blocks), 1 if layer else 2
            if name in BLOCKS:
                expansion, kernel = BLOCKS[name]
                cells.append(Inverted(width, outputs, expansion, kernel, stride))
            elif stride == 2:
                cells.append(conv_bn(width, outputs, 1, 2))
            width = outputs
    head = 40 * skeleton.channels
    return Network(space.name, skeleton, stem, cells, nn.Sequential(*conv_bn_relu6(width, head, 1)), head)
