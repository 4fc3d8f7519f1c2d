"""Text that others wrote, made harmless for where it goes: messages, a terminal, a spreadsheet, Markdown.
HTML is made by templates.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from archenc.errors import listed as listed
from archenc.errors import shown as shown
from archenc.errors import visible as visible

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


# -- terminal ------------------------------------------------------------------------------------------------


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, :func:`visible` each, to ``file`` or standard output; commands print in no other way."""
    print(*map(visible, lines), sep="\n", file=sys.stdout if file is None else file)


BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
"""What begins and ends bold text on a terminal."""


def say_styled(*lines: str) -> None:
    """Print lines to standard output like :func:`say`, in which :data:`BOLD` and :data:`PLAIN` count."""
    print(*map(_visible_but_styles, lines), sep="\n")


def _visible_but_styles(line: str) -> str:
    parts = re.split(f"({re.escape(BOLD)}|{re.escape(PLAIN)})", line)
    return "".join(part if part in (BOLD, PLAIN) else visible(part) for part in parts)


# -- spreadsheet ---------------------------------------------------------------------------------------------


def csv_text(records: Sequence[Mapping[str, Any]], delimiter: str = ",") -> str:
    """Records as CSV, one a line, with a header of all their keys; no text in it is a formula to a
    spreadsheet (:func:`csv_cell`).
    """
    stream = io.StringIO()
    fields = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(csv_cell(name) for name in fields)
    writer.writerows([csv_cell(record.get(name, "")) for name in fields] for record in records)
    return stream.getvalue()


def csv_cell(value: Any) -> Any:
    """A value for a CSV cell: :func:`visible` text, with an apostrophe before what a spreadsheet would take
    for a formula; numbers stay.
    """
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) and not _is_number(value) else visible(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()


# -- Markdown ------------------------------------------------------------------------------------------------

_MARKUP = re.compile(
    r"[\\`*<&|~$]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # not inside a word, where it means nothing
    r"|\](?=[(:])"  # of a link or a reference, not of a footnote's number
    r"|:(?=//)|(?<=www)\.|(?<!\w)@"  # of an address or a person, which would become a link
)


def markdown(text: str) -> str:
    """``text`` on one line of Markdown that shows it as it is: no code, HTML, link, emphasis, formula or
    table cell begins in it.
    """
    return _MARKUP.sub(r"\\\g<0>", visible(text))
