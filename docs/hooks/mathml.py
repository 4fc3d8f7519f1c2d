r"""Formulas, written \( so \) or \[ so \], become MathML, which browsers draw without a script."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL
)


def _drawn(match: re.Match[str]) -> str:
    tex = html.unescape(match["tex"]).strip()
    if match["open"] == "[":
        return f'<div class="formula">{convert(tex, display="block")}</div>'
    return str(convert(tex))


def on_page_content(content: str, **_: Any) -> str:
    """The page with its formulas drawn."""
    return FORMULA.sub(_drawn, content)
