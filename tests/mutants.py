"""Mutants of good input: what a hostile or broken file might hold instead of it.

Each operator takes a good value and a random generator, gives a changed value and leaves the good one as it
is; the same seed gives the
same mutant. A test draws a few dozen or hundred of them and asserts that each is read, or refused with an
error of :mod:`archenc.errors`::

    rng = np.random.default_rng(0)
    for _ in range(20):
        read(mutate_bytes(content, rng))
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Rng = np.random.Generator

SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 10**6, 10**9, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400),
    *(0.0, 0.5, -1.5, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf),
    *("", " ", "x", "5", "-1", "nan", "Ünïcode", "日本", "\x00", "\x1b[31m", "a\nb", "'", '"'),
    *("../../x", "/etc/passwd", "<script>", "=1+1"),
    *([], {}, [[]], [None], [math.nan], {"": None}, {"x": {"x": {}}}),
)
"""JSON values (with the NaN and infinities that Python's own reader lets through) of every type, awkward ones
of each.
"""

CHARACTERS = "\x00\t\n\r\x1b\x7f \"'`,:;|~+-_=\\/()[]{}<>&019aZéß€日\U0001f600\u202e\ud800"
NUMBERS = ("0", "-1", "1.5", "1e999", "NaN", "Infinity", "9" * 400, "9" * 5_000, str(2**63), "0x10", "٣")
DEPTH = 2_000  # beyond Python's limit of recursion


def mutate_text(text: str, rng: Rng) -> str:
    """``text`` with a few characters or fields deleted, doubled, swapped or replaced, cut short, or deeply
    nested.
    """
    return _changed(text, (*_SEQUENCE, _other_character, _other_number, _swapped_fields, _nested_text), rng)


def mutate_bytes(content: bytes, rng: Rng) -> bytes:
    """``content`` with a few bytes deleted, doubled, swapped, flipped, zeroed or put in, or cut short."""
    return _changed(content, (*_SEQUENCE, _flipped_bit, _overwritten), rng)


def mutate_json(value: Any, rng: Rng) -> Any:
    """``value`` (of dicts, lists and scalars) with a few of its parts deleted, doubled, swapped, renamed,
    nested or of another type.
    """
    return _changed(copy.deepcopy(value), (_mutate_part,), rng)


def _changed(value: T, operators: tuple[Callable[[T, Rng], T], ...], rng: Rng) -> T:
    """One change mostly, as several often hide each other, and up to four."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        value = operators[rng.integers(len(operators))](value, rng)
    return value


# -- text and bytes ------------------------------------------------------------------------------------------


def _span(length: int, rng: Rng) -> slice:
    """A part of something of this length, mostly a short one."""
    start = int(rng.integers(length + 1))
    return slice(start, min(start + int(rng.choice([1, 1, 2, 5, length + 1])), length))


def _deleted(value: Any, rng: Rng) -> Any:
    part = _span(len(value), rng)
    return value[: part.start] + value[part.stop :]


def _doubled(value: Any, rng: Rng) -> Any:
    part = _span(len(value), rng)
    return value[: part.stop] + value[part.start :]


def _swapped(value: Any, rng: Rng) -> Any:
    """Two neighbouring parts change places."""
    part = _span(len(value), rng)
    width = part.stop - part.start
    return (
        value[: part.start] + value[part.stop : part.stop + width] + value[part] + value[part.stop + width :]
    )


def _cut(value: Any, rng: Rng) -> Any:
    return value[: rng.integers(len(value) + 1)]


_SEQUENCE = (_deleted, _doubled, _swapped, _cut)


def _other_character(text: str, rng: Rng) -> str:
    part = _span(len(text), rng)
    stop = part.start if rng.random() < 0.5 else part.stop  # put in, or instead of what is there
    return text[: part.start] + CHARACTERS[rng.integers(len(CHARACTERS))] + text[stop:]


def _other_number(text: str, rng: Rng) -> str:
    return _replaced_match(r"-?\d+(\.\d+)?", lambda _: NUMBERS[rng.integers(len(NUMBERS))], text, rng)


def _swapped_fields(text: str, rng: Rng) -> str:
    """A word stands where another one of the text stood."""
    words = re.findall(r"\w+", text) or ["x"]
    return _replaced_match(r"\w+", lambda _: words[rng.integers(len(words))], text, rng)


def _nested_text(text: str, rng: Rng) -> str:
    opening, closing = ("[", "]") if rng.random() < 0.5 else ('{"a":', "}")
    return opening * DEPTH + text + closing * (DEPTH if rng.random() < 0.5 else 0)


def _replaced_match(pattern: str, replacement: Callable[[re.Match[str]], str], text: str, rng: Rng) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    match = found[rng.integers(len(found))]
    return text[: match.start()] + replacement(match) + text[match.end() :]


def _flipped_bit(content: bytes, rng: Rng) -> bytes:
    if not content:
        return b"\x00"
    at = int(rng.integers(len(content)))
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


def _overwritten(content: bytes, rng: Rng) -> bytes:
    """Zeros, ones or noise put in, or instead of what is there."""
    part = _span(len(content), rng)
    width = int(rng.choice([1, 4, 8, 100]))
    fill = (bytes(width), b"\xff" * width, rng.bytes(width))[rng.integers(3)]
    return content[: part.start] + fill + content[part.stop if rng.random() < 0.5 else part.start :]


# -- values of JSON ------------------------------------------------------------------------------------------


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key or index) of every part."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict | list):
            keys = list(container) if isinstance(container, dict) else range(len(container))
            found += [(container, key) for key in keys]
            waiting += [container[key] for key in keys]
    return found


def _mutate_part(value: Any, rng: Rng) -> Any:
    root = [value]  # so that the whole is a part too
    places = _places(root)
    container, key = places[rng.integers(len(places))]
    _PART[rng.integers(len(_PART))](container, key, places, rng)
    return root[0] if root else None


def _delete(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    del container[key]


def _double(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    """The part a second time: the next item of a list, another key of a dict."""
    again = copy.deepcopy(container[key])
    if isinstance(container, list):
        container.insert(key, again)
    else:
        container[f"{key}2"] = again


def _swap(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    """A copy of another part stands here."""
    other, place = places[rng.integers(len(places))]
    container[key] = copy.deepcopy(other[place])


def _rename(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    if isinstance(container, dict):
        container[mutate_text(str(key), rng)] = container.pop(key)
    else:
        _replace(container, key, places, rng)


def _replace(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    container[key] = copy.deepcopy(SCALARS[rng.integers(len(SCALARS))])


def _edit(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    """A scalar becomes a near one of its type: an edited text, a number beside it, its negative, or its
    text.
    """
    old = container[key]
    if isinstance(old, str):
        container[key] = mutate_text(old, rng)
    elif isinstance(old, int | float):
        container[key] = (old + 1, old - 1, -old, old * 10**6, 0.5, str(old), [old])[rng.integers(7)]
    else:
        _replace(container, key, places, rng)


def _nest(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Rng) -> None:
    part = container[key]
    for _ in range(int(rng.choice([1, 3, 200]))):
        part = [part] if rng.random() < 0.5 else {"a": part}
    container[key] = part


_PART = (_delete, _double, _swap, _rename, _replace, _replace, _edit, _edit, _nest)
