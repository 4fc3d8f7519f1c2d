"""Networks of architectures in plain PyTorch: what all families share.

A network is a stem, a row of cells or layers that halve the image now and then, and a linear classifier on
the mean over the pixels. Each family of spaces has a module that builds the middle.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from archenc.errors import InvalidArchitecture, InvalidParameter, shown

SkeletonName = Literal["small", "published"]
MOST = 4096
"""Of each number of a skeleton."""


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the cells.

    Attributes:
        channels: C of the first stage, or of the stem.
        cells: cells of each stage, or of the whole network where its cells are of two kinds; 0 where the
            architecture itself says how many layers there are.
        resolution: side of the images in pixels.
        halvings: how often the image is halved.
        least_channels: fewest channels with which the network can be built.
        classes: outputs of the classifier.
        image_channels: 3 for colours.
    """

    channels: int
    cells: int
    resolution: int
    halvings: int = 2
    least_channels: int = 1
    classes: int = 10
    image_channels: int = 3

    def check_size(self, what: str, side: int) -> None:
        """Raise :class:`InvalidParameter` for images that cannot be halved often enough."""
        if side <= 0 or side % 2**self.halvings:
            raise InvalidParameter(
                f"a network of {what} halves its images {self.halvings} times and does not run on {side} x "
                f"{side} pixels; give a resolution that is a multiple of {2**self.halvings}"
            )


def chosen_skeleton(
    space: str, skeletons: Mapping[str, Skeleton], name: str, given: Mapping[str, int | None]
) -> Skeleton:
    """The skeleton of that name with the numbers that a user gave in place of its own.

    Raises:
        InvalidParameter: an unknown name, a number out of range, or a size at which the network does not run.
    """
    if not skeletons:
        raise InvalidParameter(
            f"the space {space!r} does not say which layers its operations are, so that no network is built; "
            "use a space such as nasbench101, nasbench201 or darts"
        )
    if name not in skeletons:
        raise InvalidParameter(
            f"there is no skeleton {shown(name)} of {space!r}; choose {' or '.join(skeletons)}"
        )
    skeleton = skeletons[name]
    numbers = {key: value for key, value in given.items() if value is not None}
    if skeleton.cells == 0 and "cells" in numbers:
        raise InvalidParameter(
            f"architectures of {space} say themselves how many layers there are; leave out cells"
        )
    least = {"channels": skeleton.least_channels, "resolution": 2**skeleton.halvings}
    for key, value in numbers.items():
        lowest = least.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= MOST:
            raise InvalidParameter(
                f"a network of {space} does not run with {key}={shown(value)}; give a whole number from "
                f"{lowest} to {MOST:,}"
            )
    changed = replace(skeleton, **numbers)
    changed.check_size(space, changed.resolution)
    return changed


class Network(nn.Module):
    """Stem, cells and classifier of one architecture, as :meth:`archenc.spaces.base.Space.build` gives it.

    Args:
        space: name of its space, for messages.
        skeleton: its sizes.
        stem: from images to features.
        cells: the middle, called one after the other; :meth:`features` says how.
        last: what is done to the features before the mean over the pixels.
        width: channels of the last features.

    Examples:
        >>> import archenc, torch
        >>> space = archenc.create_space("nasbench201")
        >>> network = space.build(space.sample(1, seed=0), channels=8, resolution=16)
        >>> network(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        space: str,
        skeleton: Skeleton,
        stem: nn.Module,
        cells: list[nn.Module],
        last: nn.Module,
        width: int,
    ) -> None:
        super().__init__()
        self.space, self.skeleton = space, skeleton
        self.stem = stem
        self.cells = nn.ModuleList(cells)
        self.last = last
        self.classifier = nn.Linear(width, skeleton.classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, width, side, side) of images (B, channels, resolution, resolution)."""
        x: Tensor = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        last: Tensor = self.last(x)
        return last

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes (B, classes); raises :class:`InvalidParameter` for images of a size at which
        the network does not run.
        """
        if images.dim() != 4 or images.shape[1] != self.skeleton.image_channels:
            raise InvalidParameter(
                f"a network of {self.space} got images of shape {tuple(images.shape)}; give "
                f"(batch, {self.skeleton.image_channels}, side, side)"
            )
        for side in images.shape[2:]:
            self.skeleton.check_size(self.space, int(side))
        scores: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return scores


def check_one(count: int) -> None:
    """Raise :class:`InvalidArchitecture` unless there is one architecture."""
    if count != 1:
        raise InvalidArchitecture(f"a network is built of one architecture, not of {count}; give graphs[i]")


def reading() -> contextlib.AbstractContextManager[object]:
    """Inside, architectures are read on the processor, also where a network is built on another device:
    ``with torch.device("meta"): space.build(graphs)`` takes no memory.
    """
    return torch.device("cpu")


# -- layers --------------------------------------------------------------------------------------------------


def named(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    """Layers one after the other, whose names are those of their kinds."""
    return nn.Sequential(OrderedDict(layers))


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution without bias whose output is as large as its input over the stride."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation=dilation, groups=groups, bias=False)


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation."""
    return named(("conv", conv(inputs, outputs, kernel, stride)), ("norm", nn.BatchNorm2d(outputs)))


def conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return named(
        ("conv", conv(inputs, outputs, kernel, stride)),
        ("norm", nn.BatchNorm2d(outputs)),
        ("relu", nn.ReLU()),
    )


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution, batch normalisation."""
    return named(
        ("relu", nn.ReLU()),
        ("conv", conv(inputs, outputs, kernel, stride)),
        ("norm", nn.BatchNorm2d(outputs)),
    )


class HalvedBySkipping(nn.Module):
    """A skip connection that halves the image: two strided 1x1 convolutions of half of the channels each, the
    second on the image moved by a pixel (the "factorized reduction" of NASNet and DARTS).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = conv(inputs, outputs // 2, 1, 2)
        self.odd = conv(inputs, outputs - outputs // 2, 1, 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, inputs, H, W) to (B, outputs, H / 2, W / 2)."""
        x = nn.functional.relu(x)
        halved: Tensor = self.norm(joined([self.even(x), self.odd(x[:, :, 1:, 1:])]))
        return halved


def joined(parts: list[Tensor]) -> Tensor:
    """Features joined along the channels; a single part as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def added(parts: list[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def leading(edges: list[tuple[int, int]], last: int) -> set[int]:
    """The nodes from which these edges lead to the node ``last``; edges are by target."""
    found = {last}
    for source, target in sorted(edges, key=lambda edge: -edge[1]):
        if target in found:
            found.add(source)
    return found
