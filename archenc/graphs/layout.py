"""Where the boxes of a drawn graph lie: in layers from left to right (Sugiyama, Tagawa and Toda, Methods for
Visual Understanding of Hierarchical System Structures, IEEE Transactions on Systems, Man, and Cybernetics
1981).

A node's layer is the length of the longest path to it. An edge across layers goes through a point of its own
in each of them, so that it meets no box; the order in a layer is that of the mean places of neighbours, swept
to and fro; then every place moves towards its neighbours as far as the places beside it let it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

GAP, SPACING, THIN = 46.0, 12.0, 6.0
"""Between layers, between places in a layer, and the height of an edge that passes one."""
SWEEPS = 8

Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """A drawn graph.

    Attributes:
        centres: (x, y) of each box.
        columns: the left and right sides of the layers.
        layers: the layer of each box.
        routes: for each edge the places that it passes, as (layer, y), from its first box to its last.
        width, height: of everything, from (0, 0).
    """

    centres: list[tuple[float, float]]
    columns: list[tuple[float, float]]
    layers: list[int]
    routes: list[list[tuple[int, float]]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], last: int | None = None) -> Layout:
    """Place boxes.

    Args:
        sizes: width and height of each box, in a topological order.
        edges: (from, to), the first before the second.
        last: a box that goes right of all others.
    """
    layers = _layers(len(sizes), edges, last)
    heights = [height for _, height in sizes]
    chains = []
    for one, other in edges:  # places in the layers that an edge crosses
        chain = [one]
        for layer in range(layers[one] + 1, layers[other]):
            chain.append(len(heights))
            heights.append(THIN)
            layers.append(layer)
        chains.append([*chain, other])
    links = [pair for chain in chains for pair in pairwise(chain)]
    order = _orders(layers, links)
    y = _rows(order, heights, links)
    top = min(place - height / 2 for place, height in zip(y, heights, strict=True))
    bottom = max(place + height / 2 for place, height in zip(y, heights, strict=True))
    y = [place - top for place in y]
    columns, right = [], 0.0
    for row in order:
        width = max((sizes[node][0] for node in row if node < len(sizes)), default=0.0)
        columns.append((right, right + width))
        right += width + GAP
    centres = [(sum(columns[layers[node]]) / 2, y[node]) for node in range(len(sizes))]
    routes = [[(layers[node], y[node]) for node in chain] for chain in chains]
    return Layout(centres, columns, layers[: len(sizes)], routes, max(right - GAP, 0.0), bottom - top)


def _layers(count: int, edges: Sequence[Edge], last: int | None) -> list[int]:
    """The length of the longest path to each node; what nothing leads to, just before its first reader."""
    layers = [0] * count
    for one, other in sorted(edges, key=lambda edge: edge[1]):
        layers[other] = max(layers[other], layers[one] + 1)
    if last is not None:
        others = [layer for node, layer in enumerate(layers) if node != last]
        layers[last] = max(others, default=-1) + 1
    return layers


def _orders(layers: Sequence[int], links: Sequence[Edge]) -> list[list[int]]:
    """The nodes of each layer from top to bottom."""
    order: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for node, layer in enumerate(layers):
        order[layer].append(node)
    before, after = _neighbours(len(layers), links)
    best, fewest = [list(layer) for layer in order], _crossings(order, before)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for row in order if sweep % 2 == 0 else reversed(order):
            place = {node: at for one in order for at, node in enumerate(one)}
            row.sort(key=lambda node: _mean(neighbours[node], place, place[node]))
        if (count := _crossings(order, before)) < fewest:
            best, fewest = [list(layer) for layer in order], count
    return best


def _neighbours(count: int, links: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
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
        place = {node: at for at, node in enumerate(upper)}
        ends = [sorted(place[one] for one in before[node]) for node in layer]
        flat = [at for one in ends for at in one]
        count += sum(a > b for i, a in enumerate(flat) for b in flat[i + 1 :])
    return count


def _rows(order: Sequence[Sequence[int]], heights: Sequence[float], links: Sequence[Edge]) -> list[float]:
    """The y of each node: near the mean of its neighbours, in the order of its layer, clear of the next."""
    y = [0.0] * len(heights)
    for layer in order:
        _spread(layer, [0.0] * len(layer), heights, y)
    before, after = _neighbours(len(heights), links)
    for sweep in range(SWEEPS):
        for layer in order if sweep % 2 == 0 else reversed(order):
            wanted = []
            for node in layer:
                around = [y[other] for other in (*before[node], *after[node])]
                wanted.append(fmean(around) if around else y[node])
            _spread(layer, wanted, heights, y)
    return y


def _spread(layer: Sequence[int], wanted: Sequence[float], heights: Sequence[float], y: list[float]) -> None:
    """Put the nodes of a layer as near to where they want to be as their distances allow: blocks of nodes
    that touch share the mean of what they want (pooling of adjacent violators).
    """
    offsets, total = [], 0.0
    for at, node in enumerate(layer):
        total += 0.0 if at == 0 else (heights[layer[at - 1]] + heights[node]) / 2 + SPACING
        offsets.append(total)
    blocks: list[list[float]] = []  # [sum of wanted places less offsets, number of nodes]
    for goal, offset in zip(wanted, offsets, strict=True):
        blocks.append([goal - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total_goal, count = blocks.pop()
            blocks[-1][0] += total_goal
            blocks[-1][1] += count
    at = 0
    for total_goal, count in blocks:
        for _ in range(int(count)):
            y[layer[at]] = total_goal / count + offsets[at]
            at += 1
