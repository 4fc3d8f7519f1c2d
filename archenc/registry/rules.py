"""What a parameter may be: its annotation is its rule, checked in one place for every part.

A part writes ``alpha: NotNegative = 1.0`` in its signature, and :func:`checked` turns whatever came into a
plain Python value of that kind, or refuses it in one sentence. Third parties use the names below, or any
other type that msgspec understands; in a union, classes that it does not know (``Seed |
np.random.RandomState``) are told by ``isinstance``, and what has such a kind alone is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import numpy as np
from msgspec import Meta

from archenc.errors import InvalidParameter, shown

Count = Annotated[int, Meta(ge=1, le=10**9, description="a whole number of at least 1")]
Whole = Annotated[int, Meta(ge=0, le=10**9, description="a whole number from 0 up")]
Size = Annotated[int, Meta(ge=1, le=2**14, description="a size from 1 to 16,384")]
"""Of a layer: what a network is built from, so that nothing immense is."""
Buckets = Annotated[int, Meta(ge=1, le=2**20, description="a number of columns from 1 to 1,048,576")]
Few = Annotated[int, Meta(ge=0, le=1_000, description="a whole number from 0 to 1,000")]
Depth = Annotated[int, Meta(ge=1, le=1_000, description="a whole number of at least 1, at most 1,000")]
TreeDepth = Annotated[int, Meta(ge=1, le=16, description="a depth from 1 to 16")]
Seed = Annotated[int, Meta(ge=0, lt=2**32, description="a whole number from 0 to 2**32 - 1")]
Positive = Annotated[float, Meta(gt=0, le=1e30, description="a positive number")]
NotNegative = Annotated[float, Meta(ge=0, le=1e30, description="a number from 0 up")]
Number = Annotated[float, Meta(ge=-1e30, le=1e30, description="a finite number")]
Share = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Fraction = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]
Part = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
Probability = Annotated[float, Meta(ge=0, lt=1, description="a probability below 1")]
Sizes = Annotated[
    Sequence[Size], Meta(max_length=32, description="a list of at most 32 sizes from 1 to 16,384")
]
Layers = Annotated[
    Sequence[Size],
    Meta(min_length=1, max_length=32, description="at least one layer: a list of 1 to 32 sizes up to 16,384"),
]
RandomState = Seed | np.random.RandomState | np.random.Generator | None
"""What chance depends on: a seed, a generator to draw one from, or None for another one each time."""
Name = Annotated[str, Meta(min_length=1, max_length=200, description="a name")]


def plain(value: Any) -> Any:
    """NumPy's scalars and arrays as Python's numbers and lists, inside lists, tuples and dicts too; the rest
    as it is.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else value
    if type(value) is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def checked(owner: str, name: str, value: Any, kind: Any) -> Any:
    """``value`` as a plain Python value of ``kind``.

    Args:
        owner: who got it, for the message: ``"the head 'ridge'"``.
        name: the parameter.
        value: what was given; NumPy's numbers count as Python's.
        kind: a type, mostly one of this module.

    Raises:
        InvalidParameter: it is of another kind.
    """
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    foreign = tuple(get_origin(member) or member for member in members if not is_understood(member))
    if foreign and (len(foreign) == len(members) or isinstance(value, foreign)):
        return value
    try:
        value = plain(value)
        if isinstance(value, float) and value != value:  # NaN passes every comparison of a rule
            raise msgspec.ValidationError
        return msgspec.convert(value, Union[tuple(member for member in members if is_understood(member))])  # noqa: UP007
    except (msgspec.ValidationError, RecursionError, OverflowError, AttributeError, TypeError):
        verb = "choose" if any(get_origin(member) is Literal for member in members) else "give"
        raise InvalidParameter(f"{owner} got {name} = {shown(value)}; {verb} {describe(kind)}") from None


def is_understood(kind: Any) -> bool:
    """Whether values can be checked against ``kind``: a type that msgspec knows."""
    try:
        return not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType)
    except TypeError:
        return False


def describe(kind: Any) -> str:
    """What a value of ``kind`` is, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        texts = [note.description for note in arguments[1:] if isinstance(note, Meta) and note.description]
        return texts[-1] if texts else describe(arguments[0])
    if origin in (Union, UnionType):
        if any(os.PathLike in (argument, get_origin(argument)) for argument in arguments):
            return "a path" + (" or None" if NoneType in arguments else "")
        return " or ".join(
            describe(argument) for argument in sorted(arguments, key=lambda argument: argument is NoneType)
        )
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    words = {
        NoneType: "None",
        bool: "True or False",
        int: "a whole number",
        float: "a number",
        str: "text",
        dict: "a dict",
        list: "a list",
        tuple: "a list",
        Sequence: "a list",
    }
    return words.get(origin or kind, getattr(kind, "__name__", str(kind)))
