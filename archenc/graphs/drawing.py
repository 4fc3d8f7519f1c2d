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
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

from archenc.errors import InvalidParameter, visible
from archenc.files.trusted import atomic_write
from archenc.graphs.conventions import INPUT, OUTPUT, PAD, Batch
from archenc.graphs.layout import ARROW, Edge, Layout, layered

LETTER, HEIGHT, STATE = 6.6, 26.0, 18.0
"""Width of a letter of the font of 11 pixels, height of a box, least width and height of a state."""
MOST_LETTERS, MOST_BOXES, MOST_EDGES = 30, 80, 240
"""In a box, and in a picture of one cell."""
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
MARGIN, APART, LINE = 14.0, 36.0, 20.0
"""The space around a picture, between architectures, and the height of a line of text."""
BESIDE = 1500.0
"""The width that several architectures share."""
LINES, TITLES, BORDERS, TEXTS = "#8a94a3", "#7b8594", "#5a6675", "#1c2430"
FONT = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
"""Fonts whose letters are all as wide."""
MOST_IN_TITLE = 60
MOST_SHOWN = 6
"""Architectures that a batch draws of itself."""


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
        final = Path(path)
        if final.suffix.lower() != ".svg":
            raise InvalidParameter(
                f"{path} should end in .svg, which is what a picture is; choose another name"
            )
        with atomic_write(final) as temporary:
            temporary.write_text(self.svg, encoding="utf-8", newline="\n")
        return final


# -- what is drawn -------------------------------------------------------------------------------------------


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
            (max(STATE, wide + 6), STATE) if fill is None else (wide + 16, HEIGHT)
            for wide, fill in zip(map(_width, self.texts), self.fills, strict=True)
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


def _width(text: str) -> float:
    return letters(cut(text)) * LETTER


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


# -- SVG -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """A part of a picture, from (0, 0)."""

    svg: str
    width: float
    height: float

    def at(self, x: float, y: float) -> str:
        return f'<g transform="translate({x:.1f} {y:.1f})">{self.svg}</g>'


def picture(graphs: Batch, titles: Sequence[str] = ()) -> Picture:
    """A picture of every architecture of a batch: in columns where several fit beside each other, each cell
    of an architecture with a title where there are several.

    Args:
        graphs: the architectures.
        titles: what stands above each of them; nothing by default. Long ones are cut.
    """
    return _page([_architecture(graphs, at, titles[at] if titles else "") for at in range(len(graphs))])


def picture_of(diagrams: Sequence[Diagram], titles: Sequence[str]) -> Picture:
    """A picture of boxes of any origin, each with the title above it."""
    pairs = zip(diagrams, titles, strict=True)
    return _page([_stack([_title(title, bold=True), _placed(shown)]) for shown, title in pairs])


def _page(pieces: Sequence[_Piece]) -> Picture:
    """Pieces in columns of equal width, line by line."""
    wide = max((piece.width for piece in pieces), default=0.0)
    columns = max(1, int((BESIDE + APART) // (wide + APART)))
    lines = [pieces[first : first + columns] for first in range(0, len(pieces), columns)]
    parts, y = [], MARGIN
    for line in lines:
        parts += [piece.at(MARGIN + at * (wide + APART), y) for at, piece in enumerate(line)]
        y += max(piece.height for piece in line) + APART
    width = max(map(len, lines), default=1) * (wide + APART) - APART + 2 * MARGIN
    height = y - APART + MARGIN if lines else 2 * MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="11">'
    return Picture(f"{head}{''.join(parts)}</svg>\n", width, height)


def _architecture(graphs: Batch, number: int, title: str) -> _Piece:
    """The cells of one architecture, one below the other."""
    cells = int(graphs.space.cells)
    pieces = [_title(title, bold=True)] if title else []
    for cell in range(cells):
        pieces += [] if cells == 1 else [_title(_cell_name(cell, cells))]
        pieces.append(_placed(diagram(graphs, number * cells + cell), MARGIN if cell + 1 < cells else 0.0))
    return _stack(pieces)


def _placed(shown: Diagram, below: float = 0.0) -> _Piece:
    layout = layered(shown.sizes, shown.edges, shown.last)
    return _Piece(_drawn(shown, layout), layout.width, layout.height + below)


def _stack(pieces: Sequence[_Piece]) -> _Piece:
    """Pieces one below the other."""
    parts, y = [], 0.0
    for piece in pieces:
        parts.append(piece.at(0.0, y))
        y += piece.height
    return _Piece("".join(parts), max(piece.width for piece in pieces), y)


def _cell_name(cell: int, cells: int) -> str:
    return ("normal cell", "reduction cell")[cell] if cells == 2 else f"cell {cell + 1} of {cells}"


def _title(text: str, *, bold: bool = False) -> _Piece:
    shown = cut(text, MOST_IN_TITLE)
    weight = ' font-weight="bold"' if bold else ""
    look = f'fill="{TITLES}"{weight}{_length(shown)}'
    svg = f'<g>{_whole(text, shown)}<text x="0" y="9" {look}>{escape(shown)}</text></g>'
    return _Piece(svg, letters(shown) * LETTER, LINE)


def _drawn(shown: Diagram, layout: Layout) -> str:
    lines: dict[tuple[int, bool], str] = {}  # all from one box are one path, which draws once what they share
    for path, (one, other) in zip(layout.paths, shown.edges, strict=True):
        key = one, NONE in (shown.fills[one], shown.fills[other])
        lines[key] = lines.get(key, "") + path
    drawn = [_line(path, dashed) for (_, dashed), path in lines.items()]
    heads = [_head(box, shown, layout) for box in sorted({other for _, other in shown.edges})]
    return "".join([*drawn, *heads, *(_box(box, shown, layout) for box in range(len(shown.texts)))])


def _line(path: str, dashed: bool) -> str:
    dashes = ' stroke-dasharray="3 3"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{LINES}" stroke-width="1.3"{dashes}/>'


def _head(box: int, shown: Diagram, layout: Layout) -> str:
    """The head of the arrows that lead to a box."""
    x, y = layout.centres[box]
    end = x - shown.sizes[box][0] / 2
    return f'<path d="M{end:.1f} {y:.1f}l-{ARROW + 1:g} -3.5v7z" fill="{LINES}"/>'


def _box(box: int, shown: Diagram, layout: Layout) -> str:
    text, fill, (width, height) = shown.texts[box], shown.fills[box], shown.sizes[box]
    (x, y), written = layout.centres[box], cut(text)
    place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
    corner = height / 2 if fill is None else 6.0
    dashes = ' stroke-dasharray="3 3"' if fill == NONE else ""
    ground = f'rx="{corner:g}" fill="{fill or "#ffffff"}" stroke="{BORDERS}"{dashes}'
    middle = f'x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{TEXTS}"{_length(written)}'
    return f"<g>{_whole(text, written)}<rect {place} {ground}/><text {middle}>{escape(written)}</text></g>"


def _whole(text: str, written: str) -> str:
    """What a browser shows of a text that was cut, when it is pointed at."""
    return f"<title>{escape(visible(text))}</title>" if written != visible(text) else ""


def _length(written: str) -> str:
    """Makes a text as wide as its box expects, whatever the font."""
    return f' textLength="{letters(written) * LETTER:.1f}" lengthAdjust="spacingAndGlyphs"' if written else ""


def batch_html(graphs: Any) -> str:
    """What a batch shows of itself in a notebook: what it is, and its first architectures."""
    from archenc.files.reports import fragment

    facts = [("space", graphs.space.name), ("architectures", f"{len(graphs):,}")]
    facts += [("nodes", f"up to {graphs.num_nodes}, operations on {graphs.op_on}s")]
    shown = min(MOST_SHOWN, len(graphs))
    pictures = [(f"architecture {at}", picture(graphs[[at]]).svg) for at in range(shown)]
    left = len(graphs) - shown
    return fragment("ArchGraphs", facts, pictures, [f"and {left:,} more"] if left else [])
