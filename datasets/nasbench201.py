"""NAS-Bench-201: 15,625 cells trained on CIFAR-10, CIFAR-100 and ImageNet16-120.

Dong, Yang: "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020; Dong, Liu, Musial, Gabrys:
"NATS-Bench", TPAMI 2021 (topology space).
"""

from __future__ import annotations

import numpy as np

from archenc.dataset import ArchDataset, Provenance
from archenc.datasets.files import Table
from archenc.datasets.nasbench201_labels import HARDWARE, TABLE, ZERO_COST, Column
from archenc.errors import CorruptFile
from archenc.spaces.nasbench201 import NASBench201

ROWS = 15_625


def _table(path: str, columns: dict[str, Column], digest: str, **more: tuple[tuple[int | None, ...], str]) -> Table:
    fields = {column.field: ((ROWS,), column.kind) for column in columns.values()}
    return Table(f"nasbench201/{path}", {"arch": ((ROWS,), "S"), **fields, **more}, digest)


MAIN_TABLE = _table(
    "table.npz",
    TABLE,
    "df8540e1f8d89a1b5ee91307aad1f49f4408a264967b27f476aa871fb3bbd65e",
    ops=((ROWS, 6), "u"),
    iso_group=((ROWS,), "i"),
)
ZERO_COST_TABLE = _table("zero_cost.npz", ZERO_COST, "c53d8701841ef288c173d97ff3e154880f326a74befc80ac9c084ad1908d97ac")
HARDWARE_TABLE = _table("hardware.npz", HARDWARE, "ec127139b6ceed583e51a1a63e4b6c2401e90b6d6cb48feb26e1575e2b3ac7d7")

NOTES = (
    "Rows are in the order of the official index.",
    "341 cells have no path from input to output and stay at chance level: whether they are in a pool moves rank correlations visibly.",
    "There are 6,466 groups of isomorphic cells (attribute groups); every member was trained separately.",
    "CIFAR-10 validation accuracies belong to networks trained on 25,000 images, CIFAR-10 test accuracies to networks trained on 50,000.",
    "What NASLib and tables made from it call validation accuracy is the test accuracy of seed 888 (labels .../test_accuracy@200/seed888).",
    "Some cells were trained with fewer than three seeds for 200 epochs; how many is not recorded here.",
)


def load() -> ArchDataset:
    """All cells with every label of the tables found under the data root; the default label is ``cifar10/val_accuracy@200/mean``.

    ``nasbench201/table.npz`` is needed. The labels of ``zero_cost.npz`` and ``hardware.npz`` are there if the files are.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: a table is damaged or does not hold the published values.
    """
    table, files = MAIN_TABLE.read()
    arch = table["arch"]
    graphs = NASBench201().from_ops(table["ops"])
    if graphs.space.format(graphs) != [text.decode("ascii") for text in arch]:
        raise CorruptFile(f"the strings and the operations in {next(iter(files))} differ; get the table again")
    columns = dict(TABLE)
    labels = _labels(table, TABLE)
    for extra, more in ((ZERO_COST_TABLE, ZERO_COST), (HARDWARE_TABLE, HARDWARE)):
        if extra.exists():
            arrays, read = extra.read()
            if not np.array_equal(arrays["arch"], arch):
                raise CorruptFile(f"the rows of {next(iter(read))} are not those of {MAIN_TABLE.path}; get both tables again")
            columns |= more
            labels |= _labels(arrays, more)
            files |= read
    _blank_failures(labels)

    return ArchDataset(
        name="nasbench201",
        graphs=graphs,
        labels=labels,
        label="cifar10/val_accuracy@200/mean",
        descriptions={label: column.description for label, column in columns.items()},
        groups=table["iso_group"].astype(np.int64),
        duplicates="kept",
        provenance=Provenance(
            citation="Dong, Yang: NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020",
            licence="MIT (the official repositories); some of the extracts used here come from repositories without a stated licence",
            source="https://github.com/D-X-Y/NAS-Bench-201",
            files=files,
            notes=NOTES,
        ),
    )


def _labels(arrays: dict[str, np.ndarray], columns: dict[str, Column]) -> dict[str, np.ndarray]:
    return {label: arrays[column.field].astype(np.float64) for label, column in columns.items()}


def _blank_failures(labels: dict[str, np.ndarray]) -> None:
    """Put NaN where NAS-Bench-Suite-Zero stored a failure: -1e8, or in the same row 0 by proxies that are positive elsewhere."""
    for dataset in ("cifar10", "imagenet16-120"):
        if (nwot := labels.get(f"{dataset}/zc-nbsz/nwot")) is None:
            continue
        failed = nwot == -1e8
        for proxy in ("epe_nas", "jacov", "nwot", "zen", "grad_norm", "grasp", "plain", "snip", "synflow"):
            labels[f"{dataset}/zc-nbsz/{proxy}"][failed] = np.nan
