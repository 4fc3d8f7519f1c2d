"""Typed errors: each message is one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import reprlib
import textwrap
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

_Read = TypeVar("_Read")


def visible(text: str) -> str:
    """``text`` on one line: control characters, terminal escapes and marks of direction are written out as
    Python writes them.
    """
    return "".join(character if _is_shown(character) else ascii(character)[1:-1] for character in text)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def shown(value: Any) -> str:
    """A value as messages show it: its repr, of which no more than about 60 characters are left, whatever the
    value is.
    """
    try:
        text = visible(_SHORT.repr(value))
    except Exception:  # any code may stand behind the repr of a user's object; huge numbers have none
        text = f"something of type {type(value).__name__}"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def listed(names: Iterable[str]) -> str:
    """Names as messages list them: the first ones, if there are many."""
    return textwrap.shorten(", ".join(names), 200, placeholder=" ...")


def hint(name: object, known: Iterable[str], otherwise: str) -> str:
    """What to do about an unknown name: the nearest known one, or what ``otherwise`` says."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


_WIDTH = 60
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _WIDTH


class ArchencError(Exception):
    """Base of every error that a user's input can cause; the command line turns it into exit code 2.

    What the message quotes may come from anybody, so that line breaks and terminal escapes in it are made
    visible.
    """

    def __str__(self) -> str:
        message = (
            str(self.args[0]) if len(self.args) == 1 else super().__str__()
        )  # KeyError would print the repr of the sentence
        return visible(message)


class UnknownName(ArchencError, KeyError):
    """A name that no registry, label table or protocol folder knows."""


class InvalidArchitecture(ArchencError, ValueError):
    """An architecture that is malformed or does not belong to its search space.

    Attributes:
        position: of the architecture in the batch that was given, from 0; None where the error is of no one.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position

    def called(self, where: str) -> str:
        """The message with the architecture called ``where`` instead of by its position."""
        message, name = str(self), f"architecture {self.position}"
        return where + message.removeprefix(name) if message.startswith(name) else message


class InvalidTable(ArchencError, ValueError):
    """A table of architectures and labels that cannot be used as it is."""


class InvalidParameter(ArchencError, ValueError):
    """A parameter, or a combination of them, that makes no sense."""


class DataNotFound(ArchencError, FileNotFoundError):
    """A data file, folder or package that is not where it should be."""


class CorruptFile(ArchencError, ValueError):
    """A file whose checksum, size, shape or content is not what it should be."""


class CannotWrite(ArchencError, OSError):
    """A file or folder that cannot be written, for example on a full disk."""


class UnsafePickle(CorruptFile):
    """A pickle that asks for something outside its allow-list."""


class NoSuchPosition(InvalidParameter, IndexError):
    """A position, or something else in square brackets, that a batch or data set does not have."""


def read_each(items: Iterable[Any], read: Callable[[Any, str], _Read]) -> list[_Read]:
    """What ``read(item, where)`` makes of each item.

    Args:
        items: architectures as somebody gave them.
        read: reads one; ``where`` is what it is called in messages.

    Raises:
        InvalidArchitecture: the first that ``read`` raised, with the position of its item.
    """
    found = []
    for position, item in enumerate(items):
        try:
            found.append(read(item, f"architecture {position}"))
        except InvalidArchitecture as error:
            error.position = position
            raise
    return found


@cache
def _not_fitted() -> type[ArchencError]:
    """Made when it is asked for, as it is scikit-learn's error too, whose import takes long."""
    from sklearn.exceptions import NotFittedError

    class NotFitted(ArchencError, NotFittedError):  # type: ignore[misc]
        """A predictor that is used before it was fitted."""

        __qualname__ = "NotFitted"

    return NotFitted


if TYPE_CHECKING:

    class NotFitted(ArchencError, ValueError, AttributeError):
        """A predictor that is used before it was fitted."""


def __getattr__(name: str) -> Any:
    if name == "NotFitted":
        return _not_fitted()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
