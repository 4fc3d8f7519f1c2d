"""What is drawn of an architecture: boxes with texts and colours, and the edges between them.

Where operations sit on edges, the states between them are circles; in either form a picture has the same
boxes as the architecture has operations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from unicodedata import combining, east_asian_width

from archenc.errors import visible
from archenc.graphs.conventions import INPUT, OUTPUT, PAD, Batch
from archenc.graphs.drawing.order import Edge

LETTER, HEIGHT, STATE = 6.6, 26.0, 18.0
"""Width of a letter of the font of 11 pixels, height of a box, width and height of a state."""
MOST_LETTERS, MOST_BOXES, MOST_EDGES = 30, 80, 240
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "none": ("none zero", ("#f3f4f6",)),
    "pool": ("pool avg max", ("#a6d8a8", "#7cc47f", "#c9e8ca", "#5fae63")),
    "skip": ("skip identity concat cat", ("#d3d8de", "#bcc3cc")),
    "linear": ("linear fc matmul gemm attention embed", ("#a8dedb", "#7cc9c5", "#c8ebe9")),
    "convolution": (
        "conv sepconv mb mbconv sep dil gat gcn gin cheb sage arma",
        ("#9ec5f3", "#6fa8ea", "#c2dcf8", "#4f90dd", "#8fb3d9", "#b7cdea", "#7f9fd0", "#d5e4f7"),
    ),
    "normalisation": ("norm bn", ("#d9c3ec", "#c7a8e2")),
    "activation": ("relu gelu sigmoid tanh silu swish softmax activation act", ("#f6c99b", "#f1b273")),
    "other": ("", ("#f2dd8f", "#e7c75f", "#f7ebb9", "#d9b44a")),
}
"""Kinds of operations: the words of their names, and the colours of the first, second, ... of a space."""
TERMINAL, NONE = "#f7f8fa", KINDS["none"][1][0]


@dataclass
class Diagram:
    """Boxes of one cell before they are placed: the text and the colour of each (None for a state), edges,
    and the box that goes last.
    """

    texts: list[str] = field(default_factory=list)
    fills: list[str | None] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    last: int | None = None

    def add(self, text: str, fill: str | None) -> int:
        """A box, or a state where ``fill`` is None; gives its number."""
        self.texts.append(text)
        self.fills.append(fill)
        return len(self.texts) - 1

    @property
    def sizes(self) -> list[tuple[float, float]]:
        """Width and height of each box."""
        return [
            (STATE, STATE) if fill is None else (letters(cut(text)) * LETTER + 16, HEIGHT)
            for text, fill in zip(self.texts, self.fills, strict=True)
        ]


def diagram(graphs: Batch, cell: int) -> Diagram:
    """The boxes of one row of a batch; of a large one the first, and how many more there are."""
    return _bounded(_nodes(graphs, cell) if graphs.op_on == "node" else _edges(graphs, cell))


def _nodes(graphs: Batch, cell: int) -> Diagram:
    found, numbers, space = Diagram(), dict[int, int](), graphs.space
    for node, op in enumerate(graphs.ops[cell].tolist()):
        if op == PAD:
            continue
        name = space.node_vocabulary[op]
        if op == INPUT:
            name = _input_name(space, node)
        fill = TERMINAL if op in (INPUT, OUTPUT) else colour(name, space.operations)
        numbers[node] = found.add(name, fill)
        if op == OUTPUT:
            found.last = numbers[node]
    pairs = graphs.adjacency[cell].nonzero().tolist()
    found.edges = [
        (numbers[one], numbers[other]) for one, other in pairs if one in numbers and other in numbers
    ]
    return found


def _edges(graphs: Batch, cell: int) -> Diagram:
    """States, and between them a box for each operation that joins two; one that only hands a state on to the
    output is a line.
    """
    found, space, ids = Diagram(), graphs.space, graphs.edge_ops()[cell]
    entering: dict[int, list[tuple[int, int]]] = {}
    for slot, one, other in ids.nonzero().tolist():
        entering.setdefault(other, []).append((one, int(ids[slot, one, other])))
    states: dict[int, int] = {}
    for node in graphs.mask[cell].nonzero().flatten().tolist():
        leading = []
        for one, number in sorted(entering.get(node, ()), key=lambda edge: edge[0]):
            name, box = space.edge_vocabulary[number], states[one]
            if name != getattr(space, "join_op", None):
                box = found.add(name, colour(name, space.operations))
                found.edges.append((states[one], box))
            leading.append(box)
        last, given = node == graphs.num_nodes - 1, node < space.num_inputs
        text = "output" if last else _input_name(space, node) if given else str(node)
        states[node] = found.add(text, TERMINAL if last or given else None)
        found.edges += [(box, states[node]) for box in leading]
    found.last = states[graphs.num_nodes - 1]
    return found


def _input_name(space: object, node: int) -> str:
    """The space's own name of an input, or its number, which is the one that genotypes use."""
    names: Sequence[str] = getattr(space, "input_names", ())
    if node < len(names):
        return names[node]
    return "input" if getattr(space, "num_inputs", 1) == 1 else f"input {node}"


def _bounded(whole: Diagram) -> Diagram:
    """The first boxes of a large diagram, and one that says how many more there are."""
    ends = sorted(max(edge) for edge in whole.edges)
    most = min(MOST_BOXES, ends[MOST_EDGES] if len(ends) > MOST_EDGES else MOST_BOXES)
    if len(whole.texts) <= most:
        return whole
    kept = Diagram(whole.texts[:most], whole.fills[:most])
    kept.edges = [edge for edge in whole.edges if max(edge) < most]
    kept.last = kept.add(f"and {len(whole.texts) - most:,} more", TERMINAL)
    cut_off = {one for one, other in whole.edges if one < most <= other}
    kept.edges += [(one, kept.last) for one in sorted(cut_off)]
    return kept


# -- colours and texts ---------------------------------------------------------------------------------------


def colour(operation: str, operations: Sequence[str]) -> str:
    """The colour of an operation: the same in every picture of a space."""
    kind = _kind(operation)
    alike = [name for name in operations if _kind(name) == kind]
    shades = KINDS[kind][1]
    return shades[(alike.index(operation) if operation in alike else 0) % len(shades)]


def _kind(operation: str) -> str:
    words = re.split("[^a-z]+", operation.lower())
    for kind, (known, _) in KINDS.items():
        if any(word == one or (len(one) > 3 and one in word) for word in words for one in known.split()):
            return kind
    return "other"


def letters(text: str) -> int:
    """How many letters wide a text is; those of some scripts take two, and marks on others none."""
    return sum(
        0 if combining(one) else 2 if east_asian_width(one) in ("W", "F") else 1 for one in visible(text)
    )


def cut(text: str, most: int = MOST_LETTERS) -> str:
    """A text on one line, of no more than so many letters."""
    shown = visible(text)
    if letters(shown) <= most and len(shown) <= 4 * most:
        return shown
    shown = shown[: 4 * most]
    while letters(shown) >= most:
        shown = shown[:-1]
    return f"{shown}…"
