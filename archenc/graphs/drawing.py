"""Pictures of architectures: operations as boxes, coloured by what they are, from the inputs on the left to
the output on the right.

Where operations sit on edges, the states between them are circles; in either form a picture has the same
boxes as the architecture has operations. Pictures are SVG, legible on light and on dark ground.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from archenc.files.text import visible
from archenc.files.trusted import atomic_write
from archenc.graphs.conventions import INPUT, OUTPUT, PAD
from archenc.graphs.layout import Edge, Layout, layered

LETTER, HEIGHT, MARGIN, LINE = 6.7, 26.0, 14.0, 18.0
"""Width of a letter of the font of 11 pixels, height of a box, the space around a picture, a line of text."""
MOST_LETTERS, MOST_BOXES = 30, 80
STATE = 18.0
"""Width and height of a state."""
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "none": ("none zero", ("#f3f4f6",)),
    "pool": ("pool avg max", ("#a6d8a8", "#7cc47f", "#c9e8ca", "#5fae63")),
    "skip": ("skip identity concat cat", ("#d7dbe0", "#c3c9d1")),
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
TERMINAL, NONE = "#eceff3", KINDS["none"][1][0]


@dataclass(frozen=True)
class Picture:
    """A drawing, which notebooks show; :meth:`save` writes it as a file.

    Attributes:
        svg: the text of an SVG image.
        width, height: in pixels.

    Examples:
        >>> import archenc
        >>> picture = archenc.create_space("nasbench201").sample(1, seed=0).plot()
        >>> picture.svg.startswith("<svg ")
        True
    """

    svg: str
    width: float
    height: float

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the image; raises :class:`InvalidParameter` for a name that does not end in ``.svg``, and
        :class:`CannotWrite`.
        """
        from archenc.errors import InvalidParameter

        final = Path(path)
        if final.suffix.lower() != ".svg":
            raise InvalidParameter(
                f"{path} should end in .svg, which is what a picture is; choose another name"
            )
        with atomic_write(final) as temporary:
            temporary.write_text(self.svg, encoding="utf-8", newline="\n")
        return final


@dataclass
class Diagram:
    """Boxes of one cell before they are placed: text, colour and size of each, edges, and the box that goes
    last.
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
        return [
            (STATE, STATE) if fill is None else (len(_cut(text)) * LETTER + 16, HEIGHT)
            for text, fill in zip(self.texts, self.fills, strict=True)
        ]


# -- what is drawn -------------------------------------------------------------------------------------------


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


def diagram(graphs: Any, cell: int) -> Diagram:
    """The boxes of one row of a batch."""
    return _nodes(graphs, cell) if graphs.op_on == "node" else _edges(graphs, cell)


def _nodes(graphs: Any, cell: int) -> Diagram:
    found, numbers, space = Diagram(), {}, graphs.space
    ids = graphs.ops[cell].tolist()
    for node, op in enumerate(ids):
        if op == PAD:
            continue
        name = space.node_vocabulary[op]
        fill = TERMINAL if op in (INPUT, OUTPUT) else colour(name, space.operations)
        numbers[node] = found.add(name, fill)
        if op == OUTPUT:
            found.last = numbers[node]
    pairs = graphs.adjacency[cell].nonzero().tolist()
    found.edges = [
        (numbers[one], numbers[other]) for one, other in pairs if one in numbers and other in numbers
    ]
    return found


def _edges(graphs: Any, cell: int) -> Diagram:
    """States, and between them a box for each operation that joins two; one that only hands a state on to the
    output is a line.
    """
    found, space = Diagram(), graphs.space
    slots = sorted(
        graphs.edge_ops()[cell].nonzero().tolist(), key=lambda place: (place[2], place[1], place[0])
    )
    ids, join = graphs.edge_ops()[cell], getattr(space, "join_op", None)
    states: dict[int, int] = {}
    for node in graphs.mask[cell].nonzero().flatten().tolist():
        for slot, one, other in slots:
            if other != node:
                continue
            name = space.edge_vocabulary[int(ids[slot, one, other])]
            if name != join:
                box = found.add(name, colour(name, space.operations))
                found.edges.append((states[one], box))
                found.edges.append((box, -node - 1))
            else:
                found.edges.append((states[one], -node - 1))
        terminal = node < space.num_inputs or node == graphs.num_nodes - 1
        text = _state_name(node, space.num_inputs, graphs.num_nodes)
        states[node] = found.add(text, TERMINAL if terminal else None)
    found.edges = [(one, other if other >= 0 else states[-other - 1]) for one, other in found.edges]
    found.last = states[graphs.num_nodes - 1]
    return found


def _state_name(node: int, inputs: int, nodes: int) -> str:
    if node == nodes - 1:
        return "output"
    if node < inputs:
        return "input" if inputs == 1 else f"input {node + 1}"
    return str(node)


def _bounded(whole: Diagram) -> Diagram:
    """The first boxes of a large diagram, and one that says how many more there are."""
    if len(whole.texts) <= MOST_BOXES:
        return whole
    kept = Diagram(whole.texts[:MOST_BOXES], whole.fills[:MOST_BOXES])
    kept.edges = [edge for edge in whole.edges if max(edge) < MOST_BOXES]
    more = kept.add(f"and {len(whole.texts) - MOST_BOXES:,} more", TERMINAL)
    cut = {one for one, other in whole.edges if one < MOST_BOXES <= other}
    kept.edges += [(one, more) for one in sorted(cut)]
    kept.last = more
    return kept


# -- SVG -----------------------------------------------------------------------------------------------------


def picture(graphs: Any, titles: Sequence[str] = ()) -> Picture:
    """A picture of every architecture of a batch, one below the other, each cell of it with a title where
    there are several.

    Args:
        graphs: the architectures.
        titles: what stands above each of them; nothing by default.
    """
    cells = int(graphs.space.cells)
    parts, top, width = [], MARGIN, 0.0
    for row in range(len(graphs) * cells):
        architecture, cell = divmod(row, cells)
        lines = [titles[architecture]] if titles and cell == 0 else []
        lines += [] if cells == 1 else [_cell_name(cell, cells)]
        for line in lines:
            parts.append(_text(line, MARGIN, top + 12))
            width, top = max(width, len(visible(line)) * LETTER), top + LINE
        shown = _bounded(diagram(graphs, row))
        layout = layered(shown.sizes, shown.edges, shown.last)
        parts.append(f'<g transform="translate({MARGIN:g} {top:.1f})">{_drawn(shown, layout)}</g>')
        width, top = max(width, layout.width), top + layout.height + MARGIN
    width += 2 * MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{top:.0f}" '
    head += (
        f'viewBox="0 0 {width:.0f} {top:.0f}" font-family="ui-monospace, Menlo, DejaVu Sans Mono, monospace" '
    )
    head += 'font-size="11">'
    return Picture(f"{head}{''.join(parts)}</svg>\n", width, top)


def _cell_name(cell: int, cells: int) -> str:
    return ("normal cell", "reduction cell")[cell] if cells == 2 else f"cell {cell + 1} of {cells}"


def _drawn(shown: Diagram, layout: Layout) -> str:
    routes, boxes = zip(layout.routes, shown.edges, strict=True), range(len(shown.texts))
    lines = [_line(route, edge, shown, layout) for route, edge in routes]
    return "".join([*lines, *(_box(shown, box, layout) for box in boxes)])


def curve(route: Sequence[tuple[int, float]], start: float, end: float, layout: Layout) -> str:
    """The path of an edge: level inside the columns of layers, bent in the gaps between them.

    Args:
        route: the layers that it passes, with its y there.
        start: x of its first end.
        end: x of its last one.
        layout: of everything.
    """
    text = f"M{start:.1f} {route[0][1]:.1f}"
    for (layer, y), (following, target) in pairwise(route):
        left, right = layout.columns[layer][1], layout.columns[following][0]
        middle = (left + right) / 2
        text += f"H{left:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {target:.1f} {right:.1f} {target:.1f}"
    return text + f"H{end:.1f}"


def _line(route: list[tuple[int, float]], edge: Edge, shown: Diagram, layout: Layout) -> str:
    (first, last), sizes, centres = edge, shown.sizes, layout.centres
    start, end = centres[first][0] + sizes[first][0] / 2, centres[last][0] - sizes[last][0] / 2
    path, tip = curve(route, start, end - 5, layout), centres[last][1]
    faint = any(fill == NONE for fill in (shown.fills[first], shown.fills[last]))
    dashes = ' stroke-dasharray="3 3"' if faint else ""
    arrow = f"M{end:.1f} {tip:.1f}l-7 -3.5v7z"
    line = f'<path d="{path}" fill="none" stroke="#8a94a3" stroke-width="1.4"{dashes}/>'
    return f'{line}<path d="{arrow}" fill="#8a94a3"/>'


def _box(shown: Diagram, box: int, layout: Layout) -> str:
    text, fill, (width, height), (x, y) = (
        shown.texts[box],
        shown.fills[box],
        shown.sizes[box],
        layout.centres[box],
    )
    place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
    corner = STATE / 2 if fill is None else 6
    dashes = ' stroke-dasharray="3 3"' if fill == NONE else ""
    whole = f"<title>{escape(visible(text))}</title>" if _cut(text) != visible(text) else ""
    rectangle = f'<rect {place} rx="{corner:g}" fill="{fill or "#ffffff"}" stroke="#5a6675"{dashes}/>'
    middle = f'x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#1c2430"'
    label = f"<text {middle}>{escape(_cut(text))}</text>"
    return f"<g>{whole}{rectangle}{label}</g>"


def _cut(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= MOST_LETTERS else f"{shown[: MOST_LETTERS - 1]}…"


def _text(text: str, x: float, y: float) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#7b8594">{escape(visible(text))}</text>'


MOST_SHOWN = 4
"""Architectures that a batch shows of itself."""


def batch_html(graphs: Any) -> str:
    """What a batch shows of itself in a notebook: what it is, and its first architectures."""
    from archenc.files.reports import fragment

    first = graphs[: min(MOST_SHOWN, len(graphs))]
    facts = [("space", graphs.space.name), ("architectures", f"{len(graphs):,}")]
    facts += [("nodes", f"up to {graphs.num_nodes}, operations on {graphs.op_on}s")]
    left = len(graphs) - len(first)
    pictures = [(f"architecture {at}", picture(first[at]).svg) for at in range(len(first))]
    return fragment("ArchGraphs", facts, pictures, [f"and {left:,} more"] if left else [])
