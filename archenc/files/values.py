"""Numbers that users hand over - labels, predictions, features - as arrays, or refused before anything is
lost in conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from archenc.errors import ArchencError, DataNotFound, InvalidParameter, InvalidTable
from archenc.files.text import shown

if TYPE_CHECKING:
    import pandas


def as_numbers(values: Any, what: str, error: type[ArchencError] = InvalidTable) -> np.ndarray:
    """float64 array of real numbers.

    Arrays, lists, generators, columns of a table (pandas) and tensors, on any device, with or without
    gradients, are taken; True and False are 1 and 0.

    Args:
        values: what was given.
        what: what it is called in a message: ``"y"``.
        error: the type of the error.

    Raises:
        ArchencError: of the type ``error``: masked entries, complex numbers, dates, text, gaps that are not
            NaN, rows of unequal length.
    """
    try:
        array = np.asarray(_unwrapped(values, what, error))
        if array.dtype.kind in "biuf":
            return array.astype(np.float64, copy=False)
        if array.dtype == object and all(isinstance(value, Real | Decimal) for value in array.flat):
            return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        if isinstance(problem, ArchencError):
            raise
        raise error(
            f"{what} cannot be read as an array of numbers; give a list of numbers, or rows of equally many"
        ) from None
    wrong = (
        [value for value in array.flat if not isinstance(value, Real | Decimal)]
        if array.dtype == object
        else array.flat
    )
    first = shown(wrong[0]) if array.size else f"no {array.dtype} at all"
    kinds = {"c": "complex numbers", "M": "dates", "m": "durations", "U": "text", "S": "text"}
    raise error(
        f"{what} holds {kinds.get(array.dtype.kind, 'values that are not numbers')}, such as {first}; give "
        "real numbers"
    )


def as_labels(values: Any, what: str = "y") -> np.ndarray:
    """:func:`as_numbers`, one column (n, 1) as (n,)."""
    array = as_numbers(values, what)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _unwrapped(values: Any, what: str, error: type[ArchencError]) -> Any:
    """``values`` in a form that numpy takes without loss."""
    if np.ma.isMaskedArray(values):
        if np.ma.getmaskarray(values).any():
            raise error(
                f"{what} has masked entries, which have no value; drop them, or fill them by .filled(...)"
            )
        return values.data
    if hasattr(values, "detach"):  # a tensor; numpy has no bfloat16
        values = values.detach().cpu()
        return (values if values.is_complex() else values.double()).numpy()
    if isinstance(values, Iterator):
        values = list(values)
    if isinstance(values, list | tuple):
        return [_unwrapped(value, what, error) for value in values]
    return values


def as_positions(values: Any, what: str) -> np.ndarray:
    """int64 (n,): whole numbers from 0 up; raises :class:`InvalidParameter` for anything else."""
    array = as_numbers(values, what, InvalidParameter)
    if array.ndim != 1 or not ((array >= 0) & (array < 2**53) & (array == np.floor(array))).all():
        raise InvalidParameter(f"{what} is no list of positions; give whole numbers from 0 up")
    return array.astype(np.int64)


def as_frame(columns: Mapping[str, Any]) -> pandas.DataFrame:
    """A pandas DataFrame of the columns; raises :class:`DataNotFound` where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise DataNotFound(
            "a DataFrame needs the package pandas, which is not installed; run: pip install pandas"
        ) from None
    return pandas.DataFrame(columns)
