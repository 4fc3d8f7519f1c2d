"""Files of NASLib: DARTS genotypes with accuracies that NAS-Bench-301's surrogate predicts, and
TransNAS-Bench-101 micro.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.datasets.recipes.raw import (
    MAX_BYTES,
    corrupt,
    json_floats,
    json_object,
    naslib_accuracies,
    parse_json,
)
from archenc.datasets.transnas101 import ROWS, TASKS
from archenc.files.trusted import read_bytes
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.transnas101 import OPERATIONS as TRANSNAS_OPERATIONS
from archenc.spaces.transnas101 import TransNAS101Micro

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
SOURCES = ("scores_500", "scores_725", "scores_725_earlier")
"""The three versions; bit k of the column ``source`` says whether the k-th has a genotype."""

_PAIR = r"\([0-4], [0-6]\)"
_CELL = rf"[\[(]{_PAIR}(?:, {_PAIR}){{7}}[\])]"
_GENOTYPE = re.compile(rf"[\[(]{_CELL}, {_CELL}[\])]")  # lists in one file, tuples in the other
_INPUTS = np.arange(8) // 2 + 2  # nodes before the one that the edge enters


def nasbench301_surrogate(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of the predicted genotypes, in the order in which the files name them, and of those without a
    prediction.

    Args:
        files: the sources of the manifest by name.

    Raises:
        CorruptFile: which file is not what it should be, and why.
    """
    predicted: dict[str, dict[float, None]] = {}  # the distinct values of each genotype, in order
    found_in: dict[str, int] = {}
    for bit, source in enumerate(SOURCES):
        for genotype, value in _scores(files[source]).items():
            predicted.setdefault(genotype, {})[value] = None
            found_in[genotype] = found_in.get(genotype, 0) | 1 << bit
    values = [[*each, np.nan][:2] for each in predicted.values()]
    path = files["unlabelled"]
    unlabelled = _read_object(path)
    return {
        "naslib_nb301/surrogate.npz": {
            "genotype": _genotypes(files[SOURCES[0]], list(predicted)),
            "surrogate_val_acc": np.array(values, dtype=np.float64).reshape(-1, 2),
            "source": np.array(list(found_in.values()), dtype=np.uint8),
            "unlabelled_genotype": _genotypes(path, list(unlabelled.values())),
            "op_names": np.array(OPERATIONS),
        }
    }


def _read_object(path: Path) -> dict[str, object]:
    return json_object(path, parse_json(path, read_bytes(path, MAX_BYTES)), "it")


def _scores(path: Path) -> dict[str, float]:
    """The prediction of each genotype of one file, by its text."""
    content = _read_object(path)
    content = json_object(path, content.get("nasbench301", content), "'nasbench301'")
    entries = json_object(path, content.get("cifar10"), "'cifar10'")
    _genotypes(path, list(entries))
    records = [json_object(path, entry, f"the entry of {genotype}") for genotype, entry in entries.items()]
    values = json_floats(path, [record.get("val_accuracy") for record in records], "val_accuracy")
    return dict(zip(entries, values.tolist(), strict=True))


def _genotypes(path: Path, texts: list[object]) -> np.ndarray:
    """uint8 (N, 2, 8, 2): the (input node, operation) pairs of the normal and the reduction cell of genotypes
    written as lists.
    """
    for text in texts:
        if not isinstance(text, str) or not _GENOTYPE.fullmatch(text):
            raise corrupt(
                path, f"{text!r:.80} is no genotype of two cells of eight (input node, operation) pairs"
            )
    digits = [[int(digit) for digit in re.findall(r"\d", str(text))] for text in texts]
    genotypes = np.array(digits, dtype=np.uint8).reshape(-1, 2, 8, 2)
    inputs = genotypes[..., 0]
    if (inputs >= _INPUTS).any() or (inputs[..., ::2] == inputs[..., 1::2]).any():
        raise corrupt(path, "a genotype has an edge from a later node or two edges from the same node")
    return genotypes


def transnas101(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of all cells, sorted by their strings, with the validation metric of the last epoch of each
    task.

    Args:
        files: the source ``results`` of the manifest.

    Raises:
        CorruptFile: the file is not what it should be, and why.
    """
    found = naslib_accuracies(
        files["results"], "transbench101_micro", list(TASKS), len(TRANSNAS_OPERATIONS), ROWS
    )
    space = TransNAS101Micro()
    cells = space.enumerate()
    labels = {}
    for task, (ops, values) in found.items():
        row = ops @ len(TRANSNAS_OPERATIONS) ** np.arange(
            5, -1, -1
        )  # all combinations occur, and the enumeration counts through them
        labels[TASKS[task].field] = np.empty(ROWS, dtype=np.float32)
        labels[TASKS[task].field][row] = values
    return {
        "transnas101/micro.npz": {
            "ops": space.to_ops(cells).astype(np.uint8),
            "arch": np.array(space.format(cells), dtype="S"),
            "op_names": np.array(TRANSNAS_OPERATIONS),
            "edges": np.array(EDGES, dtype=np.uint8),
            **labels,
            "connected": is_connected(live_edges(cells).any(1)).numpy(),
        }
    }
