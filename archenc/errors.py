"""Typed errors: each message is one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archenc.text import visible

if TYPE_CHECKING:
    from archenc.unfitted import NotFitted as NotFitted


class ArchencError(Exception):
    """Base of every error that a user's input can cause; the command line turns it into exit code 2.

    What the message quotes may come from anybody, so that line breaks and terminal escapes in it are made visible.
    """

    def __str__(self) -> str:
        message = str(self.args[0]) if len(self.args) == 1 else super().__str__()  # KeyError would print the repr of the sentence
        return visible(message)


class UnknownName(ArchencError, KeyError):
    """A name that no registry, label table or protocol folder knows."""


class InvalidArchitecture(ArchencError, ValueError):
    """An architecture that is malformed or does not belong to its search space."""


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


def __getattr__(name: str) -> Any:
    if name == "NotFitted":  # also scikit-learn's NotFittedError, which is imported only when it is asked for
        from archenc.unfitted import NotFitted

        return NotFitted
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
