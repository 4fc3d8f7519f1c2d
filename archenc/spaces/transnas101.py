"""TransNAS-Bench-101, cell level: cells of four nodes that are all joined, with one of four operations on
each of the six edges.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from archenc.graphs import ArchGraphs
from archenc.spaces.four_nodes import FourNodeSpace
from archenc.spaces.networks import Network, Skeleton, four_nodes

OPERATIONS = ("none", "skip_connect", "conv1x1", "conv3x3")
MACRO = "64-41414"


class TransNAS101Micro(FourNodeSpace):
    """The cell-level ("micro") space of TransNAS-Bench-101: 4,096 cells.

    Architectures are written as the official string ``64-41414-A_BC_DEF``, whose digits are the operations'
    numbers k by target node (edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3), or in any form of
    :class:`FourNodeSpace`; six numbers are in that order, which is also NASLib's. The first two parts, 64
    channels and the modules 41414 (4 doubles the channels and halves the resolution, 1 keeps both), are the
    macro structure; it is the same for all cells and may be left out.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("transnas101-micro")
        >>> space.format(space.sample(1, seed=0))[0]
        '64-41414-3_22_110'
    """

    paper = "Duan, Chen, Xu, Chen, Liang, Zhang, Li: TransNAS-Bench-101, CVPR 2021, arXiv:2105.11871"
    title = "TransNAS-Bench-101 micro"
    pattern = re.compile(rf"(?:{MACRO}-)?([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")
    example = f"{MACRO}-3_12_031"
    skeletons = four_nodes.TRANSNAS101

    def __init__(self) -> None:
        super().__init__("transnas101-micro", OPERATIONS)

    def read_text(self, text: str, where: str) -> Sequence[Any]:
        found = super().read_text(text, where)
        return [int(digit) for digit in found] if self.pattern.fullmatch(text) else found

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The official string of each architecture."""
        return [MACRO + "-{}_{}{}_{}{}{}".format(*row) for row in self.to_ops(graphs).tolist()]

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """The network of a cell with a linear classifier in the place of the task's own decoder."""
        return four_nodes.transnas101(graphs, skeleton)
