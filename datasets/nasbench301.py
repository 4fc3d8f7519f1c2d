"""NAS-Bench-301: DARTS cells trained on CIFAR-10, from the official results, one JSON file a training.

Zela, Siems, Zimmer, Lukasik, Keuper, Hutter: "Surrogate NAS Benchmarks: Going Beyond the Limited Search
    Spaces of Tabular NAS
Benchmarks", ICLR 2022. These are the measured results on which the surrogates are fitted, not the surrogates.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.recipes.raw import read_files
from archenc.datasets.sources.tables import MAX_TABLE_BYTES, labelled, provenance
from archenc.errors import CorruptFile
from archenc.files.trusted import Field, find_table, open_npz, sha256
from archenc.graphs.hashing import class_numbers
from archenc.spaces.genotype.darts import DARTS

NAME = "nasbench301"
PATH = "nasbench301/results.npz"
MAX_FILE_BYTES = 4 * 2**20
MAX_FILES = 200_000
MAX_TOTAL_BYTES = 2**35

_RESULT = re.compile(r"(?s:.*)\.json")

_DARTS = "NetworkSelectorDatasetInfo:darts:"
_EDGE_OFFSETS = (0, 2, 5, 9)  # number of the first of the edges that enter node 2, 3, 4, 5


class Column(NamedTuple):
    """A number of a training: its label, and where it stands in the file."""

    label: str
    keys: tuple[str | int, ...]


COLUMNS = {
    "val_accuracy": Column("cifar10/val_accuracy@last/single", ("info", 0, "val_accuracy")),
    "test_accuracy": Column("cifar10/test_accuracy@last/single", ("test_accuracy",)),
    "train_seconds": Column("cifar10/train_seconds", ("runtime",)),
    "parameters": Column("cifar10/parameters", ("info", 0, "model_parameters")),
    "epochs": Column("cifar10/epochs", ("budget",)),
    "channels": Column("cifar10/channels", ("optimized_hyperparamater_config", f"{_DARTS}init_channels")),
    "layers": Column("cifar10/layers", ("optimized_hyperparamater_config", f"{_DARTS}layers")),
}
"""The spelling "hyperparamater" is that of the files."""

FIELDS: dict[str, Field] = {"genotype": ((None, 2, 8, 2), "u"), **dict.fromkeys(COLUMNS, ((None,), "f"))}


def load() -> ArchDataset:
    """Every training of the imported results, in the order of their files; the default label is
    ``cifar10/val_accuracy@last/single``.

    ``groups`` are the architectures: the same cell may have been trained more than once, or with other
    epochs, channels and layers.

    Raises:
        DataNotFound: the results were not imported.
        CorruptFile: the table is damaged.
    """
    path = find_table(
        PATH, f"run 'archenc data import {NAME} --file FILE' with a zip file of the official results"
    )
    table = open_npz(path, FIELDS, MAX_TABLE_BYTES)
    if len({len(values) for values in table.values()}) != 1:
        raise CorruptFile(f"the arrays in {path} differ in length; import the results again")
    graphs = DARTS().from_genotypes(table["genotype"])
    return ArchDataset(
        name=NAME,
        graphs=graphs,
        label=COLUMNS["val_accuracy"].label,
        **labelled(NAME, {column.label: table[name] for name, column in COLUMNS.items()}),
        groups=class_numbers(graphs.hash()),
        duplicates="kept",
        provenance=provenance(NAME, {str(path): sha256(path)}),
    )


# -- importing -----------------------------------------------------------------------------------------------


def build(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The table of the official results.

    Args:
        file: a folder with the JSON files anywhere below it, or a zip file of such a folder; other files are
            passed over.

    Raises:
        DataNotFound: a file cannot be read.
        CorruptFile: which file is not a result, and why.
    """
    files = read_files(
        file, _RESULT, max_bytes=MAX_FILE_BYTES, max_files=MAX_FILES, max_total=MAX_TOTAL_BYTES
    )
    rows = [_row(f"{file}/{name}", content) for name, content in files]
    if not rows:
        raise CorruptFile(
            f"there is no .json file in {file}; give the folder of the official results, or a zip file of it"
        )
    table: dict[str, np.ndarray] = {"genotype": np.array([genotype for genotype, _ in rows], dtype=np.uint8)}
    values = np.array([numbers for _, numbers in rows], dtype=np.float64)
    table |= {name: values[:, k].copy() for k, name in enumerate(COLUMNS)}
    return {PATH: table}


def _row(name: str, content: bytes) -> tuple[list[list[tuple[int, int]]], list[float]]:
    """The (input node, operation) pairs of both cells and the numbers of one training."""
    try:
        result = json.loads(content.decode("utf-8"))
        config = result["optimized_hyperparamater_config"]
        genotype = [_cell(config, cell) for cell in ("normal", "reduce")]
        numbers = [_number(result, column.keys) for column in COLUMNS.values()]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise CorruptFile(
            f"the file {name} is not a result of NAS-Bench-301 ({reason:.120}); give the official results"
        ) from None
    return genotype, numbers


def _cell(config: dict[str, Any], cell: str) -> list[tuple[int, int]]:
    """Edges are numbered by the node that they enter and by the one that they leave; a node's two inputs are
    named as ``"0_2"``.
    """
    edges = {
        int(key.removeprefix(prefix))
        for key in config
        if key.startswith(prefix := f"{_DARTS}edge_{cell}_") and config[key]
    }
    pairs = []
    for node, offset in enumerate(_EDGE_OFFSETS, start=2):
        inputs = "0_1" if node == 2 else config[f"{_DARTS}inputs_node_{cell}_{node}"]
        sources = [int(source) for source in inputs.split("_")]
        if len(sources) != 2 or not 0 <= sources[0] < sources[1] < node:
            raise ValueError(f"node {node} of the {cell} cell has the inputs {inputs!r}")
        for source in sources:
            pairs.append((source, _OPERATIONS[config[f"{_DARTS}edge_{cell}_{offset + source}"]]))
            edges.discard(offset + source)
    if edges:
        raise ValueError(f"the edge {min(edges)} of the {cell} cell enters no node")
    return pairs


def _number(result: Any, keys: tuple[str | int, ...]) -> float:
    for key in keys:
        result = result[key]
    if type(result) not in (int, float) or not abs(result) < 1e15:
        raise ValueError(f"{keys[-1]} is {result!r:.40} instead of a number")
    return float(result)


_OPERATIONS = {name: number for number, name in enumerate(DARTS().choices)}
