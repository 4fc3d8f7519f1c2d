"""NAS-Bench-101, all of it: 423,624 cells with three trainings each, from the official file.

Ying, Klein, Christiansen, Real, Murphy, Hutter: "NAS-Bench-101: Towards Reproducible Neural Architecture
    Search", ICML 2019.
"""

from __future__ import annotations

import numpy as np

from archenc.dataset import ArchDataset
from archenc.dataset.splits import Split
from archenc.datasets.nasbench101 import PARAMETERS, REPEATS, SPACE, SPACE_TABLE, TA7290, repeat_labels
from archenc.datasets.sources.manifest import remedy_for
from archenc.datasets.sources.tables import MAX_TABLE_BYTES, Table, labelled, provenance
from archenc.errors import CorruptFile
from archenc.files.trusted import content_digest, find_table, open_npz, sha256
from archenc.spaces.nasbench101 import NASBench101

NAME = "nasbench101-full"
PATH = "nasbench101/full.npz"
PUBLISHED = {
    "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1": "nasbench_only108.tfrecord",
    "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c": "nasbench_full.tfrecord",
}
SPLIT_TABLE = Table(
    "nasbench101/splits.npz",
    {"ta7290_train_space_index": ((TA7290,), "i"), "ta7290_test_space_index": ((TA7290,), "i")},
    "a52e6ab5378c8fd337f72657a918c7aae3543469a9b914f3de2a21f4a06ad268",
)


def load() -> ArchDataset:
    """All cells; the default label is ``cifar10/val_accuracy@108/mean``.

    Where ``nasbench101/splits.npz`` is under the data root, which ``archenc data fetch nasbench101`` brings,
    the data set has the published split ``ta7290``.

    Raises:
        DataNotFound: ``nasbench101/full.npz`` is not under the data root.
        CorruptFile: the table is damaged, or its cells are not those of the space.
    """
    path = find_table(PATH, remedy_for(PATH))
    one = (SPACE, None, REPEATS)
    trained = {
        "epochs": ((None,), "i"),
        "val_count": (one, "u"),
        "test_count": (one, "u"),
        "train_seconds": (one, "f"),
    }
    table = open_npz(path, {**SPACE_TABLE.fields, **trained, "source_sha256": ((32,), "u")}, MAX_TABLE_BYTES)
    budgets = table["epochs"].tolist()
    if content_digest({name: table[name] for name in SPACE_TABLE.fields}) != SPACE_TABLE.digest:
        raise CorruptFile(f"the cells in {path} are not those of the space; {remedy_for(PATH)}")
    if 108 not in budgets or any(
        table[name].shape[1] != len(budgets) for name in ("val_count", "test_count", "train_seconds")
    ):
        raise CorruptFile(
            f"the trainings in {path} are not those of the epochs {budgets}; {remedy_for(PATH)}"
        )
    labels = _labels(table)
    files, splits = {str(path): sha256(path)}, {}
    if SPLIT_TABLE.exists():
        halves, more_files = SPLIT_TABLE.read()
        files |= more_files
        splits["ta7290"] = Split(
            "ta7290", halves["ta7290_train_space_index"], halves["ta7290_test_space_index"]
        )
    return ArchDataset(
        name=NAME,
        graphs=NASBench101().from_bits(table["n_nodes"], table["adj_bits"], table["ops5"]),
        label="cifar10/val_accuracy@108/mean",
        **labelled(NAME, labels),
        splits=splits,
        duplicates="none",
        provenance=provenance(NAME, files, _origin(table["source_sha256"].tobytes().hex())),
    )


def _origin(digest: str) -> str:
    if digest in PUBLISHED:
        return f"The table was made from the published {PUBLISHED[digest]}."
    return (
        f"The table was made from a file with SHA-256 {digest}, which is not the one of a published file: "
        "all cells, hashes, parameters "
        "and numbers of trainings are right, but nothing vouches for the accuracies."
    )


def _labels(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels: dict[str, np.ndarray] = {}
    for at, epochs in enumerate(table["epochs"].tolist()):
        for part in ("val", "test"):
            labels |= repeat_labels(part, epochs, table[f"{part}_count"][:, at])
        seconds = table["train_seconds"][:, at].astype(np.float64)
        labels[f"cifar10/train_seconds@{epochs}/mean"] = seconds.mean(axis=1)
    return labels | {PARAMETERS: table["params"]}
