r"""Docstrings are written with roles (``:class:`Encoder```); here they become the Markdown of the site, and
the formulas of all pages, written \( so \) or \[ so \], become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import griffe
from latex2mathml.converter import convert

ROLE = re.compile(r":(?P<role>[a-z]+):`(?P<text>[^`]+)`")
DISPLAY = re.compile(r"^(?P<indent> *)\.\. math::\n\n(?P<body>(?:(?P=indent) +\S.*\n|\s*\n)+)", re.MULTILINE)
LITERAL = re.compile(r"::(?=\n\s*\n +)")
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL
)


class Roles(griffe.Extension):
    """Links in the place of roles, formulas in the place of ``math``, for every docstring of a package."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Once the whole package is known, as a role may name what comes later."""
        for thing in _documented(pkg):
            if thing.docstring is not None:
                thing.docstring.value = markdown(thing.docstring.value, thing)


def _documented(thing: griffe.Module | griffe.Class) -> Iterator[Any]:
    yield thing
    for member in thing.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Module | griffe.Class):
            yield from _documented(member)
        else:
            yield member


def markdown(text: str, scope: griffe.Object) -> str:
    """A docstring of ``scope`` as Markdown."""
    text = DISPLAY.sub(_display, f"{text}\n")
    text = ROLE.sub(lambda match: _inline(match["role"], match["text"], scope), text)
    return LITERAL.sub(":", text)


def _display(match: re.Match[str]) -> str:
    """The formulas of a block, which blank lines separate, one below the other."""
    formulas = [" ".join(lines.split()) for lines in re.split(r"\n\s*\n", match["body"].strip())]
    tex = r" \\ ".join(formulas)
    if "&" in tex:
        tex = rf"\begin{{align*}} {tex} \end{{align*}}"
    return f"{match['indent']}\\[ {tex} \\]\n\n"


def _inline(role: str, text: str, scope: griffe.Object) -> str:
    if role == "math":
        return rf"\( {' '.join(text.split())} \)"
    target = text.lstrip("~")
    shown = target.rpartition(".")[2] if text.startswith("~") else target.removeprefix("archenc.")
    return f'<autoref identifier="{_path(target, scope)}" optional><code>{shown}</code></autoref>'


def _path(target: str, scope: griffe.Object) -> str:
    """The whole name of what a role names, seen from the docstring that it stands in."""
    first, dot, rest = target.partition(".")
    name = target
    try:
        if isinstance(scope, griffe.Class) and first in scope.all_members:
            name = f"{scope.all_members[first].canonical_path}{dot}{rest}"
        elif scope.parent is not None or first in scope.members:
            name = f"{scope.resolve(first)}{dot}{rest}"
        found: Any = scope.package[name.removeprefix(f"{scope.package.name}.")]
        return str(found.canonical_path)
    except (KeyError, griffe.GriffeError):
        return name


def _drawn(match: re.Match[str]) -> str:
    tex = html.unescape(match["tex"]).strip()
    if match["open"] == "[":
        return f'<div class="formula">{convert(tex, display="block")}</div>'
    return str(convert(tex))


def on_page_content(content: str, **_: Any) -> str:
    """The page with its formulas drawn."""
    return FORMULA.sub(_drawn, content)
