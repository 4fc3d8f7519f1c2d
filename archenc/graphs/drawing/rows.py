"""How high the nodes of a layered graph lie (Brandes and Koepf, Fast and Simple Horizontal Coordinate
Assignment, Graph Drawing 2001).

Nodes that one line joins form a block, level throughout; blocks lie as close as their neighbours allow. That
is done four times, from the left and from the right, upwards and downwards, and each node lies between the
middle two of its four places.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from itertools import pairwise

from archenc.graphs.drawing.order import Edge, neighbours

SPACING = 12.0
"""Between the places in a layer."""


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
    before, after = neighbours(len(heights), links)
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
