"""Architectures of one space with named labels, published splits and provenance."""

from archenc.dataset.loading import load_dataset
from archenc.dataset.splits import Split
from archenc.dataset.table import (
    ArchDataset,
    Dedup,
    Duplicates,
    Missing,
    Provenance,
    averaged_graphs,
    group_means,
)

__all__ = [
    "ArchDataset",
    "Dedup",
    "Duplicates",
    "Missing",
    "Provenance",
    "Split",
    "averaged_graphs",
    "group_means",
    "load_dataset",
]
