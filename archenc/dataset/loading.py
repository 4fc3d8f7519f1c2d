"""Data sets by name."""

from __future__ import annotations

from typing import Any

from archenc.dataset.citations import remind
from archenc.dataset.table import ArchDataset, Dedup
from archenc.registry import DATASETS


def load_dataset(
    name: str, label: str | None = None, *, dedup: Dedup = "keep", **options: Any
) -> ArchDataset:
    """Load a data set by name, with ``label`` selected instead of its default one.

    Isomorphic architectures stay rows of their own (``dedup="keep"``), or become one row with the labels of
    the ``"first"`` of them or the ``"mean"`` of all; see :meth:`archenc.dataset.ArchDataset.deduplicated`.

    The first time, a terminal is told what to cite (:func:`archenc.dataset.citations.remind`).
    """
    dataset = DATASETS.create(name, **options)
    remind(dataset)
    dataset = dataset.deduplicated(dedup)
    return dataset if label is None else dataset.with_label(label)
