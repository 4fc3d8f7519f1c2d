"""A data set of one's own: cells with a label each, and a split.

Run it by ``python examples/dataset.py``; it checks the contract, then learns from the data set.
"""

from __future__ import annotations

import numpy as np

import archenc
from archenc.dataset import Provenance, Split
from archenc.registry import DATASETS
from archenc.testing import check_dataset

LABEL = "made-up/val_accuracy@12/seed0"


def load() -> archenc.ArchDataset:
    """300 cells of NAS-Bench-201 with a made-up accuracy in percent, higher where there are more FLOPs."""
    space = archenc.create_space("nasbench201")
    graphs = space.sample(300, seed=0)
    rng = np.random.default_rng(0)
    accuracy = 60 + 30 * np.tanh(space.costs(graphs)["flops"] / 1e8) + rng.normal(size=len(graphs))
    order = rng.permutation(len(graphs))
    return archenc.ArchDataset(
        "made-up",
        graphs,
        {LABEL: np.clip(accuracy, 0, 100)},
        LABEL,
        descriptions={LABEL: "made-up validation accuracy in percent after 12 epochs, one seed"},
        splits={"thirds": Split("thirds", pool=order[:200], test=order[200:])},
        provenance=Provenance(citation="none: made up", licence="CC0"),
    )


def check() -> None:
    """Raise :class:`AssertionError` with a sentence if the contract is broken."""
    DATASETS.register("made-up", load)
    try:
        check_dataset("made-up")
    finally:
        DATASETS.unregister("made-up")


if __name__ == "__main__":
    check()
    train, test = load().split("thirds", train_size=100, seed=0)
    predictor = archenc.Predictor("op-count", "ridge", "mse", random_state=0).fit(train.graphs, train.y)
    print(f"Kendall's tau on {len(test)} cells after 100 labels: {predictor.score(test.graphs, test.y):.3f}")
