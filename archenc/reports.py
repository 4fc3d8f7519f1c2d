"""What reports are made of: numbers and tables as text, Markdown and HTML, figures as SVG, and one page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from string import Template
from typing import Any

# -- text --------------------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 3) -> str:
    """A fixed number of decimals, and a dash for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def text_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width for a terminal."""
    table = [header, *lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(line(cells) for cells in (header, ["---"] * len(header), *lines))


def html_table(header: Sequence[str], lines: Sequence[Sequence[str]], kind: str) -> str:
    """A table of the page's class ``kind``."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def escape(text: Any) -> str:
    """``text`` without markup."""
    return html.escape(str(text))


# -- figures and page --------------------------------------------------------------------------------------------------


def svg(width: float, height: float, draw: Callable[[Any], None]) -> str:
    """What ``draw`` puts on a matplotlib figure of that size in inches, as SVG; the same drawing always gives the same text."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {"svg.hashsalt": "archenc", "axes.spines.top": False, "axes.spines.right": False, "font.size": 9}
    with mpl.rc_context(settings):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


def html_image(text: str, description: str) -> str:
    """An SVG figure inside a page."""
    return f'<img alt="{escape(description)}" src="data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}">'


def html_terms(terms: Sequence[tuple[str, str]]) -> str:
    """A list of names and what they stand for."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in terms) + "</dl>"


def page(title: str, introduction: str, sections: Sequence[str]) -> str:
    """One HTML page that needs nothing else; ``sections`` are HTML, the others text."""
    template = Template((files("archenc") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), introduction=escape(introduction), sections="\n".join(sections))
