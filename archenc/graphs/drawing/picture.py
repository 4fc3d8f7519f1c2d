"""Pictures as SVG, legible on light and on dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from archenc.errors import InvalidParameter, visible
from archenc.files.trusted import atomic_write
from archenc.graphs.conventions import Batch
from archenc.graphs.drawing.diagram import LETTER, NONE, Diagram, cut, diagram, letters
from archenc.graphs.drawing.layout import ARROW, Layout, layered

MARGIN, APART, LINE = 14.0, 36.0, 20.0
"""The space around a picture, between architectures, and the height of a line of text."""
BESIDE = 1500.0
"""The width that several architectures share."""
LINES, TITLES, BORDERS, TEXTS = "#8a94a3", "#7b8594", "#5a6675", "#1c2430"
FONT = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
"""Fonts whose letters are all as wide."""
MOST_IN_TITLE = 60


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
    pieces = [_architecture(graphs, at, titles[at] if titles else "") for at in range(len(graphs))]
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
        shown = diagram(graphs, number * cells + cell)
        layout = layered(shown.sizes, shown.edges, shown.last)
        below = MARGIN if cell + 1 < cells else 0.0
        pieces.append(_Piece(_drawn(shown, layout), layout.width, layout.height + below))
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
