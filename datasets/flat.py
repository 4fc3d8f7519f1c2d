"""Cells and chains as what they look like to someone who knows nothing of their graphs: a flat table of
choices.
"""

from __future__ import annotations

from dataclasses import replace

import archenc
from archenc.dataset import ArchDataset
from archenc.spaces.cell import CellSpace
from archenc.spaces.stages import StageSpace


def _flat(name: str) -> ArchDataset:
    """A data set whose architectures are choices of one operation at each of a number of places.

    Labels, groups and provenance are those of the data set.
    """
    dataset = archenc.load_dataset(name)
    space = dataset.space
    assert isinstance(space, CellSpace)
    numbers = space.to_ops(dataset.graphs)
    places = {"layers": numbers.shape[1], "attributes": {"op": list(space.operations)}}
    choices = StageSpace(f"{space.name}-choices", stages={"places": places})
    return replace(dataset, name=f"{name}-choices", graphs=choices.from_choices(numbers))


def load_nasbench201() -> ArchDataset:
    """``nasbench201`` as one choice of an operation for each of 6 places; its wiring is not to be seen."""
    return _flat("nasbench201")


def load_nasbench_macro() -> ArchDataset:
    """``nasbench-macro`` as one choice of a block for each of 8 places."""
    return _flat("nasbench-macro")


def load_transnas101() -> ArchDataset:
    """``transnas101-micro`` as one choice of an operation for each of 6 places."""
    return _flat("transnas101-micro")
