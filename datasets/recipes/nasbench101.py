"""NAS-Bench-101: all cells from the definition of the space, and a uniform sample of 30,001 measured ones
from public extracts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from archenc.datasets.nasbench101 import BUDGETS, IMAGES, TA7290
from archenc.datasets.recipes.raw import MAX_BYTES, corrupt, json_object, parse_json
from archenc.files.trusted import read_bytes
from archenc.graphs.hashing import sortable_keys
from archenc.spaces.nasbench101 import OPERATIONS, NASBench101

ROWS = {"cells_20k": 20_001, "cells_10k": 10_000}

_COLUMNS = [
    "key",
    "trainable_parameters",
    "final_training_time",
    *(f"{epochs}_final_validation_accuracy" for epochs in BUDGETS),
]


def build_space(files: Mapping[str, Path] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """The table of all 423,624 cells, sorted by the official hash; no file is needed."""
    return {"nasbench101/space.npz": dict(enumerated())}


@lru_cache(maxsize=1)
def enumerated() -> dict[str, np.ndarray]:
    """The columns of the table of all cells; half a minute, the first time."""
    space = NASBench101()
    graphs, hashes = space.enumerate_with_hashes()
    n_nodes, adj_bits, ops5 = space.to_bits(graphs)
    table = {
        "hash": hashes,
        "n_nodes": n_nodes,
        "adj_bits": adj_bits,
        "ops5": ops5,
        "params": space.costs(graphs)["parameters"].astype(np.int32),
        "op_names5": np.array(OPERATIONS),
    }
    for column in table.values():
        column.setflags(write=False)
    return table


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The measured cells and the split of TA-GATES.

    The extracts have one validation accuracy a budget, drawn from the three repeats, and no test accuracy;
    the cells of the split are given by their place among all cells.

    Args:
        files: ``cells_20k`` and ``cells_10k``, ``ta7290_train`` and ``ta7290_test``.

    Raises:
        CorruptFile: which file is not what it should be, and why.
    """
    space = enumerated()
    extracts = [measured_cells(files[name], rows, space) for name, rows in ROWS.items()]
    columns = {field: np.concatenate([extract[field] for extract in extracts]) for field in extracts[0]}
    order = np.argsort(columns["space_index"], kind="stable")
    if len(np.unique(columns["space_index"])) < len(order):
        raise corrupt(files["cells_10k"], "it holds a cell that is in the other extract, too")
    columns = {field: values[order] for field, values in columns.items()}
    at = columns["space_index"]
    cells = NASBench101()
    adjacency, ops, n_nodes = cells.to_arrays(
        cells.from_bits(space["n_nodes"][at], space["adj_bits"][at], space["ops5"][at])
    )
    table = {
        "hash": space["hash"][at],
        "n_nodes": n_nodes,
        "adjacency": adjacency,
        "ops": ops,
        "params": space["params"][at],
        "epochs": np.array(BUDGETS, dtype=np.int16),
        "op_names": np.array(["input", *OPERATIONS, "output"]),
    }
    split: dict[str, np.ndarray] = {}
    for half in ("train", "test"):
        rows = _positions(files[f"ta7290_{half}"], len(space["hash"]))
        split |= {
            f"ta7290_{half}_hash": space["hash"][rows],
            f"ta7290_{half}_space_index": rows.astype(np.int32),
        }
    return {"nasbench101/cells.npz": columns | table, "nasbench101/splits.npz": split}


def measured_cells(path: Path, rows: int, space: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Place among all cells, correctly classified validation images and seconds of each cell in a JSON file
    of parallel lists.

    Raises:
        CorruptFile: the file has another form, an unknown cell, another parameter count than the cell has, or
            an impossible number.
    """
    table = json_object(path, parse_json(path, read_bytes(path, MAX_BYTES)), "it")
    lists: dict[str, Any] = {name: table.get(name) for name in _COLUMNS}
    if wrong := next(
        (name for name, values in lists.items() if not isinstance(values, list) or len(values) != rows), ""
    ):
        raise corrupt(path, f"its {wrong!r} is not a list of {rows:,} values")
    index = find_hashes(path, lists["key"], space["hash"])
    if (
        different := np.flatnonzero(_numbers(path, lists, "trainable_parameters") != space["params"][index])
    ).size:
        raise corrupt(
            path, f"the parameters of the cell {lists['key'][different[0]]} are not those of its network"
        )
    counts = np.stack(
        [IMAGES * _numbers(path, lists, f"{epochs}_final_validation_accuracy") for epochs in BUDGETS], axis=1
    )
    if not ((counts > -0.5) & (counts < IMAGES + 0.5) & (abs(counts - counts.round()) < 0.01)).all():
        raise corrupt(path, f"an accuracy is not a share of {IMAGES:,} images")
    return {
        "space_index": index.astype(np.int32),
        "val_single_count": counts.round().astype(np.uint16),
        "train_time_108_single": _numbers(path, lists, "final_training_time").astype(np.float32),
    }


def _numbers(path: Path, lists: Mapping[str, Any], name: str) -> np.ndarray:
    values = np.array(lists[name])
    if values.ndim != 1 or values.dtype.kind not in "if" or not np.isfinite(values).all():
        raise corrupt(path, f"its {name!r} holds something other than finite numbers")
    return values


def find_hashes(path: Path, texts: Any, hashes: np.ndarray) -> np.ndarray:
    """The row of each hexadecimal hash in the sorted ``hashes`` (N, 16); raises :class:`CorruptFile` for one
    that is not there.
    """
    try:
        wanted = np.frombuffer(bytes.fromhex("".join(texts)), dtype=np.uint8).reshape(len(texts), 16)
    except (TypeError, ValueError):
        raise corrupt(path, "a key is not the hexadecimal text of 16 bytes") from None
    known, sought = sortable_keys(hashes), sortable_keys(wanted)
    at = np.minimum(np.searchsorted(known, sought), len(known) - 1)
    if (missing := np.flatnonzero(known[at] != sought)).size:
        raise corrupt(path, f"the hash {texts[missing[0]]} is that of no cell")
    return at


def _positions(path: Path, cells: int) -> np.ndarray:
    """7,290 different positions from an ``.npy`` file."""
    content = io.BytesIO(read_bytes(path, MAX_BYTES))
    try:
        np.lib.format.read_magic(content)
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
        rows = np.frombuffer(content.read(), dtype=dtype)
    except (ValueError, EOFError, SyntaxError) as error:
        raise corrupt(path, f"it is not an .npy file of numbers ({str(error).splitlines()[0]:.80})") from None
    if (
        shape != (TA7290,)
        or len(rows) != TA7290
        or dtype.kind != "i"
        or not 0 <= rows.min() <= rows.max() < cells
        or len(set(rows)) < TA7290
    ):
        raise corrupt(path, f"it does not hold {TA7290:,} different positions below {cells:,}")
    return rows
