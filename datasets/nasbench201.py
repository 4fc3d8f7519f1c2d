"""NAS-Bench-201: 15,625 cells trained on CIFAR-10, CIFAR-100 and ImageNet16-120.

Dong, Yang: "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020; Dong,
    Liu, Musial, Gabrys:
"NATS-Bench", TPAMI 2021 (topology space).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import Group, Table, check_texts, labelled, provenance
from archenc.errors import CorruptFile
from archenc.files.trusted import Field
from archenc.spaces.nasbench201 import NASBench201


class Column(NamedTuple):
    """A label's column in its table, and the column's dtype kind."""

    field: str
    kind: str = "f"


DATASETS = ("cifar10", "cifar100", "imagenet16-120")


def _field(dataset: str) -> str:
    """A data set in the names of columns."""
    return dataset.replace("-", "_")


def _accuracies() -> dict[str, Column]:
    columns = {
        "cifar10/val_accuracy@200/mean": Column("cifar10valid_val_acc_ep200_meanseeds"),
        "cifar10/test_accuracy@200/mean": Column("cifar10_test_acc_ep200_meanseeds"),
        "cifar10/test_accuracy@200/single": Column("cifar10_test_acc_ep200_oneseed"),
        "cifar10/val_accuracy@12/mean": Column("cifar10valid_val_acc_ep12_meanseeds"),
        "cifar10/test_accuracy@12/seed111": Column("cifar10_test_acc_ep12_oneseed"),
        "cifar10-valid/test_accuracy@200/mean": Column("cifar10valid_test_acc_ep200_meanseeds_v10file"),
        "cifar10-valid/test_accuracy@200/seed888": Column("cifar10valid_test_acc_ep200_seed888"),
    }
    for dataset in DATASETS[1:]:
        field = _field(dataset)
        for part in ("val", "test"):
            columns[f"{dataset}/{part}_accuracy@200/mean"] = Column(f"{field}_{part}_acc_ep200_meanseeds")
            columns[f"{dataset}/{part}_accuracy@12/seed111"] = Column(f"{field}_{part}_acc_ep12_oneseed")
        columns[f"{dataset}/test_accuracy@200/single"] = Column(f"{field}_test_acc_ep200_oneseed")
        columns[f"{dataset}/test_accuracy@200/seed888"] = Column(f"{field}_test_acc_ep200_seed888")
    return columns


def _sizes() -> dict[str, Column]:
    columns = {}
    for dataset in DATASETS:
        columns[f"{dataset}/parameters"] = Column(f"params_{_field(dataset)}", "i")
        columns[f"{dataset}/mflops"] = Column(f"mflops_{_field(dataset)}")
    return columns


SUITE_ZERO = (
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm"),
    *("nwot", "params", "plain", "snip", "synflow", "zen"),
)


def _zero_cost() -> dict[str, Column]:
    columns = {}
    for dataset in ("cifar10", "imagenet16-120"):
        for proxy in SUITE_ZERO:
            columns[f"{dataset}/zc-nbsz/{proxy}"] = Column(f"nbsz_{_field(dataset)}_{proxy}")
    for dataset in DATASETS:
        for proxy in ("score", "naswot", "nasi"):
            if (dataset, proxy) != ("imagenet16-120", "nasi"):
                columns[f"{dataset}/zc-monet/{proxy}"] = Column(f"monet_{_field(dataset)}_{proxy}")
    return columns | {"cifar10/zc-nwot2020/hamming": Column("nwot2020_cifar10_hamming")}


HW_LATENCY = ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")
HW_ENERGY = ("edgegpu", "eyeriss", "fpga")
HELP_BATCHED = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
HELP_SHARED = ("eyeriss", "fpga", "pixel3", "raspi4")  # the very columns of HW-NAS-Bench on CIFAR-10
HELP_SINGLE = (
    *("essential_ph_1", "gold_6226", "gold_6240", "pixel2"),
    *("samsung_a50", "samsung_s7", "silver_4114", "silver_4210r"),
)


def _hardware() -> dict[str, Column]:
    columns = {}
    for dataset in DATASETS:
        field = f"hwnas_{_field(dataset)}"
        for device in HW_LATENCY:
            columns[f"{dataset}/latency_ms/hwnas-{device}"] = Column(f"{field}_{device}_latency_ms")
        for device in HW_ENERGY:
            columns[f"{dataset}/energy_mj/hwnas-{device}"] = Column(f"{field}_{device}_energy_mj")
        columns[f"{dataset}/arithmetic_intensity/hwnas-eyeriss"] = Column(
            f"{field}_eyeriss_arithmetic_intensity"
        )
    batched = [f"{device}_{batch}" for device in HELP_BATCHED for batch in (1, 32, 256)]
    for device in (*batched, *HELP_SINGLE, *HELP_SHARED):
        columns[f"cifar10/latency_ms/help-{device.replace('_', '-')}"] = Column(f"help_{device}_latency_ms")
    return columns


TABLE = _accuracies() | _sizes()
ZERO_COST = _zero_cost()
HARDWARE = _hardware()


ROWS = 15_625


def _fields(columns: Iterable[Column]) -> dict[str, Field]:
    return {column.field: ((ROWS,), column.kind) for column in columns}


def _table(
    path: str, columns: dict[str, Column], digest: str, optional: dict[str, tuple[str, ...]], **more: Field
) -> Table:
    """A table with a column for each label; ``optional`` has the groups of labels that it may lack, by their
    digests.
    """
    groups = [
        Group(_fields(columns[label] for label in labels), group_digest)
        for group_digest, labels in optional.items()
    ]
    lacking = {label for labels in optional.values() for label in labels}
    needed = {
        "arch": ((ROWS,), "S"),
        **_fields(column for label, column in columns.items() if label not in lacking),
        **more,
    }
    return Table(f"nasbench201/{path}", needed, digest, tuple(groups))


EPOCHS_12 = (
    "cifar10/val_accuracy@12/mean",
    "cifar100/val_accuracy@12/seed111",
    "imagenet16-120/val_accuracy@12/seed111",
)
MAIN_TABLE = _table(
    "table.npz",
    TABLE,
    "a57e6aa12c05d103d7795b2e8c5675b5a1a605efa3a9c3d20ffb21efdd385367",
    {
        "96ef21ea3e7eaf55cb96828399d5e80252d90618108d6f07579c1ad0c96a291c": EPOCHS_12,
        "2d5a61acbd5b00a7dc8b6b0982f70ad4c09db16aa883edbf1cd95af31f683be0": (
            "cifar10-valid/test_accuracy@200/mean",
        ),
    },
    ops=((ROWS, 6), "u"),
    iso_group=((ROWS,), "i"),
)
ZERO_COST_TABLE = _table(
    "zero_cost.npz",
    ZERO_COST,
    "e20e17c2ae3918c7b585fe8d235eac4eddc5a31ce5b604ee0e9139f3033ad39e",
    {"b2c68f006ec541726380253b579c2b2be2c7b51bcc9abf96b71a33fe947f7f65": ("cifar10/zc-nwot2020/hamming",)},
)
HARDWARE_TABLE = _table(
    "hardware.npz", HARDWARE, "ec127139b6ceed583e51a1a63e4b6c2401e90b6d6cb48feb26e1575e2b3ac7d7", {}
)


def load() -> ArchDataset:
    """All cells with every label of the tables found under the data root; the default label is
    ``cifar10/val_accuracy@200/mean``.

    ``nasbench201/table.npz`` is needed. The labels of ``zero_cost.npz`` and ``hardware.npz`` are there if the
    files are. Labels whose only public sources are pickled tables are not in fetched tables; a note names
    those that are missing.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: a table is damaged or does not hold the published values.
    """
    table, files = MAIN_TABLE.read()
    arch = table["arch"]
    graphs = NASBench201().from_ops(table["ops"])
    check_texts(graphs, arch, next(iter(files)), "strings")
    labels = _labels(table, TABLE)
    columns = dict(TABLE)
    for extra, more in ((ZERO_COST_TABLE, ZERO_COST), (HARDWARE_TABLE, HARDWARE)):
        if extra.exists():
            arrays, read = extra.read()
            if not np.array_equal(arrays["arch"], arch):
                raise CorruptFile(
                    f"the rows of {next(iter(read))} are not those of {MAIN_TABLE.path}; get both tables "
                    "again"
                )
            columns |= more
            labels |= _labels(arrays, more)
            files |= read
    _blank_failures(labels)
    absent = ", ".join(label for label in columns if label not in labels)
    notes = (
        [f"Not in these tables, as their public sources are pickled tables, which are not fetched: {absent}."]
        if absent
        else []
    )

    return ArchDataset(
        name="nasbench201",
        graphs=graphs,
        label="cifar10/val_accuracy@200/mean",
        **labelled("nasbench201", labels),
        groups=table["iso_group"].astype(np.int64),
        duplicates="kept",
        provenance=provenance("nasbench201", files, *notes),
    )


def _labels(arrays: dict[str, np.ndarray], columns: dict[str, Column]) -> dict[str, np.ndarray]:
    return {
        label: arrays[column.field].astype(np.float64)
        for label, column in columns.items()
        if column.field in arrays
    }


def _blank_failures(labels: dict[str, np.ndarray]) -> None:
    """Put NaN where NAS-Bench-Suite-Zero stored a failure: -1e8, or in the same row 0 by proxies that are
    positive elsewhere.
    """
    for dataset in ("cifar10", "imagenet16-120"):
        if (nwot := labels.get(f"{dataset}/zc-nbsz/nwot")) is None:
            continue
        failed = nwot == -1e8
        for proxy in ("epe_nas", "jacov", "nwot", "zen", "grad_norm", "grasp", "plain", "snip", "synflow"):
            labels[f"{dataset}/zc-nbsz/{proxy}"][failed] = np.nan
