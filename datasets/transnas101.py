"""TransNAS-Bench-101, cell level: 4,096 cells trained on seven vision tasks.

Duan, Chen, Xu, Chen, Liang, Zhang, Li: "TransNAS-Bench-101: Improving Transferability and Generalizability of
    Cross-Task Neural
Architecture Search", CVPR 2021.
"""

from __future__ import annotations

from typing import NamedTuple

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import Table, check_texts, labelled, provenance
from archenc.graphs.hashing import class_numbers
from archenc.spaces.transnas101 import TransNAS101Micro

NAME = "transnas101-micro"
ROWS = 4_096


class Task(NamedTuple):
    """A task's label: the metric in its name, and the table's column."""

    metric: str
    field: str


TASKS = {
    "class_scene": Task("val_accuracy", "class_scene_valid_top1_final"),
    "class_object": Task("val_accuracy", "class_object_valid_top1_final"),
    "room_layout": Task("val_negative_loss", "room_layout_valid_neg_loss_final"),
    "jigsaw": Task("val_accuracy", "jigsaw_valid_top1_final"),
    "segmentsemantic": Task("val_pixel_accuracy", "segmentsemantic_valid_acc_final"),
    "normal": Task("val_ssim", "normal_valid_ssim_final"),
    "autoencoder": Task("val_ssim", "autoencoder_valid_ssim_final"),
}

TABLE = Table(
    "transnas101/micro.npz",
    {"arch": ((ROWS,), "S"), "ops": ((ROWS, 6), "u")}
    | {task.field: ((ROWS,), "f") for task in TASKS.values()},
    "e0e31a52c14f7211d0a719620bf6697bf909cf8375edec10a33a1ac0f4293b10",
)


def load() -> ArchDataset:
    """All cells with a label for each task; the default label is ``class_scene/val_accuracy@last/single``.

    ``groups`` are the 937 classes of cells that compute the same: isomorphic when simplified.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    table, files = TABLE.read()
    space = TransNAS101Micro()
    graphs = space.from_ops(table["ops"])
    check_texts(graphs, table["arch"], next(iter(files)), "strings")
    labels = {f"{name}/{task.metric}@last/single": table[task.field] for name, task in TASKS.items()}
    return ArchDataset(
        name=NAME,
        graphs=graphs,
        label="class_scene/val_accuracy@last/single",
        **labelled(NAME, labels),
        groups=class_numbers(space.hash(space.simplify(space.node_form(graphs)))),
        duplicates="kept",
        provenance=provenance(NAME, files),
    )
