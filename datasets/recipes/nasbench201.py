"""NAS-Bench-201 from public extracts of the official files: accuracies, parameters, FLOPs, proxies, hardware.

Accuracies are kept to six decimals of a percent, which is more than the number of images resolves and less
than the rounding that the sources differ by. Rows are in the official order: files without the cells
themselves are in it, the others say which cell they mean by NASLib's six numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.datasets.nasbench201 import (
    HELP_BATCHED,
    HELP_SHARED,
    HELP_SINGLE,
    HW_ENERGY,
    HW_LATENCY,
    SUITE_ZERO,
)
from archenc.datasets.recipes.raw import (
    ascii_array,
    corrupt,
    floats,
    naslib_accuracies,
    read_csv,
    torch_numbers,
    tuples,
)
from archenc.errors import InvalidArchitecture
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.nasbench201 import OPERATIONS, NASBench201

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


IMAGES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16_120": (120, 16)}
"""Classes and pixels a side of each data set."""

_MEAN_COLUMNS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "imagenet16_120": "ImageNet"}
_SINGLE_COLUMNS = {"cifar10": "Cifar10", "cifar100": "Cifar100", "imagenet16_120": "ImageNet16"}
_NASLIB = {"cifar10valid": "cifar10", "cifar100": "cifar100", "imagenet16_120": "ImageNet16-120"}


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The three tables of NAS-Bench-201, without the columns whose only public sources are pickled tables.

    Those are the validation accuracies after 12 epochs, ``cifar10valid_test_acc_ep200_meanseeds_v10file`` and
    ``nwot2020_cifar10_hamming``.

    Args:
        files: the sources of the manifest by name.

    Raises:
        CorruptFile: which file is not what it should be, and why.
    """
    header = [f"{name}TestAccuracy200Epochs" for name in _MEAN_COLUMNS.values()]
    means = read_csv(files["test_mean"], [*header, "ArchitectureString", "UniqueString"], ROWS)
    arch = ascii_array(files["test_mean"], means["ArchitectureString"])
    ops = _operations(files["test_mean"], means["ArchitectureString"])
    space = NASBench201()
    cells = space.from_ops(ops)
    costs = {
        name: space.costs(cells, classes=classes, image_side=side) for name, (classes, side) in IMAGES.items()
    }
    monet = {
        name: _monet(files[f"monet_{name}"], costs[name]["parameters"], nasi=name != "imagenet16_120")
        for name in IMAGES
    }

    numbers = space.to_naslib(cells) @ 5 ** np.arange(6)
    position = np.argsort(numbers)  # the row of each cell by NASLib's digits
    iso_string = ascii_array(files["test_mean"], means["UniqueString"])
    table = {
        "index": np.arange(ROWS, dtype=np.int32),
        "arch": arch,
        "ops": ops.astype(np.uint8),
        "iso_group": _by_first_appearance(iso_string),
        "iso_string": iso_string,
    }
    for name, column in _MEAN_COLUMNS.items():
        valid = "cifar10valid" if name == "cifar10" else name
        table[f"{valid}_val_acc_ep200_meanseeds"] = _percent(100 * monet[name]["accuracy"])
        table[f"{name}_test_acc_ep200_meanseeds"] = _percent(
            floats(files["test_mean"], means, f"{column}TestAccuracy200Epochs")
        )
    table |= _single(files["test_single"], means["ArchitectureString"])
    table |= _seed888(files["seed888"], position)
    for name, counted in costs.items():
        table[f"params_{name}"] = counted["parameters"].astype(np.int32)
        table[f"mflops_{name}"] = counted["flops"] / 1e6
    table["op_names"] = np.array(OPERATIONS)
    table["edges"] = np.array(EDGES, dtype=np.uint8)
    return {
        "nasbench201/table.npz": table,
        "nasbench201/zero_cost.npz": {"arch": arch, **zero_cost(files, position, monet)},
        "nasbench201/hardware.npz": {"arch": arch, **hardware(files, position)},
    }


def _operations(path: Path, strings: list[str]) -> np.ndarray:
    """The operations' numbers, int64 (15625, 6), of cells that are all different."""
    space = NASBench201()
    try:
        ops = space.to_ops(space.parse(strings))
    except InvalidArchitecture as error:
        raise corrupt(path, str(error).split("; ")[0]) from None
    if len(np.unique(ops, axis=0)) != ROWS:
        raise corrupt(path, "a cell occurs twice")
    return ops


def _by_first_appearance(texts: np.ndarray) -> np.ndarray:
    """Numbers of the distinct texts in the order in which they come, int32."""
    _, first, group = np.unique(texts, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(len(first))
    return number[group]


def _percent(values: np.ndarray) -> np.ndarray:
    return np.round(values, 6)


def _monet(path: Path, parameters: np.ndarray, *, nasi: bool) -> dict[str, np.ndarray]:
    """Validation accuracy (fraction) and scores of one data set, in the official order, which the parameter
    counts must confirm.
    """
    scores = ["score_nasi", "score_naswot"] if nasi else ["score_naswot"]
    table = read_csv(path, ["", "index", "num_param", "score", "accuracy", *scores], ROWS)
    for column, expected in (("index", np.arange(ROWS)), ("num_param", parameters)):
        if (wrong := np.flatnonzero(floats(path, table, column) != expected)).size:
            raise corrupt(
                path,
                f"line {wrong[0] + 2} has {column} {table[column][wrong[0]]!r:.40} instead of "
                f"{expected[wrong[0]]}",
            )
    return {"accuracy": floats(path, table, "accuracy")} | {
        name: floats(path, table, name, blank=True) for name in ("score", *scores)
    }


def _single(path: Path, strings: list[str]) -> dict[str, np.ndarray]:
    """Test accuracies of one seed after 12 and after 200 epochs."""
    columns = {
        f"{name}_test_acc_ep{epochs}_oneseed": f"{column}TestAccuracy{epochs}Epochs"
        for epochs in (12, 200)
        for name, column in _SINGLE_COLUMNS.items()
    }
    table = read_csv(path, ["", "Unnamed: 0", *columns.values(), "ArchitectureString"], ROWS)
    for line, (cell, expected) in enumerate(zip(table["ArchitectureString"], strings, strict=True), start=2):
        if cell != expected:
            raise corrupt(path, f"line {line} is about the cell {cell!r:.100} instead of {expected!r}")
    return {field: _percent(floats(path, table, column)) for field, column in columns.items()}


def _seed888(path: Path, position: np.ndarray) -> dict[str, np.ndarray]:
    """What NASLib stores as validation accuracy and is the test accuracy of seed 888."""
    found = naslib_accuracies(path, "nasbench201", list(_NASLIB.values()), len(OPERATIONS), ROWS)
    table = {}
    for name, task in _NASLIB.items():
        cells, accuracies = found[task]
        values = np.empty(ROWS)
        values[position[cells @ 5 ** np.arange(6)]] = accuracies
        table[f"{name}_test_acc_ep200_seed888"] = _percent(values)
    return table
