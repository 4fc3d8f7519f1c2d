"""The labels of NAS-Bench-201: their names, and the table columns that hold them; the manifest says what they
mean.
"""

from __future__ import annotations

from typing import NamedTuple


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
