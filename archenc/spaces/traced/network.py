"""A traced network: operations between named values, and what becomes of it in a graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.spaces.traced.vocabulary import ARGUMENT, CONSTANT, PASS

FEATURES = ("log parameters", "log multiply-adds", "log output elements", "log channels", "log spatial size")
"""The features of an operation, each of them ln(1 + x); the last two: axis 1 of the output's shape, the
product of those behind it.
"""

MAX_SIZE = 2**63
"""Sizes from here on are no sizes of a network that can run."""
MAX_LINKS = 2**20
"""Most edges and uses of weights, taken together."""

Shape = tuple[int, ...]


class Operation(NamedTuple):
    """One operation of a trace.

    Attributes:
        kind: a name of the vocabulary, ``PASS`` or ``CONSTANT``; a ``"matmul"`` whose last two inputs are not
            both computed from the network's input becomes ``"linear"``.
        inputs: the values it reads, weights among them.
        outputs: the values it gives.
        shape: shape of its first output.
        flops: its multiply-adds.
        fault: why it cannot be a node, "" if it can; it is refused if the network's outputs depend on it.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: Shape
    flops: int
    fault: str = ""


def unknown(name: str) -> str:
    """The fault of an operation that has no name in the vocabulary, so that nobody knows what it costs."""
    return (
        f"the operation {name:.80} is not one of those that are known here; write it with others, or trace "
        "what is before and behind it"
    )


@dataclass
class Network:
    """A traced network.

    Attributes:
        inputs: shapes of the inputs by name.
        parameters: number of elements of the parameters by name.
        operations: in an order in which they can be computed.
        outputs: names of the outputs.
        aliases: other names of values; a parameter that is shared under several names has one.
    """

    inputs: dict[str, Shape] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)


class Drawing(NamedTuple):
    """A network as a graph of n nodes, the input first and the output last: names (n - 2), edges, and
    features (n, 5).
    """

    names: list[str]
    edges: list[tuple[int, int]]
    features: np.ndarray


@dataclass
class _Node:
    name: str
    sources: frozenset[int]
    parameters: frozenset[str] = frozenset()
    shape: Shape = ()
    flops: int = 0
    fault: str = ""


def draw(network: Network) -> Drawing:
    """The graph of what leads from the inputs to the outputs.

    What is computed from parameters and constants alone is no node: its parameters count where the result is
    used. A parameter that k operations use counts 1/k at each, so that the nodes' counts add up to the
    network's, whatever the order of the trace.

    Raises:
        InvalidArchitecture: no output depends on an input, or one on an operation that cannot be a node.
    """
    nodes, outputs = _nodes(network)
    live = _live(nodes, outputs)
    if not outputs:
        raise InvalidArchitecture(
            "no output of the network depends on its input; return what is computed from it"
        )
    for node in sorted(live):
        if nodes[node].fault:
            raise InvalidArchitecture(nodes[node].fault)
    place = {node: number for number, node in enumerate(sorted(live | {0}))}
    last = len(place)
    edges = [(place[source], place[node]) for node in sorted(live) for source in nodes[node].sources]
    edges += [(place[node], last) for node in sorted(outputs)]
    uses = Counter(parameter for node in live for parameter in nodes[node].parameters)
    features = np.zeros((last + 1, len(FEATURES)))
    for node, number in place.items():
        shape = nodes[node].shape
        parameters = sum(network.parameters[name] / uses[name] for name in nodes[node].parameters)
        sizes = (
            (math.prod(shape), shape[1] if len(shape) > 1 else 1, math.prod(shape[2:]))
            if nodes[node].name or shape
            else (0, 0, 0)
        )
        counts = [parameters, nodes[node].flops, *sizes]
        if max(counts) >= MAX_SIZE:
            raise InvalidArchitecture(
                f"operation {number}, {nodes[node].name or 'the input'}, is larger than any that can run; "
                "check its sizes"
            )
        features[number] = np.log1p(counts)
    return Drawing([nodes[node].name for node in place if node], edges, features)


def _nodes(network: Network) -> tuple[list[_Node], frozenset[int]]:
    """A node for the input (number 0) and for each operation that depends on it, and the nodes that the
    outputs come from.
    """
    single = len(network.inputs) == 1
    nodes = [_Node("", frozenset(), shape=next(iter(network.inputs.values())) if single else ())]
    sources: dict[
        str, frozenset[int]
    ] = {}  # of a value: the nodes that it comes from, and the parameters that it brings along
    brought = {name: frozenset({name}) for name in network.parameters}
    for name, shape in network.inputs.items():
        sources[name] = frozenset({0 if single else len(nodes)})
        if not single:
            nodes.append(_Node(ARGUMENT, frozenset({0}), shape=shape))

    links = 0

    def join(table: dict[str, frozenset], values: Sequence[str]) -> frozenset:
        return frozenset().union(
            *(table.get(network.aliases.get(value, value), frozenset()) for value in values)
        )

    for operation in network.operations:
        if operation.kind == CONSTANT:
            continue
        above, parameters = join(sources, operation.inputs), join(brought, operation.inputs)
        links += len(above) + len(parameters)
        if links > MAX_LINKS:
            raise InvalidArchitecture(
                f"its operations read more than {MAX_LINKS:,} values of one another; trace a part of the "
                "network"
            )
        if above and operation.kind != PASS:
            by_weight = operation.kind == "matmul" and not all(
                join(sources, [factor]) for factor in operation.inputs[-2:]
            )
            kind = "linear" if by_weight else operation.kind
            nodes.append(_Node(kind, above, parameters, operation.shape, operation.flops, operation.fault))
            above, parameters = frozenset({len(nodes) - 1}), frozenset()
        for value in operation.outputs:
            sources[value], brought[value] = above, parameters
    return nodes, join(sources, network.outputs)


def _live(nodes: list[_Node], outputs: frozenset[int]) -> set[int]:
    """The nodes but the input that the outputs depend on."""
    live: set[int] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node and node not in live:
            live.add(node)
            waiting.extend(nodes[node].sources)
    return live
