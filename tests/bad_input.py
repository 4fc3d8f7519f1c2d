"""What tests of bad input assert: about a message, and about a text that means something to HTML, Markdown, a
spreadsheet, a terminal and TeX, and where it must not come through.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from archenc.errors import ArchencError

# -- messages ------------------------------------------------------------------------------------------------


def assert_one_sentence(error: BaseException) -> None:
    """The error is a typed one and says, in one sentence on one line, what is wrong and (after a semicolon)
    what to do.
    """
    assert isinstance(error, ArchencError), f"{type(error).__name__} is not a typed error"
    message = str(error)
    assert message.strip() == message, f"stray white space around {message!r}"
    assert message, "the message is empty"
    assert "\n" not in message, f"more than one line: {message!r}"
    assert len(message) < 500, f"{len(message)} characters are not a sentence: {message[:120]!r}..."
    assert not re.search(r"[a-z)\]'\"][.!?]\s+[A-Z]", message), f"more than one sentence: {message!r}"
    fault, _, remedy = message.rpartition("; ")
    assert fault, f"no remedy after a semicolon: {message!r}"
    assert remedy, f"no remedy after a semicolon: {message!r}"
    assert "Traceback" not in message


def refused(
    call: Callable[[], object], error: type[ArchencError] = ArchencError, says: str | None = None
) -> None:
    """The call ends in an error of that type, in one sentence that matches ``says``."""
    with pytest.raises(error, match=says) as caught:
        call()
    assert_one_sentence(caught.value)


# -- hostile texts -------------------------------------------------------------------------------------------


MARKER = '=cmd(\'a\')"<b onclick="x">&|$\\frac{\x1b[31m`[l](http://e)\n- @x\u202e'
_TAGS = (
    "html head meta title style script body h1 h2 h3 p section details summary dl dt dd div table thead "
    "tbody tr th td img ol ul li header nav a span button main noscript"
)
_SVG_TAGS = "svg metadata RDF Work format type defs style g path use clipPath rect image"
_ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "alt", "src"}
_ATTRIBUTES |= {"id", "type", "href", "role", "tabindex", "hidden", "aria-label", "aria-live"}
_SCRIPT = re.compile(r"(?<=<script>).*?(?=</script>)", re.DOTALL)


def variants(value: Any, marker: str = MARKER) -> Iterator[tuple[str, Any]]:
    """Place and copy of a JSON value, for each string in it: the copy has the marker there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        for place, changed in [("", marker)] if isinstance(item, str) else variants(item, marker):
            copy = value.copy()
            copy[key] = changed
            yield f".{key}{place}", copy


def everywhere(value: Any, but: frozenset[str] = frozenset(), marker: str = MARKER) -> Any:
    """A copy of a JSON value with the marker in place of every string, except below the keys ``but``."""
    if isinstance(value, dict):
        return {key: item if key in but else everywhere(item, but, marker) for key, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item, but, marker) for item in value]
    return marker if isinstance(value, str) else value


def assert_harmless_output(text: str) -> None:
    """Nothing in it is an order to a terminal."""
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n- @x" not in text, "a name began a line"


def assert_harmless_files(folder: Path) -> None:
    """The marker means nothing in any file below ``folder``."""
    check = {
        ".html": _check_html,
        ".svg": _check_svg,
        ".csv": _check_csv,
        ".md": _check_markdown,
        ".json": lambda text: None,
    }
    for path in folder.rglob("*"):
        text = path.read_text(encoding="utf-8")
        assert_harmless_output(text) if path.suffix != ".json" else None
        check[path.suffix](text)


class _Page(HTMLParser):
    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS.split()
        assert {name for name, _ in attributes} <= _ATTRIBUTES


def _check_html(text: str) -> None:
    text = _SCRIPT.sub("", text)  # the page's own, which its policy names by their digests
    assert "<b" not in text.replace("<body>", "").replace("<button", "")
    _Page().feed(text)


def _check_svg(text: str) -> None:
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert tags <= set(_SVG_TAGS.split())
    assert "<b" not in text


def _check_csv(text: str) -> None:
    rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))]


def _check_markdown(text: str) -> None:
    lines = [line for line in text.splitlines() if not line.startswith("    ")]  # those are code
    for line in lines:
        assert not re.search(r"(?<!\\)(<b|&\||\$|`|\]\(|://)", line.replace("\\\\", "")), line
    widths = [
        len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) for line in lines if line.startswith("|")
    ]
    assert all(width > 1 for width in widths)
