"""Where the boxes of a drawn graph and the lines between them lie: in layers from left to right.

A line across layers goes through a point of its own in each of them, so that it meets no box; lines from one
box are one as far as they go the same way. A graph too wide for a page goes on below, as text does, where few
lines cross: these go round in the space between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import ceil

from archenc.graphs.drawing.order import Edge, layers_of, ordered
from archenc.graphs.drawing.rows import SPACING, rows

GAP, THIN = 44.0, 6.0
"""Between layers, and the height of a line that passes one."""
WIDEST, MOST_TURNS = 1200.0, 4
"""From what width on a graph goes on below, and how many lines may lead there."""
TURN, BESIDE, CORNER, ARROW = 30.0, 5.0, 5.0, 6.0
"""The space in which lines turn, that between two of them, the radius of a bend, and the space before a box
for the head of an arrow.
"""


@dataclass(frozen=True)
class Layout:
    """A drawn graph.

    Attributes:
        centres: (x, y) of each box.
        layers: the layer of each box.
        bands: the number of the line of the page that each layer is on.
        paths: of each edge, as in SVG, from the side of its first box to just before that of its last.
        width, height: of everything, from (0, 0).
    """

    centres: list[tuple[float, float]]
    layers: list[int]
    bands: list[int]
    paths: list[str]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], last: int | None = None) -> Layout:
    """Place boxes.

    Args:
        sizes: width and height of each box, in a topological order.
        edges: (from, to), the first before the second.
        last: a box that goes right of all others.
    """
    boxes, layers = len(sizes), layers_of(len(sizes), edges, last)
    heights = [height for _, height in sizes]
    passing: dict[tuple[int, int], int] = {}  # where the lines from a box pass a layer, all in one
    chains = []
    for one, other in edges:
        between = range(layers[one] + 1, layers[other])
        chains.append([one, *(passing.setdefault((one, at), boxes + len(passing)) for at in between), other])
    layers += [layer for _, layer in passing]
    heights += [THIN] * len(passing)
    links = sorted({pair for chain in chains for pair in pairwise(chain)})
    order = ordered(layers, links)
    widths = [max((sizes[node][0] for node in layer if node < boxes), default=0.0) for layer in order]
    crossing = [sum(layers[one] == layer for one, _ in links) for layer in range(len(order) - 1)]
    bands = _bands(widths, crossing)
    page = _Page(layers, bands, widths, heights, rows(order, links, heights, boxes), links)
    ends = [width / 2 for width, _ in sizes]
    return Layout(
        [page.centre(box) for box in range(boxes)],
        layers[:boxes],
        bands,
        [page.path(chain, ends[chain[0]], ends[chain[-1]] + ARROW) for chain in chains],
        page.width,
        page.height,
    )


def _bands(widths: Sequence[float], crossing: Sequence[int]) -> list[int]:
    """The number of each layer's line of the page: all about as long, broken where few links cross."""
    right = list(accumulate(width + GAP for width in widths))
    bands, start = [0] * len(widths), 0.0
    end = right[-1] if right else 0.0
    length = end / ceil(end / WIDEST) if right else 0.0
    possible = [layer for layer, count in enumerate(crossing) if count <= MOST_TURNS]
    while end - start > WIDEST:
        ahead = [layer for layer in possible if min(right[layer] - start, end - right[layer]) > WIDEST / 4]
        if not ahead:
            break
        near = [layer for layer in ahead if length * 2 / 3 < right[layer] - start < WIDEST]
        fewest = min(crossing[layer] for layer in near or ahead)
        best = [layer for layer in near if crossing[layer] == fewest] or ahead
        at = min(best, key=lambda layer: abs(right[layer] - start - length))
        bands[at + 1 :] = [bands[at] + 1] * (len(bands) - at - 1)
        start = right[at]
    return bands


class _Page:
    """Layers in lines of a page: the places of nodes, and paths through them."""

    def __init__(
        self,
        layers: Sequence[int],
        bands: Sequence[int],
        widths: Sequence[float],
        heights: Sequence[float],
        y: Sequence[float],
        links: Sequence[Edge],
    ) -> None:
        self.layers, self.bands = layers, bands
        indent = TURN if bands and bands[-1] else 0.0
        self.columns: list[tuple[float, float]] = []
        for layer, width in enumerate(widths):
            new = layer == 0 or bands[layer] != bands[layer - 1]
            left = indent if new else self.columns[-1][1] + GAP
            self.columns.append((left, left + width))
        self.turns = self._ranked(links, y)
        self.bottoms: list[float] = []
        shifts = []
        for band in range(bands[-1] + 1 if bands else 0):
            inside = [node for node, layer in enumerate(layers) if bands[layer] == band]
            top = min(y[node] - heights[node] / 2 for node in inside)
            above = self.bottoms[-1] + TURN + SPACING if self.bottoms else 0.0
            shifts.append(above - top)
            self.bottoms.append(max(y[node] + heights[node] / 2 for node in inside) + shifts[-1])
        self.y = [place + shifts[bands[layer]] for place, layer in zip(y, layers, strict=True)]
        self.width = max((right for _, right in self.columns), default=0.0) + indent
        self.height = self.bottoms[-1] if self.bottoms else 0.0

    def _ranked(self, links: Sequence[Edge], y: Sequence[float]) -> dict[Edge, tuple[int, int]]:
        """Of the links to a next line their place among them, from the lowest, and how many there are."""
        turning: dict[int, list[Edge]] = {}
        for one, other in links:
            if self.bands[self.layers[one]] != self.bands[self.layers[other]]:
                turning.setdefault(self.layers[one], []).append((one, other))
        found: dict[Edge, tuple[int, int]] = {}
        for alike in turning.values():
            alike.sort(key=lambda link: (-y[link[0]], -y[link[1]]))
            found |= {link: (rank, len(alike)) for rank, link in enumerate(alike)}
        return found

    def centre(self, node: int) -> tuple[float, float]:
        return sum(self.columns[self.layers[node]]) / 2, self.y[node]

    def path(self, chain: Sequence[int], before: float, after: float) -> str:
        """Through the nodes of a chain: level in the columns of layers, bent in the gaps between them.

        Args:
            chain: nodes, each in the layer after that of the one before.
            before: the distance of the path's beginning from the centre of the first.
            after: the distance of its end from the centre of the last.
        """
        x, y = self.centre(chain[0])
        text = f"M{x + before:.1f} {y:.1f}"
        for one, other in pairwise(chain):
            right, left = self.columns[self.layers[one]][1], self.columns[self.layers[other]][0]
            text += (
                self._turn(one, other)
                if (one, other) in self.turns
                else _bend(right, left, self.y[one], self.y[other])
            )
        return f"{text}H{self.centre(chain[-1])[0] - after:.1f}"

    def _turn(self, one: int, other: int) -> str:
        """Round to the next line of the page."""
        (rank, count), bottom = self.turns[one, other], self.bottoms[self.bands[self.layers[one]]]
        right = self.columns[self.layers[one]][1] + 2 * CORNER + rank * BESIDE
        left = TURN - 2 * CORNER - (count - 1 - rank) * BESIDE
        level = bottom + 2 * CORNER + rank * BESIDE
        corners = [(right, self.y[one]), (right, level), (left, level), (left, self.y[other])]
        return _rounded(corners, (self.columns[self.layers[other]][0], self.y[other]))


def _bend(right: float, left: float, y: float, target: float) -> str:
    middle = (right + left) / 2
    if f"{y:.1f}" == f"{target:.1f}":
        return ""
    return f"H{right:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {target:.1f} {left:.1f} {target:.1f}"


def _rounded(corners: Sequence[tuple[float, float]], end: tuple[float, float]) -> str:
    """Straight to each corner and round it; sideways first."""
    text = ""
    for at, ((x, y), (next_x, next_y)) in enumerate(pairwise([*corners, end])):
        towards = (next_x > x) - (next_x < x), (next_y > y) - (next_y < y)
        came = corners[at - 1] if at else (x - 1, y)
        back = (came[0] > x) - (came[0] < x), (came[1] > y) - (came[1] < y)
        text += f"L{x + back[0] * CORNER:.1f} {y + back[1] * CORNER:.1f}"
        text += f"Q{x:.1f} {y:.1f} {x + towards[0] * CORNER:.1f} {y + towards[1] * CORNER:.1f}"
    return text
