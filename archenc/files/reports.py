"""What reports are made of: numbers and tables as text and Markdown, figures as SVG, and one HTML page that
needs nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import warnings
from collections.abc import Callable, Container, Sequence
from importlib.resources import files
from typing import Any

from archenc.files.text import BOLD, PLAIN, markdown, visible

# -- text ----------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 3) -> str:
    """A fixed number of decimals, and a dash for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def text_table(
    header: Sequence[str], lines: Sequence[Sequence[str]], bold: Container[tuple[int, int]] = ()
) -> str:
    """Columns of equal width for a terminal.

    Args:
        header: titles.
        lines: cells.
        bold: line and column of cells that are to be bold.
    """
    table = [[visible(cell) for cell in line] for line in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]

    def padded(line: int, column: int) -> str:
        cell = table[line][column]
        shown = f"{BOLD}{cell}{PLAIN}" if (line - 1, column) in bold else cell
        return shown + " " * (widths[column] - len(cell))

    return "\n".join(
        "  ".join(padded(line, column) for column in range(len(widths))).rstrip()
        for line in range(len(table))
    )


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(markdown, cells)) + " |"

    return "\n".join(line(cells) for cells in (header, ["---"] * len(header), *lines))


# -- figures -------------------------------------------------------------------------------------------------

MAX_LABEL = 40
"""Characters of a name in a figure."""


def figure_label(name: str) -> str:
    """A name for a figure: on one line, in the middle cut to 40 characters, and such that legends do not
    leave it out.
    """
    text = visible(name)
    if len(text) > MAX_LABEL:
        text = f"{text[: MAX_LABEL // 2]}…{text[1 - MAX_LABEL // 2 :]}"
    return text if text and not text.startswith("_") else f" {text}"


_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "archenc",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "text.parse_math": False,
}
GREY = "#7b8594"
"""Legible on white and on black."""
_GROUNDS = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
_WRITTEN = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_ON_ANY_GROUND: dict[Any, Any] = dict.fromkeys(_GROUNDS, "none") | dict.fromkeys(_WRITTEN, GREY)


def svg(width: float, height: float, draw: Callable[[Any], None], *, on_any_ground: bool = False) -> str:
    """What ``draw`` puts on a matplotlib figure, as SVG; the same drawing always gives the same text.

    Text is shown as it is, ``$`` too. Names from data go through :func:`figure_label`.

    Args:
        width: in inches.
        height: in inches.
        draw: given the figure.
        on_any_ground: transparent, with axes and text that can be read on light and on dark.
    """
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS | (_ON_ANY_GROUND if on_any_ground else {})), warnings.catch_warnings():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        warnings.filterwarnings(
            "ignore", "Glyph .* missing from"
        )  # a name in a script that the font lacks: boxes are drawn
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


# -- page ----------------------------------------------------------------------------------------------------


def page(package: str, template: str, **values: Any) -> str:
    """One HTML page that needs nothing else, from a template of ``package`` that extends ``page.html`` of
    this one.

    Values are text: the template engine escapes them, control characters are shown, and one that the template
    needs and does not get is an error. The page's policy lets a browser use its own script and style alone,
    and load nothing.

    Args:
        package: whose folder ``templates`` holds the template.
        template: its file name.
        values: what it shows; ``title`` and ``introduction`` for every page.
    """
    style, script = (
        f"\n{(files('archenc.files') / 'templates' / name).read_text(encoding='utf-8')}"
        for name in ("page.css", "page.js")
    )
    return bare_page(package, template, style=style, scripts=[script], **values)


def bare_page(package: str, template: str, *, style: str, scripts: Sequence[str], **values: Any) -> str:
    """A page like :func:`page` with a style and scripts of its own, which the template puts into its elements
    ``style`` and ``script`` as they are, without a character beside them, and with ``policy`` as its
    Content-Security-Policy.
    """
    allowed = f"img-src data:; style-src {_source(style)}; script-src {' '.join(map(_source, scripts))}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    found = _templates(package).get_template(template)
    html: str = found.render(style=style, scripts=scripts, policy=policy, **values)
    return html


def fragment(
    title: str,
    facts: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> str:
    """A piece of HTML with which an object shows itself in a notebook; all text in it is escaped.

    Args:
        title: what it is.
        facts: names and texts.
        pictures: captions and SVG images.
        notes: sentences below.
    """
    found = _templates("archenc.files").get_template("fragment.html")
    html: str = found.render(title=title, facts=facts, pictures=pictures, notes=notes)
    return html


def _templates(package: str) -> Any:
    """The templates of a package and those of this one: what they show is text, and what they need and do not
    get is an error.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("archenc.files"), PackageLoader(package)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_address"] = _data_address
    return environment


def _shown(value: Any) -> Any:
    """Text without control characters; what a template made is left as it is."""
    return value if hasattr(value, "__html__") else visible(str(value))


def _source(content: str) -> str:
    """What stands for exactly this content in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _data_address(image: str) -> str:
    """An SVG image as an address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(image.encode()).decode()}"
