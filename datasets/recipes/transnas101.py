"""TransNAS-Bench-101 micro from NASLib's file of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.datasets.recipes.raw import naslib_accuracies
from archenc.datasets.transnas101 import ROWS, TASKS
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.transnas101 import OPERATIONS, TransNAS101Micro


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of all cells, sorted by their strings, with the validation metric of the last epoch of each
    task.

    Args:
        files: the source ``results`` of the manifest.

    Raises:
        CorruptFile: the file is not what it should be, and why.
    """
    found = naslib_accuracies(files["results"], "transbench101_micro", list(TASKS), len(OPERATIONS), ROWS)
    space = TransNAS101Micro()
    cells = space.enumerate()
    labels = {}
    for task, (ops, values) in found.items():
        row = ops @ len(OPERATIONS) ** np.arange(
            5, -1, -1
        )  # all combinations occur, and the enumeration counts through them
        labels[TASKS[task].field] = np.empty(ROWS, dtype=np.float32)
        labels[TASKS[task].field][row] = values
    return {
        "transnas101/micro.npz": {
            "ops": space.to_ops(cells).astype(np.uint8),
            "arch": np.array(space.format(cells), dtype="S"),
            "op_names": np.array(OPERATIONS),
            "edges": np.array(EDGES, dtype=np.uint8),
            **labels,
            "connected": is_connected(live_edges(cells).any(1)).numpy(),
        }
    }
