"""Text that others wrote, made harmless for where it goes: a message, a terminal, a spreadsheet."""

from __future__ import annotations

import csv
import io
import reprlib
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """``text`` on one line: control characters, terminal escapes and marks of direction are written out as Python writes them."""
    return "".join(character if _is_shown(character) else ascii(character)[1:-1] for character in text)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def shown(value: Any) -> str:
    """A value as messages show it: its repr, of which no more than about 60 characters are left, whatever the value is."""
    try:
        text = visible(_SHORT.repr(value))
    except Exception:  # any code may stand behind the repr of a user's object; huge numbers have none
        text = f"something of type {type(value).__name__}"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def listed(names: Iterable[str]) -> str:
    """Names as messages list them: the first ones, if there are many."""
    return textwrap.shorten(", ".join(names), 200, placeholder=" ...")


_WIDTH = 60
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _WIDTH


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Records as CSV with a header of all their keys; no text in it is a formula to a spreadsheet (:func:`csv_cell`)."""
    stream = io.StringIO()
    fields = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(csv_cell(name) for name in fields)
    writer.writerows([csv_cell(record.get(name, "")) for name in fields] for record in records)
    return stream.getvalue()


def csv_cell(value: Any) -> Any:
    """A value for a CSV cell: text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay."""
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
