"""The parameters of a space and the places that follow from them.

They may come from a file that somebody sent, so that they are checked and bounded before anything is built.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, listed, shown

MAX_NODES = 10_000
"""Most nodes of an architecture, those of all its cells together, also in the node form."""
MAX_EDGES = 100_000
"""Most edges of a fixed topology."""
MAX_OPERATIONS = 250  # ids are bytes
MAX_SLOTS = 250
MAX_NAME = 100
"""Most characters of a name."""


def operation_number(space: str, operations: Sequence[str], name: str, where: str) -> int:
    """Number k of the operation called ``name``; raises :class:`InvalidArchitecture` saying ``where``."""
    try:
        return operations.index(name)
    except ValueError:
        known = listed(operations)
        raise InvalidArchitecture(
            f"{where}: unknown operation {shown(name)}; {space} knows {known}"
        ) from None


def node_pairs(num_inputs: int, max_nodes: int) -> list[tuple[int, int]]:
    """The (source, target) pairs that an edge may join, by target and source."""
    return [(i, j) for j in range(num_inputs, max_nodes) for i in range(j)]


def edge_slots(pairs: Iterable[Sequence[int]], edges_per_pair: int) -> Tensor:
    """(E, 3) int64: source, target and slot of every place of an operation, by target, source, slot."""
    ordered = sorted(pairs, key=lambda edge: (edge[1], edge[0]))
    slots = [(source, target, slot) for source, target in ordered for slot in range(edges_per_pair)]
    return torch.tensor(slots, dtype=torch.int64).reshape(-1, 3)


def is_whole(value: Any) -> bool:
    """Whether this is a whole number, Python's or numpy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(where: str, parameter: str, value: Any, least: int, most: int) -> int:
    """The number as an int; raises :class:`InvalidParameter` unless it is a whole one from ``least`` to
    ``most``.
    """
    if not is_whole(value) or not least <= value <= most:
        raise InvalidParameter(
            f"{where}: {parameter} is {shown(value)}; give a whole number from {least} to {most:,}"
        )
    return int(value)


def members(where: str, parameter: str, values: Any, most: int) -> tuple[Any, ...]:
    """The items of a list; raises :class:`InvalidParameter` for what is none, a text too, or is longer than
    ``most``.
    """
    try:
        if isinstance(values, str | bytes | Mapping):
            raise TypeError
        found = tuple(itertools.islice(values, most + 1))
    except TypeError:
        raise InvalidParameter(f"{where}: {parameter} is {shown(values)}; give a list") from None
    if len(found) > most:
        number = len(values) if isinstance(values, Sized) else len(found)
        raise InvalidParameter(f"{where}: {number:,} {parameter} are too many; give at most {most:,}")
    return found


def whole_numbers(
    where: str, parameter: str, values: Any, least: int, most: int, length: int
) -> tuple[int, ...]:
    """The numbers of a list of at most ``length``; raises :class:`InvalidParameter` like
    :func:`whole_number`.
    """
    return tuple(
        whole_number(where, f"an item of {parameter}", value, least, most)
        for value in members(where, parameter, values, length)
    )


def truth(where: str, parameter: str, value: Any) -> bool:
    """The truth value; raises :class:`InvalidParameter` for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidParameter(f"{where}: {parameter} is {shown(value)}; give true or false")
    return bool(value)


def choice(where: str, parameter: str, value: Any, known: Sequence[str]) -> str:
    """One of the known texts; raises :class:`InvalidParameter` for anything else."""
    if not isinstance(value, str) or value not in known:
        raise InvalidParameter(f"{where}: {parameter} is {shown(value)}; choose one of {listed(known)}")
    return value


def operation(where: str, role: str, value: Any, operations: Sequence[str]) -> str | None:
    """The operation that has this role, or None; raises :class:`InvalidParameter` for anything else."""
    if value is None or (isinstance(value, str) and value in operations):
        return value
    raise InvalidParameter(
        f"{where}: {role} {shown(value)} is no operation; choose one of {listed(operations)}"
    )


def space_name(name: Any) -> str:
    """The name of a space, any text that is not too long; raises :class:`InvalidParameter` for anything
    else.
    """
    if not _is_name(name):
        raise InvalidParameter(
            f"the space {shown(name)} needs a name of text; give one of 1 to {MAX_NAME} characters"
        )
    return str(name)


def operation_names(where: str, operations: Any) -> tuple[str, ...]:
    """The names of the operations; raises :class:`InvalidParameter` unless they are different and no texts of
    architectures.
    """
    names = members(where, "operations", operations, MAX_OPERATIONS)
    if not names or not all(map(_is_name, names)):
        remedy = f"give at least one name, each of them text of 1 to {MAX_NAME} characters"
        raise InvalidParameter(f"{where}: operations are {shown(operations)}; {remedy}")
    if len(set(names)) != len(names):
        twice = next(op for op in names if names.count(op) > 1)
        raise InvalidParameter(
            f"{where} names the operation {shown(twice)} twice; give every operation a name of its own"
        )
    for name in names:
        if _is_json(name):
            raise InvalidParameter(
                f"{where}: the operation {shown(name)} is the JSON text of something else; choose another "
                "name"
            )
    return names


def _is_name(value: Any) -> bool:
    try:
        return isinstance(value, str) and 0 < len(value) <= MAX_NAME and bool(value.encode())
    except UnicodeEncodeError:  # half of a pair of surrogates, which no file can hold
        return False


def _is_json(text: str) -> bool:
    """Whether this is the JSON text of a list or a dict, and could so be an architecture."""
    try:
        return isinstance(json.loads(text), list | dict)
    except ValueError:
        return False
