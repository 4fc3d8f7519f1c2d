"""NAS-Bench-101: measured cells on CIFAR-10, and all 423,624 cells of the space without accuracies.

Ying, Klein, Christiansen, Real, Murphy, Hutter: "NAS-Bench-101: Towards Reproducible Neural Architecture
    Search", ICML 2019.
"""

from __future__ import annotations

import numpy as np

from archenc.dataset import ArchDataset, Provenance
from archenc.dataset.splits import Split
from archenc.datasets.sources.tables import MAX_TABLE_BYTES, Table, labelled, provenance
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.trusted import atomic_write, cache_root, data_root, open_npz, sha256
from archenc.graphs import ArchGraphs
from archenc.spaces.nasbench101 import NASBench101

BUDGETS = (4, 12, 36, 108)
REPEATS = 3
IMAGES = 9_984  # images on which every accuracy was counted
MISSING = 65_535
PARAMETERS = "cifar10/parameters"
CELLS, UNIFORM, SPACE, TA7290 = 51_497, 30_001, 423_624, 7_290

CELLS_TABLE = Table(
    "nasbench101/cells.npz",
    {
        "n_nodes": ((CELLS,), "u"),
        "adjacency": ((CELLS, 7, 7), "u"),
        "ops": ((CELLS, 7), "i"),
        "params": ((CELLS,), "i"),
        "val_count": ((CELLS, len(BUDGETS), REPEATS), "u"),
        "test_count": ((CELLS, len(BUDGETS), REPEATS), "u"),
        "val_single_count": ((CELLS, len(BUDGETS)), "u"),
        "train_time_108_single": ((CELLS,), "f"),
    },
    "648ca80ba15efcda5141d5779d69d87a2a620fb92fb99f890ea03e2405dc0da9",
)
UNIFORM_TABLE = Table(
    "nasbench101/cells.npz",
    {
        "n_nodes": ((UNIFORM,), "u"),
        "adjacency": ((UNIFORM, 7, 7), "u"),
        "ops": ((UNIFORM, 7), "i"),
        "params": ((UNIFORM,), "i"),
        "val_single_count": ((UNIFORM, len(BUDGETS)), "u"),
        "train_time_108_single": ((UNIFORM,), "f"),
    },
    "14a66ce7d0ccbe6a5c77cde1b291b988a76fb2ebda7482a23ac9449f8f0fcf70",
)
SPLITS_TABLE = Table(
    "nasbench101/splits.npz",
    {
        "ta7290_train_rows": ((TA7290,), "i"),
        "ta7290_test_rows": ((TA7290,), "i"),
        "uniform": ((CELLS,), "b"),
        "full_metrics": ((CELLS,), "b"),
    },
    "6859db31b41457d84192639c73bbea8c32b58513d4bdb08aa16370ea8b5cf294",
)
SPACE_TABLE = Table(
    "nasbench101/space.npz",
    {
        "n_nodes": ((SPACE,), "u"),
        "adj_bits": ((SPACE,), "u"),
        "ops5": ((SPACE, 5), "u"),
        "params": ((SPACE,), "i"),
    },
    "a7738c176062079c6f7c70fe6ef26b3db20caba9c43d5a3428747cb9fcc40634",
)

WHOLE_NOTES = (
    "The table is a part of the benchmark: 30,001 cells that are in effect a uniform sample (subset "
    "'uniform': one validation repeat, "
    "no test accuracy) and 23,142 cells of a structured subspace with all repeats (subset 'full_metrics'); "
    "1,646 are in both.",
    "Split ta7290 (TA-GATES, NeurIPS 2022): both halves are 30 wirings x 3^5 operations and share no wiring, "
    "so it measures "
    "extrapolation to unseen wirings; the order of its pool is the published one. Subset ta14580 holds the "
    "cells of both halves.",
)
UNIFORM_NOTES = (
    "The table is a part of the benchmark: 30,001 cells that are in effect a uniform sample, with one of "
    "three validation repeats for each "
    "budget and without test accuracies; nasbench101-full has all repeats of all cells and the split of "
    "TA-GATES.",
)


def load() -> ArchDataset:
    """The measured cells: 51,497 in the whole table, 30,001 in the one that is made from public files.

    The default label is ``cifar10/val_accuracy@108/mean`` in the whole table. A label ``.../mean`` is NaN
    where one of the three repeats is missing. The repeats ``repeat0`` to ``repeat2`` have an order within a
    cell that carries no meaning across cells; ``single`` is one of them, drawn at random for each cell and
    budget, and the only one in the table from public files.

    Raises:
        DataNotFound: ``nasbench101/cells.npz`` is not under the data root, or the whole table is there
            without its ``splits.npz``.
        CorruptFile: a table is damaged or does not hold the published values.
    """
    return _uniform() if _rows() == UNIFORM else _whole()


def _rows() -> int:
    """Cells of the table that is there; -1 where there is none or it is damaged, which reading it will
    tell.
    """
    try:
        return len(
            open_npz(data_root() / CELLS_TABLE.path, {"n_nodes": ((None,), "u")}, MAX_TABLE_BYTES)["n_nodes"]
        )
    except (DataNotFound, CorruptFile):
        return -1


def _whole() -> ArchDataset:
    cells, files = CELLS_TABLE.read()
    parts, more_files = SPLITS_TABLE.read()
    ta7290 = Split("ta7290", parts["ta7290_train_rows"], parts["ta7290_test_rows"])
    subsets = {name: np.flatnonzero(parts[name]) for name in ("uniform", "full_metrics")}
    return _dataset(
        cells,
        label="cifar10/val_accuracy@108/mean",
        splits={"ta7290": ta7290},
        subsets=subsets | {"ta14580": np.union1d(ta7290.pool, ta7290.test)},
        provenance=provenance("nasbench101", files | more_files, *WHOLE_NOTES),
    )


def _uniform() -> ArchDataset:
    cells, files = UNIFORM_TABLE.read()
    return _dataset(
        cells,
        label="cifar10/val_accuracy@108/single",
        splits={},
        subsets={"uniform": np.arange(UNIFORM)},
        provenance=provenance("nasbench101", files, *UNIFORM_NOTES),
    )


def _dataset(
    cells: dict[str, np.ndarray],
    *,
    label: str,
    splits: dict[str, Split],
    subsets: dict[str, np.ndarray],
    provenance: Provenance,
) -> ArchDataset:
    return ArchDataset(
        name="nasbench101",
        graphs=NASBench101().from_arrays(cells["adjacency"], cells["ops"], cells["n_nodes"]),
        label=label,
        **labelled("nasbench101", _labels(cells)),
        splits=splits,
        subsets=subsets,
        duplicates="none",
        provenance=provenance,
    )


def percent(counts: np.ndarray) -> np.ndarray:
    """Accuracies from numbers of correctly classified images; NaN where one is missing."""
    return np.where(counts == MISSING, np.nan, counts * (100 / IMAGES))


def repeat_labels(part: str, epochs: int, counts: np.ndarray) -> dict[str, np.ndarray]:
    """The labels of all repeats: their mean, and each, from the numbers of correctly classified images (N,
    3).

    Args:
        part: ``"val"`` or ``"test"``.
        epochs: of the training.
        counts: what was counted.
    """
    repeats, name = percent(counts), f"cifar10/{part}_accuracy@{epochs}"
    return {f"{name}/mean": repeats.mean(axis=1)} | {
        f"{name}/repeat{k}": repeats[:, k] for k in range(REPEATS)
    }


def _labels(cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels: dict[str, np.ndarray] = {}
    for part in ("val", "test"):
        for at, epochs in enumerate(BUDGETS):
            if f"{part}_count" in cells:
                labels |= repeat_labels(part, epochs, cells[f"{part}_count"][:, at])
            if part == "val":
                labels[f"cifar10/val_accuracy@{epochs}/single"] = percent(cells["val_single_count"][:, at])
    return labels | {
        PARAMETERS: cells["params"],
        "cifar10/train_seconds@108/single": cells["train_time_108_single"],
    }


# -- the whole space -----------------------------------------------------------------------------------------


def load_space() -> ArchDataset:
    """All 423,624 cells, in the order of the official records' hash, with ``cifar10/parameters`` as the only
    label.

    Where ``nasbench101/space.npz`` is not under the data root, the space is enumerated (which takes half a
    minute), kept in the per-user cache folder, and has no labels.

    Raises:
        CorruptFile: the table is damaged or does not hold the published values.
    """
    labels: dict[str, np.ndarray] = {}
    try:
        arrays, files = SPACE_TABLE.read()
        graphs = NASBench101().from_bits(arrays["n_nodes"], arrays["adj_bits"], arrays["ops5"])
        labels[PARAMETERS] = arrays["params"]
    except DataNotFound:
        graphs, files = _enumerated()
    return ArchDataset(
        name="nasbench101-space",
        graphs=graphs,
        label=next(iter(labels), ""),
        **labelled("nasbench101-space", labels),
        duplicates="none",
        provenance=provenance("nasbench101-space", files),
    )


def _enumerated() -> tuple[ArchGraphs, dict[str, str]]:
    """The enumerated space, from the cache folder where it was kept before."""
    space, path = NASBench101(), cache_root() / "nasbench101-space.npz"
    nodes = space.max_nodes
    fields = {"adjacency": ((SPACE, nodes, nodes), "u"), "ops": ((SPACE, nodes), "u")}
    try:
        arrays = open_npz(path, fields, SPACE * nodes * (nodes + 2))
        return space.graphs(arrays["adjacency"], arrays["ops"]), {str(path): sha256(path)}
    except (DataNotFound, CorruptFile):  # not there yet, or not whole: make it (again)
        graphs = space.enumerate()
    with atomic_write(path) as temporary:
        np.savez_compressed(temporary, adjacency=graphs.adjacency.numpy(), ops=graphs.ops.numpy())
    return graphs, {str(path): sha256(path)}
