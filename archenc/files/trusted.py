"""Files: where data lies, reading it without trust, and writing it whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs

from archenc.errors import ArchencError, CannotWrite, CorruptFile, DataNotFound, InvalidParameter

Field = tuple[tuple[int | None, ...], str]
"""What an array must look like: its shape, None for any length, and its dtype kind (``"f"``, ``"i"``,
``"u"``, ``"b"``, ``"S"``).
"""

MAX_NAME = 120
"""Characters of a file name that :func:`safe_name` makes; file systems hold 255 bytes."""


# -- where data lies -----------------------------------------------------------------------------------------


def cache_root() -> Path:
    """Where what was computed or fetched is kept: ``$ARCHENC_CACHE``, else the per-user cache folder."""
    given = os.environ.get("ARCHENC_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("archenc", appauthor=False)


def data_root() -> Path:
    """The folder of the tables: ``$ARCHENC_DATA``, else ``data`` in :func:`cache_root`."""
    given = os.environ.get("ARCHENC_DATA")
    return Path(given).expanduser() if given else cache_root() / "data"


def find_table(relative_path: str, remedy: str = "") -> Path:
    """The file at ``relative_path`` under :func:`data_root`; raises :class:`DataNotFound` with the remedy, if
    it is known.
    """
    path = data_root() / relative_path
    if not path.is_file():
        raise DataNotFound(
            f"the table {relative_path} is not in the folder {data_root()}; "
            f"{remedy}{', or ' if remedy else ''}set the environment variable ARCHENC_DATA to a folder that "
            "holds it"
        )
    return path


def safe_name(text: str) -> str:
    """A file name for something that is called ``text``: letters, digits, ``.``, ``_`` and ``-``, whatever
    the text holds.

    A text of nothing else that begins with a letter or a digit stays as it is; one that must be changed gets
    a digest, so that different texts have different names.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:MAX_NAME]
    return (
        name
        if name and name == text
        else f"{name or 'unnamed'}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"
    )


def inside(folder: str | os.PathLike[str], name: str | os.PathLike[str]) -> Path:
    """The path of what is called ``name`` below ``folder``; raises :class:`InvalidParameter` if it would lie
    elsewhere.

    Absolute names, ``..`` and symbolic links that lead out of the folder are refused. Names from data are
    joined to paths here and nowhere else.
    """
    text = os.fspath(name)
    path = Path(folder) / text
    parts = Path(text).parts
    outside = not parts or Path(text).is_absolute() or ".." in parts or "\0" in text
    if outside or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise InvalidParameter(
            f"the name {text!r:.120} leads out of the folder {folder}; give one that stays below it"
        )
    return path


def files_below(folder: str | os.PathLike[str], form: re.Pattern[str]) -> list[Path]:
    """The files in ``folder`` and its folders whose whole names have a form, sorted; links to folders are not
    followed.

    Raises :class:`InvalidParameter` for a symbolic link to a file elsewhere.
    """
    found = sorted(path for path in Path(folder).rglob("*") if form.fullmatch(path.name))
    return [inside(folder, path.relative_to(folder)) for path in found if not path.is_dir()]


# -- reading -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[BufferedReader]:
    """Open a file for reading; raises :class:`OSError` also for what is no file, such as a device or a pipe
    that nobody may ever fill.
    """
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    ) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        yield stream


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_bytes(path: str | os.PathLike[str], max_bytes: int, *, pipe: bool = False) -> bytes:
    """The content of a file that must exist and hold at most ``max_bytes``; raises :class:`DataNotFound` or
    :class:`CorruptFile`.

    Only with ``pipe`` it may be a pipe or a device such as ``/dev/stdin``, for paths that the user gave for
    this one file.
    """
    try:
        with open(path, "rb") if pipe else open_file(path) as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise DataNotFound(
            f"the file {path} cannot be read ({error.strerror}); check its path and permissions"
        ) from None
    if len(content) > max_bytes:
        raise CorruptFile(
            f"the file {path} is larger than the {max_bytes:,} bytes that such a file may have; check that "
            "it is the right one"
        )
    return content


def open_npz(
    path: str | os.PathLike[str], expected: Mapping[str, Field] | None, max_bytes: int
) -> dict[str, np.ndarray]:
    """Read the arrays named in ``expected`` from an ``.npz`` file that nobody vouches for.

    Sizes, shapes and dtypes are checked on the headers, before anything is inflated; object arrays are
    refused.

    Args:
        path: the file.
        expected: shape and dtype kind of each array that is wanted, while the file may hold more; None for
            all arrays, whatever they are.
        max_bytes: the most that all members together may declare as their inflated size.

    Raises:
        DataNotFound: there is no such file.
        CorruptFile: the file is truncated, damaged or too large, or an array is missing or of the wrong shape
            or dtype.
    """
    try:
        with open_file(path) as file:
            return _read_archive(file, expected, max_bytes, path)
    except OSError as error:
        raise DataNotFound(
            f"the file {path} cannot be read ({error.strerror}); check its path and permissions"
        ) from None


def _read_archive(
    file: BinaryIO, expected: Mapping[str, Field] | None, max_bytes: int, path: str | os.PathLike[str]
) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            check_members(members.values(), max_bytes, path)
            wanted = (
                dict.fromkeys(name.removesuffix(".npy") for name in members) if expected is None else expected
            )
            return {
                name: _read_member(archive, members.get(f"{name}.npy"), name, field, path)
                for name, field in wanted.items()
            }
    except CorruptFile:
        raise
    except Exception as error:  # a damaged archive can fail in any way
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CorruptFile(f"the file {path} is not a whole .npz file ({reason:.120}); get it again") from None


def check_members(members: Iterable[zipfile.ZipInfo], max_bytes: int, path: str | os.PathLike[str]) -> None:
    """Raise :class:`CorruptFile` for members of a zip file that inflate, or could inflate, to more than
    ``max_bytes`` together.

    Only members that are stored or deflated are read in pieces by Python; those of other methods are inflated
    whole, whatever they declare.
    """
    total = 0
    for info in members:
        total += info.file_size
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CorruptFile(
                f"the file {path} has the member {info.filename!r:.80}, which is not deflated; get it again "
                "or zip it anew"
            )
    if total > max_bytes:
        raise CorruptFile(
            f"the file {path} inflates to {total:,} bytes, more than the {max_bytes:,} expected; get it again"
        )


def _read_member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo | None,
    name: str,
    field: Field | None,
    path: str | os.PathLike[str],
) -> np.ndarray:
    if info is None:
        raise CorruptFile(f"the file {path} has no array {name!r}; get a complete one")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(stream)
        if field is not None:
            _check_field(shape, dtype, name, field, path)
        if math.prod(shape) * dtype.itemsize != info.file_size - stream.tell():
            raise CorruptFile(
                f"the array {name!r} in {path} declares {shape} but holds another number of bytes; get the "
                "file again"
            )
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check_field(
    shape: tuple[int, ...], dtype: np.dtype[Any], name: str, field: Field, path: str | os.PathLike[str]
) -> None:
    wanted, kind = field
    fits = len(shape) == len(wanted) and all(
        want in (None, length) for want, length in zip(wanted, shape, strict=True)
    )
    if not fits or dtype.kind != kind:
        text = ", ".join("any" if want is None else str(want) for want in wanted)
        raise CorruptFile(
            f"the array {name!r} in {path} is {dtype} of shape {shape} instead of kind {kind!r} of shape "
            f"({text}); get the right file"
        )


def content_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Hexadecimal SHA-256 of named arrays: names, dtypes, shapes and values, however a file compresses
    them.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


# -- writing -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; when the block ends well the file gets its final name, else
    it is removed.

    A reader sees the old file or the whole new one, never half of it. The folder is made when it is missing.

    Raises:
        CannotWrite: the disk is full, or the place is not writable.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem[:MAX_NAME]}.{secrets.token_hex(4)}{final.suffix}")
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, final)
        finally:
            with contextlib.suppress(OSError):  # the reason why it could not be written says more
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses inside becomes :class:`CannotWrite` with the path."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ArchencError):
            raise
        reason = error.strerror or str(error) or type(error).__name__
        raise CannotWrite(
            f"{path} cannot be written ({reason}); make room or choose another place"
        ) from error


def write_texts(folder: str | os.PathLike[str], texts: Mapping[str, str]) -> list[Path]:
    """Write texts as files below ``folder``, by their names, all of them or none; gives their paths.

    Every text lies on the disk under a temporary name before the first file gets its own.

    Raises:
        InvalidParameter: a name that leads out of the folder.
        CannotWrite: the disk is full, or a place is not writable.
    """
    paths = [inside(folder, name) for name in texts]
    with contextlib.ExitStack() as renamed_at_the_end:
        for path, text in zip(paths, texts.values(), strict=True):
            if path.is_dir():
                raise CannotWrite(
                    f"{path} cannot be written, as it is a folder; remove it or choose another place"
                )
            temporary = renamed_at_the_end.enter_context(atomic_write(path))
            with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
    return paths


def json_text(value: Any, *, sort_keys: bool = True) -> str:
    """``value`` as indented JSON; NaN and infinities are refused, as they are not JSON."""
    return json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike[str], value: Any, *, sort_keys: bool = True) -> None:
    """Write ``value`` as :func:`json_text` in UTF-8, atomically."""
    text = json_text(value, sort_keys=sort_keys)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
