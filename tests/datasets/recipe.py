"""Recipes for the tests: what fetching calls, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.errors import CorruptFile

calls: list[list[str]] = []


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """Two tables from two files of numbers."""
    calls.append(sorted(files))
    first, second = (
        np.array(files[name].read_text().split(), dtype=np.int64) for name in ("first", "second")
    )
    return {"made/sum.npz": {"sum": first + second}, "made/both.npz": {"first": first, "second": second}}


def one_table(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    return {"made/sum.npz": build(files)["made/sum.npz"]}


def read(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The import of one file of numbers."""
    try:
        return {"own/numbers.npz": {"numbers": np.array(file.read_text().split(), dtype=np.int64)}}
    except ValueError:
        raise CorruptFile(f"the file {file} does not hold whole numbers; give another one") from None
