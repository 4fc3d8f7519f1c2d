"""Pickles from other people's packages, read without running anything of theirs.

A pickle is a program. Here it may name only what an allow-list maps to a harmless stand-in, and it is not
opened at all unless its checksum is the published one.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, NoReturn

from archenc.errors import CorruptFile, UnsafePickle
from archenc.files.trusted import read_bytes


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, content: bytes, allowed: Mapping[str, Any], path: str) -> None:
        super().__init__(io.BytesIO(content))
        self._allowed = allowed
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self._allowed:
            raise UnsafePickle(
                f"the pickle {self._path} asks for {full}, which it must not; do not use this file and get "
                "the published one"
            )
        return self._allowed[full]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafePickle(
            f"the pickle {self._path} asks for an outside object; do not use this file and get the published "
            "one"
        )


def load_pickle(
    path: str | os.PathLike[str], allowed: Mapping[str, Any], *, sha256: str, max_bytes: int
) -> Any:
    """Unpickle a file whose globals are all stand-ins.

    Args:
        path: the file.
        allowed: what each global name (``"module.name"``) that may occur is replaced by.
        sha256: hexadecimal checksum of the published file; it is compared before a byte is interpreted.
        max_bytes: the largest size that is read.

    Raises:
        DataNotFound: the file cannot be read.
        CorruptFile: the file is too large, has another checksum, or is not a whole pickle.
        UnsafePickle: the pickle names a global that is not in ``allowed``, or a persistent object.
    """
    content = read_bytes(path, max_bytes)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorruptFile(
            f"the file {path} has SHA-256 {found} instead of {sha256}; install the published version again"
        )
    return load_values(content, path, allowed)


def load_values(
    content: bytes, path: str | os.PathLike[str], allowed: Mapping[str, Any] | None = None
) -> Any:
    """The values that a pickle holds: without stand-ins lists, dicts, numbers, texts and truth values.

    Args:
        content: the pickle, whose size and checksum the caller has looked at.
        path: the file that it comes from, for messages.
        allowed: what each global name that may occur is replaced by.

    Raises:
        CorruptFile: it is not a whole pickle.
        UnsafePickle: it asks for another global, or for an outside object.
    """
    try:
        return _RestrictedUnpickler(content, allowed or {}, str(path)).load()
    except UnsafePickle:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise CorruptFile(
            f"the file {path} is not a whole pickle ({type(error).__name__}); get it again"
        ) from None


_LIST_OF_NUMBERS = {
    "PROTO",
    "EMPTY_LIST",
    "BINPUT",
    "MARK",
    "BINFLOAT",
    "BININT",
    "BININT1",
    "BININT2",
    "APPEND",
    "APPENDS",
    "STOP",
}


def load_numbers(content: bytes, path: str | os.PathLike[str]) -> list[float | int]:
    """The list of numbers that a pickle holds; opcodes that no such list needs are refused before anything is
    built.

    Args:
        content: the pickle, whose size the caller has bounded; the list takes at most some ten times as much
            memory.
        path: the file that it comes from, for messages.

    Raises:
        CorruptFile: it is not a whole pickle of a list of numbers.
        UnsafePickle: it asks for a global, or for anything else than a list and numbers.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _LIST_OF_NUMBERS:
                raise UnsafePickle(
                    f"the pickle in {path} asks for {opcode.name} {argument!r:.60}, which a list of numbers "
                    "does not need; "
                    "do not use this file and get the published one"
                )
        values = _RestrictedUnpickler(content, {}, str(path)).load()
    except UnsafePickle:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise CorruptFile(
            f"the file {path} does not hold a whole pickle ({type(error).__name__}); get it again"
        ) from None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise CorruptFile(f"the pickle in {path} is not a list of numbers; get the file again")
    return values
