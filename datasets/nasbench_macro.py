"""NAS-Bench-Macro: all 6,561 chains of eight blocks, trained on CIFAR-10.

Su, Huang, Li, You, Wang, Qian, Zhang, Xu: "Prioritized Architecture Sampling with Monto-Carlo Tree Search",
    CVPR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.recipes.raw import MAX_BYTES, corrupt, json_floats, json_object, parse_json
from archenc.datasets.sources.tables import Table, check_texts, labelled, provenance
from archenc.files.trusted import read_bytes
from archenc.graphs.hashing import class_numbers
from archenc.spaces.chain import NASBenchMacro

NAME = "nasbench-macro"
ROWS, REPEATS = 6_561, 3
TEST = "cifar10/test_accuracy@50"

TABLE = Table(
    "nasbench_macro/cifar10.npz",
    {
        "arch": ((ROWS,), "S"),
        "ops": ((ROWS, 8), "u"),
        "test_acc": ((ROWS, REPEATS), "f"),
        "mean_acc": ((ROWS,), "f"),
        "params": ((ROWS,), "i"),
        "flops": ((ROWS,), "i"),
    },
    "e4432084324ebfaa4c3132d3c3dddd0c6292cca8df872adf7240bdabdec70449",
)


def load() -> ArchDataset:
    """All codes in ascending order; the default label is ``cifar10/test_accuracy@50/mean``.

    ``groups`` are the 3,969 networks that were trained: the codes of one network share its accuracies.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    table, files = TABLE.read()
    space = NASBenchMacro()
    graphs = space.from_ops(table["ops"])
    check_texts(graphs, table["arch"], next(iter(files)), "codes")
    labels = {
        f"{TEST}/mean": table["mean_acc"],
        "cifar10/parameters": table["params"],
        "cifar10/flops": table["flops"],
        **{f"{TEST}/repeat{k}": table["test_acc"][:, k] for k in range(REPEATS)},
    }
    return ArchDataset(
        name=NAME,
        graphs=graphs,
        label=f"{TEST}/mean",
        **labelled(NAME, labels),
        groups=class_numbers(space.to_ops(space.canonical(graphs))),
        duplicates="kept",
        provenance=provenance(NAME, files),
    )


# -- from the official JSON file -----------------------------------------------------------------------------

LAYERS = 8
OPERATIONS = ("Identity", "MB3_K3", "MB6_K5")


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of all 6,561 chains, sorted by their codes.

    Args:
        files: the source ``results`` of the manifest.

    Raises:
        CorruptFile: the file is not what it should be, and why.
    """
    path = files["results"]
    records = json_object(path, parse_json(path, read_bytes(path, MAX_BYTES)), "it")
    codes = sorted(records)
    if len(codes) != ROWS or not all(re.fullmatch(f"[0-2]{{{LAYERS}}}", code) for code in codes):
        raise corrupt(path, f"its {len(codes):,} keys are not the {ROWS:,} codes of {LAYERS} digits 0 to 2")
    results = [json_object(path, records[code], f"the entry of {code}") for code in codes]

    repeats = [accuracies for result in results for accuracies in _repeats(path, result)]
    column = {
        key: json_floats(path, [result.get(key) for result in results], key)
        for key in ("mean_acc", "std", "params", "flops")
    }
    for key in ("params", "flops"):
        if (column[key] % 1 != 0).any() or (np.abs(column[key]) >= 2**31).any():
            raise corrupt(path, f"{key} holds something other than whole numbers")
    arch = np.array(codes, dtype="S")
    return {
        "nasbench_macro/cifar10.npz": {
            "arch": arch,
            "ops": arch.view(np.uint8).reshape(ROWS, LAYERS) - np.uint8(ord("0")),
            "test_acc": json_floats(path, repeats, "test_acc").reshape(ROWS, REPEATS).astype(np.float32),
            "mean_acc": column["mean_acc"],
            "std": column["std"],
            "params": column["params"].astype(np.int32),
            "flops": column["flops"].astype(np.int32),
            "op_names": np.array(OPERATIONS),
        }
    }


def _repeats(path: Path, result: dict[str, object]) -> list[object]:
    accuracies = result.get("test_acc")
    if not isinstance(accuracies, list) or len(accuracies) != REPEATS:
        raise corrupt(path, f"test_acc {accuracies!r:.60} is not a list of {REPEATS} numbers")
    return accuracies
