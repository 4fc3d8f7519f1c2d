"""NAS-Bench-Macro: all 6,561 chains of eight blocks, trained on CIFAR-10.

Su, Huang, Li, You, Wang, Qian, Zhang, Xu: "Prioritized Architecture Sampling with Monto-Carlo Tree Search",
    CVPR 2021.
"""

from __future__ import annotations

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import Table, check_texts, labelled, provenance
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
