"""Where the boxes of a drawn graph and the lines between them lie: in layers from left to right (Sugiyama,
Tagawa and Toda, Methods for Visual Understanding of Hierarchical System Structures, IEEE Transactions on
Systems, Man, and Cybernetics 1981; heights by Brandes and Koepf, Fast and Simple Horizontal Coordinate
Assignment, Graph Drawing 2001).

A node's layer is the length of the longest path to it. A line across layers goes through a point of its own
in each of them, so that it meets no box; lines from one box are one as far as they go the same way. The
order in a layer is that of the mean places of neighbours, swept to and fro. Nodes that one line joins form
a block, level throughout, which lies as close to the next as its neighbours allow: four times, from the
left and from the right, upwards and downwards, and each node lies between the middle two of its four
places. A graph too wide for a page goes on below, as text does, where few lines cross: these go round in
the space between.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import accumulate, pairwise
from math import ceil
from statistics import fmean

SPACING = 12.0
"""Between the places in a layer."""
GAP, THIN = 44.0, 6.0
"""Between layers, and the height of a line that passes one."""
WIDEST, MOST_TURNS = 1200.0, 4
"""From what width on a graph goes on below, and how many lines may lead there."""
TURN, BESIDE, CORNER, ARROW = 30.0, 5.0, 5.0, 6.0
"""The space in which lines turn, that between two of them, the radius of a bend, and the space before a box
for the head of an arrow.
"""
SWEEPS = 12

Edge = tuple[int, int]


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
    boxes, layers = len(sizes), _layers(len(sizes), edges, last)
    heights = [height for _, height in sizes]
    passing: dict[tuple[int, int], int] = {}  # where the lines from a box pass a layer, all in one
    chains = []
    for one, other in edges:
        between = range(layers[one] + 1, layers[other])
        chains.append([one, *(passing.setdefault((one, at), boxes + len(passing)) for at in between), other])
    layers += [layer for _, layer in passing]
    heights += [THIN] * len(passing)
    links = sorted({pair for chain in chains for pair in pairwise(chain)})
    order = _ordered(layers, links)
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


# -- layers, and the order in them ---------------------------------------------------------------------------


def _layers(count: int, edges: Sequence[Edge], last: int | None) -> list[int]:
    """The length of the longest path to each of ``count`` nodes, which are in a topological order; ``last``
    gets a layer right of all others.
    """
    layers = [0] * count
    for one, other in sorted(edges, key=lambda edge: edge[1]):
        layers[other] = max(layers[other], layers[one] + 1)
    if last is not None:
        others = [layer for node, layer in enumerate(layers) if node != last]
        layers[last] = max(others, default=-1) + 1
    return layers


def _ordered(layers: Sequence[int], links: Sequence[Edge]) -> list[list[int]]:
    """The nodes of each layer from top to bottom, with few crossings of the links between one layer and the
    next; what no link joins goes last.
    """
    linked = {node for link in links for node in link}
    order: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for node in sorted(linked):
        order[layers[node]].append(node)
    before, after = _neighbours(len(layers), links)
    best, fewest = [list(layer) for layer in order], _crossings(order, before)
    for sweep in range(SWEEPS):
        beside = before if sweep % 2 == 0 else after
        for row in order if sweep % 2 == 0 else reversed(order):
            place = {node: at for one in order for at, node in enumerate(one)}
            row.sort(key=lambda node: _mean(beside[node], place, place[node]))
        if (count := _crossings(order, before)) < fewest:
            best, fewest = [list(layer) for layer in order], count
    for node, layer in enumerate(layers):
        best[layer] += [] if node in linked else [node]
    return best


def _neighbours(count: int, links: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    """Of each node those that lead to it, and those that it leads to."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for one, other in links:
        before[other].append(one)
        after[one].append(other)
    return before, after


def _mean(nodes: Sequence[int], place: dict[int, int], own: int) -> float:
    return fmean(place[node] for node in nodes) if nodes else own


def _crossings(order: Sequence[Sequence[int]], before: Sequence[Sequence[int]]) -> int:
    """Pairs of links that cross."""
    count = 0
    for upper, layer in pairwise(order):
        place, passed = {node: at for at, node in enumerate(upper)}, list[int]()
        for node in layer:
            ends = [place[one] for one in before[node]]
            count += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return count


# -- heights -------------------------------------------------------------------------------------------------


def rows(
    order: Sequence[Sequence[int]], links: Sequence[Edge], heights: Sequence[float], boxes: int
) -> list[float]:
    """The y of each node.

    Args:
        order: the nodes of each layer, from top to bottom.
        links: between nodes of one layer and the next.
        heights: of each node.
        boxes: how many nodes are boxes; those after them are where a line passes a layer, and lines that pass
            several stay level.
    """
    before, after = _neighbours(len(heights), links)
    kept = _conflicts(order, before, boxes)
    found = []
    for backwards in (False, True):
        layers = [list(layer) for layer in (reversed(order) if backwards else order)]
        for upwards in (False, True):
            ranked = [layer[::-1] for layer in layers] if upwards else layers
            root = _blocks(ranked, after if backwards else before, kept)
            places = _compact(ranked, root, heights)
            found.append([-place for place in places] if upwards else places)
    return _between(found, heights)


def _conflicts(order: Sequence[Sequence[int]], before: Sequence[Sequence[int]], boxes: int) -> set[Edge]:
    """Links that cross one inside of a long line, which goes first; in both directions."""
    found = set()
    for upper, lower in pairwise(order):
        place = {node: at for at, node in enumerate(upper)}
        links = [(place[one], at, one, node) for at, node in enumerate(lower) for one in before[node]]
        inside = [link for link in links if min(link[2:]) >= boxes]
        for start, end, one, other in links:
            if min(one, other) < boxes and any((start - a) * (end - b) < 0 for a, b, *_ in inside):
                found |= {(one, other), (other, one)}
    return found


def _blocks(
    order: Sequence[Sequence[int]], before: Sequence[Sequence[int]], kept_apart: set[Edge]
) -> list[int]:
    """The first node of each node's block: a node joins the middle one of those that lead to it."""
    root = list(range(sum(map(len, order))))
    for upper, layer in pairwise(order):
        place, free = {node: at for at, node in enumerate(upper)}, -1
        for node in layer:
            leading = sorted(before[node], key=place.__getitem__)
            for middle in sorted({(len(leading) - 1) // 2, len(leading) // 2} if leading else ()):
                one = leading[middle]
                if root[node] == node and (one, node) not in kept_apart and place[one] > free:
                    root[node], free = root[one], place[one]
    return root


def _compact(order: Sequence[Sequence[int]], root: Sequence[int], heights: Sequence[float]) -> list[float]:
    """Each block as high as those above it allow, then as low as those below it do."""
    above: dict[int, dict[int, float]] = {block: {} for block in root}
    below: dict[int, dict[int, float]] = {block: {} for block in root}
    for layer in order:
        for one, other in pairwise(layer):
            distance = (heights[one] + heights[other]) / 2 + SPACING
            first, second = root[one], root[other]
            above[second][first] = below[first][second] = max(distance, above[second].get(first, 0.0))
    y, downwards = dict.fromkeys(root, 0.0), list(TopologicalSorter(above).static_order())
    for block in downwards:
        y[block] = max((y[one] + distance for one, distance in above[block].items()), default=0.0)
    for block in reversed(downwards):
        y[block] = max(y[block], min((y[one] - gap for one, gap in below[block].items()), default=y[block]))
    return [y[block] for block in root]


def _between(found: Sequence[Sequence[float]], heights: Sequence[float]) -> list[float]:
    """The mean of the middle two of four, whose tops (of those made downwards) or bottoms are level with
    those of the least high; from 0.
    """
    if not heights:
        return []
    ends = [
        (
            min(y - height / 2 for y, height in zip(one, heights, strict=True)),
            max(y + height / 2 for y, height in zip(one, heights, strict=True)),
        )
        for one in found
    ]
    top, bottom = min(ends, key=lambda end: end[1] - end[0])
    shifts = [bottom - end[1] if at % 2 else top - end[0] for at, end in enumerate(ends)]
    level = [[y + shift for y in one] for one, shift in zip(found, shifts, strict=True)]
    middle = [sum(sorted(four)[1:3]) / 2 for four in zip(*level, strict=True)]
    highest = min(y - height / 2 for y, height in zip(middle, heights, strict=True))
    return [y - highest for y in middle]


# -- lines of the page, and paths through them ---------------------------------------------------------------


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
