"""DARTS genotypes with CIFAR-10 accuracies that the surrogate of NAS-Bench-301 predicts: nobody trained these
networks.

Zela, Siems, Zimmer, Lukasik, Keuper, Hutter: "Surrogate NAS Benchmarks: Going Beyond the Limited Search
    Spaces of Tabular NAS
Benchmarks", ICLR 2022; the genotypes and predictions are those that NASLib stores.
"""

from __future__ import annotations

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import Table, labelled, provenance
from archenc.errors import CorruptFile
from archenc.graphs import ArchGraphs
from archenc.spaces.genotype.darts import DARTS

NAME = "nasbench301-surrogate"
LABEL = "cifar10/surrogate_val_accuracy@nb301-xgb-v1.0"
ROWS, UNLABELLED_ROWS = 1_218, 11_221

TABLE = Table(
    "naslib_nb301/surrogate.npz",
    {
        "genotype": ((ROWS, 2, 8, 2), "u"),
        "surrogate_val_acc": ((ROWS, 2), "f"),
        "unlabelled_genotype": ((UNLABELLED_ROWS, 2, 8, 2), "u"),
        "op_names": ((7,), "U"),
    },
    "65cae1209bb6f5d0c4a73e9d29092c9a00e36e9d730f76d1c3bde47a21661740",
)


def load() -> ArchDataset:
    """The 1,218 genotypes with a prediction, which is the only label:
    ``cifar10/surrogate_val_accuracy@nb301-xgb-v1.0``.

    Seven of them were stored with two values that differ by 0.01 to 0.17; the label is the first.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    table, graphs, files = _read("genotype")
    return ArchDataset(
        name=NAME,
        graphs=graphs,
        label=LABEL,
        **labelled(NAME, {LABEL: table["surrogate_val_acc"][:, 0]}),
        duplicates="none",
        provenance=provenance(NAME, files),
    )


def load_unlabelled() -> ArchDataset:
    """11,221 more genotypes, none of them among those of :func:`load`, without labels: for pretraining.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    _, graphs, files = _read("unlabelled_genotype")
    return ArchDataset(
        name="nasbench301-unlabelled",
        graphs=graphs,
        labels={},
        label="",
        duplicates="none",
        provenance=provenance(NAME, files),
    )


def _read(field: str) -> tuple[dict[str, np.ndarray], ArchGraphs, dict[str, str]]:
    table, files = TABLE.read()
    space = DARTS()
    if tuple(table["op_names"].tolist()) != space.choices:
        raise CorruptFile(
            f"the operations in {next(iter(files))} are not those of {space.name} in their order; get the "
            "table again"
        )
    return table, space.from_genotypes(table[field]), files
