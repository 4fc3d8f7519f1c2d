"""Layers of a graph, and the order in them (Sugiyama, Tagawa and Toda, Methods for Visual Understanding of
Hierarchical System Structures, IEEE Transactions on Systems, Man, and Cybernetics 1981).

A node's layer is the length of the longest path to it. The order in a layer is that of the mean places of
neighbours, swept to and fro.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

SWEEPS = 12

Edge = tuple[int, int]


def layers_of(count: int, edges: Sequence[Edge], last: int | None) -> list[int]:
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


def ordered(layers: Sequence[int], links: Sequence[Edge]) -> list[list[int]]:
    """The nodes of each layer from top to bottom, with few crossings of the links between one layer and the
    next; what no link joins goes last.
    """
    linked = {node for link in links for node in link}
    order: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for node in sorted(linked):
        order[layers[node]].append(node)
    before, after = neighbours(len(layers), links)
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


def neighbours(count: int, links: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
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
