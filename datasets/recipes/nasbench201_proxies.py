"""NAS-Bench-201: zero-cost proxies and hardware measurements, from CSV files and PyTorch lists.

Rows are in the official order: files without the cells themselves are in it, the others say which cell they
mean by NASLib's six numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.datasets.nasbench201_labels import (
    HELP_BATCHED,
    HELP_SHARED,
    HELP_SINGLE,
    HW_ENERGY,
    HW_LATENCY,
    SUITE_ZERO,
)
from archenc.datasets.recipes.raw import corrupt, floats, read_csv, torch_numbers, tuples

ROWS = 15_625
SUITE_ZERO_ROWS = 9_445
HELP = sorted(
    [*(f"{device}_{batch}" for device in HELP_BATCHED for batch in (1, 32, 256)), *HELP_SINGLE, *HELP_SHARED]
)
_UNMEASURED = -1  # HW-NAS-Bench's latency where a network could not be compiled
_HW_COLUMNS = [
    column
    for device in HW_LATENCY
    for column in (
        f"{device}_latency",
        *([f"{device}_energy"] if device in HW_ENERGY else []),
        *([f"{device}_arithmetic_intensity"] if device == "eyeriss" else []),
    )
]


def zero_cost(
    files: Mapping[str, Path], position: np.ndarray, monet: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The proxies of NAS-Bench-Suite-Zero and of MONET, without ``arch``.

    Args:
        files: the sources of the manifest by name.
        position: int64 (15625,), the row of each cell by NASLib's six numbers as digits of base 5, the first
            the lowest.
        monet: MONET's scores by data set and column.
    """
    table: dict[str, np.ndarray] = {}
    for name in ("cifar10", "imagenet16_120"):
        path = files[f"nbsz_{name}"]
        columns = read_csv(
            path, ["net", *(["net_str"] if name == "cifar10" else []), *SUITE_ZERO], SUITE_ZERO_ROWS
        )
        rows = _rows(path, columns["net"], position)
        for proxy in SUITE_ZERO:
            values = np.full(ROWS, np.nan)
            values[rows] = floats(path, columns, proxy)
            table[f"nbsz_{name}_{proxy}"] = values
        available = np.zeros(ROWS, dtype=bool)
        available[rows] = True
        if not np.array_equal(table.setdefault("nbsz_available", available), available):
            raise corrupt(path, f"it holds other cells than {files['nbsz_cifar10']}")
    for name, scores in monet.items():
        table |= {
            f"monet_{name}_{score.removeprefix('score_')}": values
            for score, values in scores.items()
            if score != "accuracy"
        }
    return table


def hardware(files: Mapping[str, Path], position: np.ndarray) -> dict[str, np.ndarray]:
    """The measurements of HW-NAS-Bench and of HELP, without ``arch``; arguments as for :func:`zero_cost`."""
    table: dict[str, np.ndarray] = {}
    for name in ("cifar10", "cifar100", "imagenet16_120"):
        path = files[f"hwnas_{name}"]
        columns = read_csv(path, ["net", *_HW_COLUMNS], ROWS)
        rows = _rows(path, columns["net"], position)
        for column in _HW_COLUMNS:
            measured = floats(path, columns, column)
            measured[measured == _UNMEASURED] = np.nan
            values = np.empty(ROWS)
            values[rows] = measured
            unit = {"latency": "_ms", "energy": "_mj"}.get(column.rpartition("_")[2], "")
            table[f"hwnas_{name}_{column}{unit}"] = values
    return table | {
        f"help_{device}_latency_ms": torch_numbers(files[f"help_{device}"], ROWS) for device in HELP
    }


def _rows(path: Path, nets: list[str], position: np.ndarray) -> np.ndarray:
    """The row of each cell, which must all be different."""
    rows: np.ndarray = position[tuples(path, nets, 6, 5) @ 5 ** np.arange(6)]
    if len(np.unique(rows)) != len(rows):
        raise corrupt(path, "a cell occurs twice")
    return rows
