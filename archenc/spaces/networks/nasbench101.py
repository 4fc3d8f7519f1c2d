"""Networks of NAS-Bench-101 (Ying et al., ICML 2019, section 2.1, the paper's supplement and the official
model builder): see :mod:`archenc.spaces.nasbench101.costs` for the channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.spaces.nasbench101.costs import node_channels
from archenc.spaces.networks import Network, Skeleton, added, check_one, conv_bn_relu, joined, reading

SKELETONS = {
    "small": Skeleton(channels=16, cells=1, resolution=16, least_channels=5),
    "published": Skeleton(channels=128, cells=3, resolution=32, least_channels=5),
}
"""With fewer channels than five, some of five nodes that feed the output would have none."""
STACKS = 3


class Cell(nn.Module):
    """A cell: interior nodes add up what reaches them, cut to their channels, and apply their operation; the
    output joins the channels of those that feed it and adds the projected input, where that feeds it too.

    Args:
        adjacency: (V, V) bool; node 0 is the input and the last the output, and every node that is there
            lies on a path between them.
        operations: the number k of each node's operation, 0 conv3x3, 1 conv1x1, 2 maxpool3x3.
        inputs, outputs: channels.
    """

    def __init__(self, adjacency: np.ndarray, operations: Sequence[int], inputs: int, outputs: int) -> None:
        super().__init__()
        last = len(adjacency) - 1
        self.channels: list[int] = node_channels(adjacency[None], outputs)[0].tolist()
        self.sources = [np.flatnonzero(adjacency[:, node]).tolist() for node in range(last + 1)]
        self.interior = [node for node in range(1, last) if self.sources[node]]
        self.projections = nn.ModuleDict(
            {
                str(node): conv_bn_relu(inputs, self.channels[node], 1)
                for node in [*self.interior, last]
                if 0 in self.sources[node]
            }
        )
        self.operations = nn.ModuleDict(
            {str(node): _operation(operations[node], self.channels[node]) for node in self.interior}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        last = len(self.sources) - 1
        values: dict[int, Tensor] = {}
        for node in self.interior:
            width = self.channels[node]
            parts = [
                values[source] if self.channels[source] == width else values[source][:, :width]
                for source in self.sources[node]
                if source
            ]
            if 0 in self.sources[node]:
                parts.append(self.projections[str(node)](x))
            values[node] = self.operations[str(node)](added(parts))
        fed = [values[source] for source in self.sources[last] if source]
        parts = [joined(fed)] if fed else []
        if 0 in self.sources[last]:
            parts.append(self.projections[str(last)](x))
        return added(parts)


def _operation(number: int, channels: int) -> nn.Module:
    return nn.MaxPool2d(3, 1, 1) if number == 2 else conv_bn_relu(channels, channels, 3 if number == 0 else 1)


def network(graphs: ArchGraphs, skeleton: Skeleton) -> Network:
    """The network of one cell whose nodes all lie on a path from the input to the output.

    Three stacks of cells of C, 2C and 4C channels; 2x2 max-pooling before the second and the third.
    """
    check_one(len(graphs))
    with reading():
        adjacency = graphs.adjacency[0].cpu().numpy().astype(bool)
        operations = (graphs.ops[0].cpu().long() - NODE_OFFSET).tolist()
    cells: list[nn.Module] = []
    width = skeleton.channels
    for stack in range(STACKS):
        outputs = skeleton.channels * 2**stack
        for place in range(skeleton.cells):
            cell = Cell(adjacency, operations, width, outputs)
            cells.append(nn.Sequential(nn.MaxPool2d(2), cell) if stack and not place else cell)
            width = outputs
    stem = conv_bn_relu(skeleton.image_channels, skeleton.channels, 3)
    return Network(graphs.space.name, skeleton, stem, cells, nn.Identity(), width)
