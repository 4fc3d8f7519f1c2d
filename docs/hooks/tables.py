"""Markdown of facts: tables, and texts whose own marks are shown rather than obeyed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_type_hints

from archenc.registry.rules import describe

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"doi:(10\.\d{4,}/[^\s,;)]+)")
ADDRESS = re.compile(r"(?<![\w(])(https?://[^\s,;)]+)")


def text(value: object) -> str:
    """A text as it is, without meaning in Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|&~^$])", r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """A name or a value as code."""
    shown = " ".join(str(value).split()).replace("`", "'")
    return f"`{shown}`" if shown else ""


def codes(values: Iterable[object]) -> str:
    """Several names."""
    return ", ".join(map(code, values))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def paper(cited: str, docstring: str | None = "") -> str:
    """A citation with its links, those of the docstring where it has none itself."""
    linked = text(cited)
    for pattern, to in ((ARXIV, "https://arxiv.org/abs/{}"), (DOI, "https://doi.org/{}"), (ADDRESS, "{}")):
        for match in pattern.finditer(cited):
            linked = linked.replace(text(match[0]), f"[{text(match[0])}]({to.format(match[1])})")
    first = ARXIV.search(docstring or "")
    if "](" not in linked and first:
        linked += f" [{first[0]}](https://arxiv.org/abs/{first[1]})"
    return linked


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, without roles."""
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return text(re.sub(r":\w+:`~?([^`]+)`|``([^`]+)``", r"\1\2", paragraph))


def link(found: Any) -> str:
    """The class or function by its name, linked to the reference."""
    path = f"{found.__module__}.{found.__qualname__}"
    return f'<autoref identifier="{path}" optional><code>{found.__qualname__}</code></autoref>'


def parameters(found: Any, given: Sequence[str] = ()) -> str:
    """A table of the parameters that have a default, by the annotations that are their rules."""
    function = found.__init__ if inspect.isclass(found) else found
    hints = get_type_hints(function, include_extras=True)
    rows = [
        (code(name), code(repr(parameter.default)), text(describe(hints.get(name, str))))
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is not parameter.empty and name not in given
    ]
    return table(("parameter", "default", "takes"), rows) if rows else "No parameters."
