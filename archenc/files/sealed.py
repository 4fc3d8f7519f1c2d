"""Arrays that others wrote, and what is built from them: nothing is trusted before it is checked.

A folder of weights is a JSON description, which states the SHA-256 of each safetensors file beside it. Such a
file is read here and nowhere else; so are the checks that what the description asks for is what the file
holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as dump_arrays
from torch import nn
from torch.overrides import TorchFunctionMode

from archenc.errors import ArchencError, CorruptFile, DataNotFound
from archenc.files.trusted import Field, atomic_write, read_bytes

MAX_BYTES = 2**32
"""Of a safetensors file: 4 GiB, more than the embeddings of any public space take."""
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""The dtypes of arrays that are written here, by safetensors' names."""
SLACK = 2**22
"""Numbers that a module may hold beside its weights, such as tables that follow from the space."""

# -- files ---------------------------------------------------------------------------------------------------


def read_arrays(path: Path, digest: str | None, remedy: str) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, all of them finite.

    Args:
        path: the file.
        digest: hexadecimal SHA-256 that its description states, None for one that is missing there.
        remedy: what to do about a file that is not what it should be.

    Raises:
        DataNotFound: there is no such file.
        CorruptFile: it has another checksum, is no safetensors file, or holds NaN, infinities or a dtype that
            is not of :data:`DTYPES`.
    """
    if not path.is_file():
        raise DataNotFound(f"{path} is missing; copy the whole folder, or {remedy}")
    content = read_bytes(path, MAX_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorruptFile(f"{path} does not have the checksum that was written with it; {remedy}")
    try:
        found = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CorruptFile(
            f"{path} is not a whole safetensors file ({_first_line(error)}); {remedy}"
        ) from None
    return {name: _array(name, entry, path, remedy) for name, entry in found}


def _array(name: str, entry: dict[str, Any], path: Path, remedy: str) -> np.ndarray:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise CorruptFile(
            f"{path}: {name[:120]!r} has the dtype {entry['dtype']}, which is not written here; {remedy}"
        )
    array = np.frombuffer(entry["data"], dtype=dtype).reshape(entry["shape"])
    if not np.isfinite(array).all():
        raise CorruptFile(f"{path}: {name[:120]!r} holds NaN or infinities; {remedy}")
    return array


def pack(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, str]:
    """The content of a safetensors file, and its SHA-256."""
    content = dump_arrays(
        {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    )
    return content, hashlib.sha256(content).hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write a safetensors file, whole or not at all, and give its SHA-256; raises
    :class:`archenc.errors.CannotWrite`.
    """
    content, digest = pack(arrays)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return digest


def state_arrays(module: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """The ``state_dict`` of a module as arrays called ``prefix.name``, or ``name`` without a prefix."""
    start = f"{prefix}." if prefix else ""
    return {f"{start}{name}": tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What is called ``prefix.name``, by ``name``."""
    return {
        name.removeprefix(f"{prefix}."): array
        for name, array in arrays.items()
        if name.startswith(f"{prefix}.")
    }


# -- what is built from them ---------------------------------------------------------------------------------


@contextlib.contextmanager
def rebuilding(path: Path, remedy: str) -> Iterator[None]:
    """What goes wrong inside means that the file at ``path`` describes nothing that can be built:
    :class:`CorruptFile`.
    """
    try:
        yield
    except ArchencError as error:
        raise CorruptFile(f"{path}: {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise CorruptFile(f"{path}: what it describes cannot be built again ({reason}); {remedy}") from error


class as_large_as(TorchFunctionMode):  # noqa: N801 - read as a sentence: with as_large_as(arrays): build()
    """Inside, modules are built that hold about as many numbers as ``arrays``; one number too many is refused
    before it has memory.

    So a description that asks for layers of a million units costs nothing where the weights beside it are
    small.

    Raises:
        CorruptFile: what is built needs more.
    """

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        super().__init__()
        self.left = 2 * sum(array.size for array in arrays) + SLACK

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in _FACTORIES:
            self.left -= _numbers(function, args, kwargs or {})
            if self.left < 0:
                raise CorruptFile(
                    "a part of this size needs more numbers than the weights hold; restore the description "
                    "of these weights"
                )
        return function(*args, **(kwargs or {}))


_FACTORIES = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.rand,
    torch.randn,
    torch.eye,
    torch.arange,
}


def _numbers(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many numbers a call of one of :data:`_FACTORIES` asks for, or more."""
    size = kwargs.get("size", args)
    size = size[0] if size and isinstance(size[0], list | tuple) else size
    whole = [abs(length) for length in size if isinstance(length, int)]
    return math.prod(whole) ** (2 if function is torch.eye and len(whole) == 1 else 1)


def load_state(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Give a module its saved state; raises :class:`CorruptFile` for that of another one."""
    try:
        module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        detail = (str(error).splitlines() or [""])[-1].strip().rstrip(".")
        raise CorruptFile(
            f"these are the weights of something else ({detail:.160}); restore the weights of this "
            "description"
        ) from error


def saved_arrays(arrays: Mapping[str, np.ndarray], fields: Mapping[str, Field]) -> list[np.ndarray]:
    """The arrays of these names, shapes and dtype kinds, in the order of ``fields``; raises
    :class:`CorruptFile` for any others.
    """
    for name in [*fields, *arrays]:
        if (name in fields) != (name in arrays):
            raise CorruptFile(
                f"the array {name[:120]!r} is {'missing' if name in fields else 'unknown'} in the weights; "
                "train and save again"
            )
    for name, (shape, kind) in fields.items():
        array = arrays[name]
        fits = array.ndim == len(shape) and all(
            want in (None, length) for want, length in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind != kind:
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            raise CorruptFile(
                f"the array {name!r} is {array.dtype} of shape {array.shape} instead of kind {kind!r} of "
                f"shape ({wanted}); "
                "train and save again"
            )
    return [arrays[name] for name in fields]


def saved_numbers(values: Mapping[str, Any], *names: str) -> list[float]:
    """The numbers of these names from a description; raises :class:`CorruptFile` for any other content."""
    try:
        numbers = msgspec.convert(dict(values), dict[str, float])
    except msgspec.ValidationError:
        numbers = {}
    if sorted(numbers) != sorted(names):
        raise CorruptFile(
            f"the head holds {dict(values)!r:.80} instead of numbers called {list(names)}; train and save "
            "again"
        )
    return [numbers[name] for name in names]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no detail"])[0][:120]
