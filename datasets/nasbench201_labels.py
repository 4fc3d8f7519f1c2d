"""The labels of NAS-Bench-201: their names, the table columns that hold them, and what they mean."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A label's column in its table, what the label is, and the column's dtype kind."""

    field: str
    description: str
    kind: str = "f"


DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}

# How the networks were trained, and which images give the accuracy.
_HALF_VAL = "CIFAR-10 validation accuracy in percent: trained on 25,000 training images, scored on the other 25,000"
_HALF_TEST = "CIFAR-10 test accuracy in percent of the networks trained on only 25,000 training images"
_FULL_TEST = "CIFAR-10 test accuracy in percent: trained on all 50,000 training images"
_MEAN = "200 epochs, mean of the seeds that exist (up to three)"
_SINGLE = "200 epochs, one seed picked at random for each cell"
_SEED_888 = "200 epochs, seed 888"
_SHORT = "separate training of 12 epochs, seed 111"


def _held_out(dataset: str, part: str) -> str:
    half = {"val": "validation", "test": "test"}[part]
    return f"{DATASETS[dataset]} {half} accuracy in percent: trained on the training images, scored on one half of the held-out images"


def _accuracies() -> dict[str, Column]:
    columns = {
        "cifar10/val_accuracy@200/mean": Column("cifar10valid_val_acc_ep200_meanseeds", f"{_HALF_VAL}; {_MEAN}"),
        "cifar10/test_accuracy@200/mean": Column("cifar10_test_acc_ep200_meanseeds", f"{_FULL_TEST}; {_MEAN}"),
        "cifar10/test_accuracy@200/single": Column("cifar10_test_acc_ep200_oneseed", f"{_FULL_TEST}; {_SINGLE}"),
        "cifar10/val_accuracy@12/mean": Column(
            "cifar10valid_val_acc_ep12_meanseeds", f"{_HALF_VAL}; separate training of 12 epochs, mean of seeds 111 and 777"
        ),
        "cifar10/test_accuracy@12/seed111": Column("cifar10_test_acc_ep12_oneseed", f"{_FULL_TEST}; {_SHORT}"),
        "cifar10-valid/test_accuracy@200/mean": Column(
            "cifar10valid_test_acc_ep200_meanseeds_v10file", f"{_HALF_TEST}; {_MEAN}, from the first release of the official file"
        ),
        "cifar10-valid/test_accuracy@200/seed888": Column("cifar10valid_test_acc_ep200_seed888", f"{_HALF_TEST}; {_SEED_888}"),
    }
    for dataset in ("cifar100", "imagenet16-120"):
        field = dataset.replace("-", "_")
        for part in ("val", "test"):
            scored = _held_out(dataset, part)
            columns[f"{dataset}/{part}_accuracy@200/mean"] = Column(f"{field}_{part}_acc_ep200_meanseeds", f"{scored}; {_MEAN}")
            columns[f"{dataset}/{part}_accuracy@12/seed111"] = Column(f"{field}_{part}_acc_ep12_oneseed", f"{scored}; {_SHORT}")
        columns[f"{dataset}/test_accuracy@200/single"] = Column(f"{field}_test_acc_ep200_oneseed", f"{scored}; {_SINGLE}")
        columns[f"{dataset}/test_accuracy@200/seed888"] = Column(f"{field}_test_acc_ep200_seed888", f"{scored}; {_SEED_888}")
    return columns


def _sizes() -> dict[str, Column]:
    columns = {}
    for dataset, title in DATASETS.items():
        field = dataset.replace("-", "_")
        columns[f"{dataset}/parameters"] = Column(f"params_{field}", f"trainable parameters of the network for {title}", "i")
        columns[f"{dataset}/mflops"] = Column(f"mflops_{field}", f"million FLOPs of the network for {title}")
    return columns


SUITE_ZERO = ("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params", "plain", "snip", "synflow", "zen")


def _zero_cost() -> dict[str, Column]:
    columns = {}
    for dataset in ("cifar10", "imagenet16-120"):
        for proxy in SUITE_ZERO:
            unit = " in millions, by NASLib's counter" if proxy in ("flops", "params") else ""
            columns[f"{dataset}/zc-nbsz/{proxy}"] = Column(
                f"nbsz_{dataset.replace('-', '_')}_{proxy}",
                f"zero-cost proxy {proxy} of NAS-Bench-Suite-Zero on {DATASETS[dataset]}{unit}; "
                "NaN where it failed and for the 6,180 cells with unreachable operations",
            )
    meanings = {
        "score": "MONET's own training-free score, 0 for cells without a path from input to output",
        "naswot": "NASWOT as computed by MONET, minus infinity where its kernel matrix is singular",
        "nasi": "NASI as computed by MONET, NaN where it failed",
    }
    for dataset, title in DATASETS.items():
        for proxy, meaning in meanings.items():
            if (dataset, proxy) != ("imagenet16-120", "nasi"):
                columns[f"{dataset}/zc-monet/{proxy}"] = Column(f"monet_{dataset.replace('-', '_')}_{proxy}", f"{meaning}; on {title}")
    columns["cifar10/zc-nwot2020/hamming"] = Column(
        "nwot2020_cifar10_hamming", "first version of NASWOT (Mellor et al.) on CIFAR-10, NaN for cells without a path from input to output"
    )
    return columns


HW_LATENCY = ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")
HW_ENERGY = ("edgegpu", "eyeriss", "fpga")
HELP_BATCHED = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
HELP_SHARED = ("eyeriss", "fpga", "pixel3", "raspi4")  # the very columns of HW-NAS-Bench on CIFAR-10
HELP_SINGLE = ("essential_ph_1", "gold_6226", "gold_6240", "pixel2", "samsung_a50", "samsung_s7", "silver_4114", "silver_4210r")


def _hardware() -> dict[str, Column]:
    columns = {}
    for dataset, title in DATASETS.items():
        field = f"hwnas_{dataset.replace('-', '_')}"
        for device in HW_LATENCY:
            missing = ", NaN for 4,699 cells" if device == "edgetpu" else ""
            columns[f"{dataset}/latency_ms/hwnas-{device}"] = Column(
                f"{field}_{device}_latency_ms", f"latency in ms on {device} of the network for {title}, HW-NAS-Bench{missing}"
            )
        for device in HW_ENERGY:
            columns[f"{dataset}/energy_mj/hwnas-{device}"] = Column(
                f"{field}_{device}_energy_mj", f"energy in mJ on {device} of the network for {title}, HW-NAS-Bench"
            )
        columns[f"{dataset}/arithmetic_intensity/hwnas-eyeriss"] = Column(
            f"{field}_eyeriss_arithmetic_intensity", f"arithmetic intensity on eyeriss of the network for {title}, HW-NAS-Bench"
        )
    batched = [f"{device}_{batch}" for device in HELP_BATCHED for batch in (1, 32, 256)]
    for device in (*batched, *HELP_SINGLE, *HELP_SHARED):
        same = f", the same column as hwnas-{device}" if device in HELP_SHARED else ""
        columns[f"cifar10/latency_ms/help-{device.replace('_', '-')}"] = Column(
            f"help_{device}_latency_ms", f"latency in ms on {device} of the network for CIFAR-10, HELP{same}"
        )
    return columns


TABLE = _accuracies() | _sizes()
ZERO_COST = _zero_cost()
HARDWARE = _hardware()
