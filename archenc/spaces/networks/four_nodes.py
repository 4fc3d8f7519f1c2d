"""Networks of cells of four joined nodes: NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2.1) and the
cell-level space of TransNAS-Bench-101 (Duan et al., CVPR 2021, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from archenc.graphs import ArchGraphs
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.networks import (
    HalvedBySkipping,
    Network,
    Skeleton,
    added,
    check_one,
    conv,
    conv_bn,
    conv_bn_relu,
    leading,
    named,
    reading,
    relu_conv_bn,
)

NASBENCH201 = {
    "small": Skeleton(channels=8, cells=1, resolution=16),
    "published": Skeleton(channels=16, cells=5, resolution=32),
}
TRANSNAS101 = {
    "small": Skeleton(channels=8, cells=1, resolution=16, least_channels=2),
    "published": Skeleton(channels=64, cells=2, resolution=256, halvings=5, least_channels=2),
}
STAGES = 3
MACRO = "41414"
"""The modules of TransNAS-Bench-101: 4 doubles the channels and halves the image, 1 keeps both."""


class Cell(nn.Module):
    """A cell: each node is the sum of what its edges make of the nodes before it.

    Args:
        operations: names of the six operations, in the order of ``EDGES``.
        inputs, outputs: channels.
        stride: of the edges from the input.
    """

    def __init__(self, operations: Sequence[str], inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        self.stride, self.outputs = stride, outputs
        there = [edge for edge, name in zip(EDGES, operations, strict=True) if name != "none"]
        needed = leading(there, 3)
        self.sources = {
            node: [source for source, target in there if target == node] for node in sorted(needed) if node
        }
        for (source, target), name in zip(EDGES, operations, strict=True):
            if name != "none":
                sizes = (inputs, outputs, stride) if source == 0 else (outputs, outputs, 1)
                self.edges[f"{source}_{target}"] = operation(name, *sizes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride); zeros where no path leads to the
        output.
        """
        values: dict[int, Tensor] = {0: x}
        for node, sources in self.sources.items():
            parts = [self.edges[f"{source}_{node}"](values[source]) for source in sources if source in values]
            if parts:
                values[node] = added(parts)
        if 3 in values:
            return values[3]
        nothing = x[:, :1, :: self.stride, :: self.stride] * 0.0
        return nothing.expand(-1, self.outputs, -1, -1)


def operation(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    """The layers of an operation but ``"none"``: ReLU, convolution and batch normalisation, average pooling
    or a skip connection.
    """
    if name.endswith("3x3") and "conv" in name:
        return relu_conv_bn(inputs, outputs, 3, stride)
    if "conv" in name:
        return relu_conv_bn(inputs, outputs, 1, stride)
    if "pool" in name:
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return nn.Identity() if stride == 1 and inputs == outputs else HalvedBySkipping(inputs, outputs)


class Residual(nn.Module):
    """The block between two stages of NAS-Bench-201: two 3x3 convolutions, the first of stride 2, and beside
    them an average pooling with a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.long = nn.Sequential(relu_conv_bn(inputs, outputs, 3, 2), relu_conv_bn(outputs, outputs, 3))
        self.short = named(("pool", nn.AvgPool2d(2)), ("conv", conv(inputs, outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / 2, W / 2)."""
        return added([self.short(x), self.long(x)])


def _names(graphs: ArchGraphs) -> list[str]:
    check_one(len(graphs))
    with reading():
        numbers = graphs.space.to_ops(graphs)[0].tolist()
    return [graphs.space.operations[k] for k in numbers]


def nasbench201(graphs: ArchGraphs, skeleton: Skeleton) -> Network:
    """Three stages of cells of C, 2C and 4C channels, with residual blocks between them."""
    operations = _names(graphs)
    cells: list[nn.Module] = []
    for stage in range(STAGES):
        width = skeleton.channels * 2**stage
        if stage:
            cells.append(Residual(width // 2, width))
        cells += [Cell(operations, width, width) for _ in range(skeleton.cells)]
    last = named(("norm", nn.BatchNorm2d(width)), ("relu", nn.ReLU()))
    stem = conv_bn(skeleton.image_channels, skeleton.channels, 3)
    return Network(graphs.space.name, skeleton, stem, cells, last, width)


def transnas101(graphs: ArchGraphs, skeleton: Skeleton) -> Network:
    """The modules 41414 of cells, of which the first of a module 4 doubles the channels and halves the image.

    The published network halves the image twice before them. A network of fewer halvings has only the first
    modules, and its stem keeps the image, so that images may be small. The task's own decoder is a linear
    classifier here.
    """
    operations = _names(graphs)
    whole = skeleton.halvings == TRANSNAS101["published"].halvings
    half, width = skeleton.channels // 2, skeleton.channels
    stride = 2 if whole else 1
    stem = nn.Sequential(
        conv_bn_relu(skeleton.image_channels, half, 3, stride), conv_bn_relu(half, width, 3, stride)
    )
    cells: list[nn.Module] = []
    for kind in MACRO if whole else MACRO[: 2 * skeleton.halvings - 1]:
        for place in range(skeleton.cells):
            grows = kind == "4" and place == 0
            outputs = 2 * width if grows else width
            cells.append(Cell(operations, width, outputs, 2 if grows else 1))
            width = outputs
    return Network(graphs.space.name, skeleton, stem, cells, nn.Identity(), width)
