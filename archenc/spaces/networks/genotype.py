"""Networks of genotypes: DARTS (Liu, Simonyan, Yang, ICLR 2019, section 3 and appendix A), and NASNet,
AmoebaNet, PNAS and ENAS with the same skeleton, as "On Network Design Spaces" (ICCV 2019) trains them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor, nn

from archenc.errors import InvalidArchitecture, shown
from archenc.graphs import ArchGraphs
from archenc.spaces.networks import (
    HalvedBySkipping,
    Network,
    Skeleton,
    added,
    check_one,
    conv,
    conv_bn,
    joined,
    reading,
    relu_conv_bn,
)

SKELETONS = {
    "small": Skeleton(channels=8, cells=5, resolution=16),
    "published": Skeleton(channels=36, cells=20, resolution=32),
}
"""The published one is that of DARTS on CIFAR-10; NAS-Bench-301 has 32 channels and 8 cells, and the networks
of NDS have sizes of their own.
"""
_OPERATION = re.compile(
    r"(?P<kind>sep_conv|dil_conv|dil_sep_conv|conv|avg_pool|max_pool)_(?P<size>\d)x(?P=size)"
)
_LONG = re.compile(r"conv_(?P<size>\d)x1_1x(?P=size)")
Edge = tuple[int, str]


def _depthwise(inputs: int, outputs: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    """ReLU, a convolution of each channel alone, one of each pixel alone, batch normalisation."""
    return [
        nn.ReLU(),
        conv(inputs, inputs, kernel, stride, groups=inputs, dilation=dilation),
        conv(inputs, outputs, 1),
        nn.BatchNorm2d(outputs),
    ]


def _long(channels: int, kernel: int, stride: int) -> nn.Module:
    """ReLU, two convolutions of a row and of a column of pixels, batch normalisation."""
    padding = kernel // 2
    row = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, padding), bias=False)
    column = nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (padding, 0), bias=False)
    return nn.Sequential(nn.ReLU(), row, column, nn.BatchNorm2d(channels))


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """The layers of an operation of these spaces but ``"none"``; raises :class:`InvalidArchitecture` for one
    that is not known here.
    """
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else HalvedBySkipping(channels, channels)
    if found := _LONG.fullmatch(name):
        return _long(channels, int(found["size"]), stride)
    found = _OPERATION.fullmatch(name)
    if found is None:
        raise InvalidArchitecture(
            f"no layers are known of the operation {shown(name)}; name it as DARTS and NASNet do, for "
            "example sep_conv_3x3"
        )
    size, kind = int(found["size"]), found["kind"]
    if kind == "avg_pool":
        return nn.AvgPool2d(size, stride, size // 2, count_include_pad=False)
    if kind == "max_pool":
        return nn.MaxPool2d(size, stride, size // 2)
    if kind == "conv":
        return relu_conv_bn(channels, channels, size, stride)
    layers = _depthwise(channels, channels, size, stride, 2 if "dil" in kind else 1)
    if kind in ("sep_conv", "dil_sep_conv"):  # separable convolutions are always applied twice
        layers += _depthwise(channels, channels, size, 1, 1)
    return nn.Sequential(*layers)


class Cell(nn.Module):
    """A normal or a reduction cell.

    Args:
        edges: source and operation of the two edges into each intermediate node in turn; nodes 0 and 1 are
            the inputs.
        concat: the intermediate nodes whose channels are joined, numbered from 2.
        inputs: channels of the cell before the previous one, and of the previous one.
        channels: of each node.
        halves: whether this is a reduction cell.
        after_halving: whether the previous one was.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        concat: Sequence[int],
        inputs: tuple[int, int],
        channels: int,
        *,
        halves: bool,
        after_halving: bool,
    ) -> None:
        super().__init__()
        self.concat, self.stride = list(concat), 2 if halves else 1
        self.sources = [source for source, _ in edges]
        self.none = [name == "none" for _, name in edges]
        self.first = (
            HalvedBySkipping(inputs[0], channels) if after_halving else relu_conv_bn(inputs[0], channels, 1)
        )
        self.second = relu_conv_bn(inputs[1], channels, 1)
        self.edges = nn.ModuleDict()
        for place, (source, name) in enumerate(edges):
            if name != "none":
                self.edges[str(place)] = operation(name, channels, self.stride if source < 2 else 1)

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        """Outputs of the two cells before this one to (B, channels * len(concat), H, W)."""
        values = [self.first(before), self.second(previous)]
        for node in range(len(self.sources) // 2):
            parts = [self._edge(place, values) for place in (2 * node, 2 * node + 1)]
            values.append(added(parts))
        return joined([values[node] for node in self.concat])

    def _edge(self, place: int, values: list[Tensor]) -> Tensor:
        source = self.sources[place]
        if self.none[place]:
            stride = self.stride if source < 2 else 1
            return values[source][:, :, ::stride, ::stride] * 0.0
        result: Tensor = self.edges[str(place)](values[source])
        return result


class TwoInputNetwork(Network):
    """A network whose cells see the outputs of the two cells before them; the auxiliary classifier of DARTS'
    training is left out.
    """

    def features(self, images: Tensor) -> Tensor:
        before = previous = self.stem(images)
        for cell in self.cells:
            before, previous = previous, cell(before, previous)
        last: Tensor = self.last(previous)
        return last


def network(graphs: ArchGraphs, skeleton: Skeleton) -> Network:
    """The network of a genotype: cells in a row, of which those at one and two thirds are reduction cells
    that double the channels, behind a stem of 3C channels. Where the space has one kind of cell, that is
    both.
    """
    check_one(len(graphs))
    space = graphs.space
    with reading():
        table, joins = space.to_genotypes(graphs)[0], space.to_concat(graphs)[0]
    kinds = [
        ([(int(source), space.choices[k]) for source, k in cell], [2 + int(n) for n in row.nonzero()[0]])
        for cell, row in zip(table, joins, strict=True)
    ]
    width = skeleton.channels
    stem = conv_bn(skeleton.image_channels, 3 * width, 3)
    inputs = (3 * width, 3 * width)
    cells: list[nn.Module] = []
    halved = False
    for place in range(skeleton.cells):
        halves = place in (skeleton.cells // 3, 2 * skeleton.cells // 3) and skeleton.cells > 2
        edges, concat = kinds[-1 if halves else 0]
        width *= 2 if halves else 1
        cells.append(Cell(edges, concat, inputs, width, halves=halves, after_halving=halved))
        inputs, halved = (inputs[1], width * len(concat)), halves
    return TwoInputNetwork(space.name, skeleton, stem, cells, nn.Identity(), inputs[1])
