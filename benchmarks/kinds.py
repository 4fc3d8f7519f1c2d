"""Kinds of search spaces: which benchmarks tell something about which space."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archenc.spaces.base import Space

KINDS = {
    "edge-cell": "one cell, operations on edges (NAS-Bench-201)",
    "node-cell": "one cell, operations on nodes (NAS-Bench-101)",
    "cells": "two cells or more (DARTS)",
    "chain": "a chain of choices (NAS-Bench-Macro)",
}
"""What each kind is called."""

SPACES = {
    "nasbench101": "nasbench101",
    "nasbench101-full": "nasbench101",
    "nasbench201": "nasbench201",
    "nasbench201-analog": "nasbench201",
    "transnas101-micro": "transnas101-micro",
    "nasbench-graph": "nasbench-graph",
    "nasbench-nlp": "nasbench-nlp",
    "nasbench-macro": "nasbench-macro",
    "nasbench301": "darts",
    "nasbench301-surrogate": "darts",
    "nds-darts": "nds-darts",
    "nds-nasnet": "nasnet",
    "nds-amoeba": "amoeba",
    "nds-pnas": "pnas",
    "nds-enas": "enas",
}
"""The space of each data set with labels, known without loading it."""
LISTS_OF_CHOICES = (
    "hwgpt-s",
    "hwgpt-l",
    "nasbench201-choices",
    "nasbench-macro-choices",
    "transnas101-micro-choices",
)
"""Data sets of spaces of choices (:class:`archenc.spaces.stages.StageSpace`), which are chains."""


def kind_of_space(space: Space) -> str:
    """A key of :data:`KINDS`: by the number of cells, by where operations sit, and by whether wirings differ.

    >>> import archenc
    >>> kind_of_space(archenc.create_space("darts"))
    'cells'
    """
    if space.cells > 1:
        return "cells"
    if space.op_on == "edge":
        return "edge-cell"
    wirings = space.sample(16, 0).adjacency
    return "node-cell" if (wirings != wirings[:1]).any() else "chain"


def kind_of_dataset(name: str) -> str:
    """The kind of a data set's space; empty for a data set that is not known here."""
    from archenc.registry import create_space

    if name in LISTS_OF_CHOICES:
        return "chain"
    return kind_of_space(create_space(SPACES[name])) if name in SPACES else ""
