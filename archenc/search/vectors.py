"""Architectures as vectors of whole numbers, where a space has such a form: Genetic CNN, NSGA-Net, lists of
choices, cells of a fixed wiring.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.errors import InvalidParameter
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.spaces.genetic_cnn import WiredStageSpace
from archenc.spaces.nsga_net import NSGANetMicro
from archenc.spaces.stages import StageSpace


def to_vectors(space: Space, graphs: Any) -> np.ndarray | None:
    """Architectures as whole numbers (N, L), or None where a space has no such form."""
    if isinstance(space, WiredStageSpace):
        return np.asarray(space.to_bits(graphs))
    if isinstance(space, NSGANetMicro):
        return np.asarray(space.to_genomes(graphs))
    if isinstance(space, StageSpace):
        numbers = space.to_choices(graphs).astype(np.int64)
        return np.asarray(np.maximum(numbers, 0))  # what does not count may be anything
    if isinstance(space, CellSpace) and space.topology is not None:
        return space.to_ops(graphs)
    return None


def from_vectors(space: Any, vectors: np.ndarray) -> Any:
    """What :func:`to_vectors` was given."""
    if isinstance(space, WiredStageSpace):
        return space.from_bits(vectors)
    if isinstance(space, NSGANetMicro):
        return space.from_genomes(vectors)
    if isinstance(space, StageSpace):
        return space.from_choices(vectors)
    if isinstance(space, CellSpace):
        return space.from_ops(vectors)
    raise InvalidParameter(f"the space {space.name!r} has no vectors; use its graphs")


def vector_choices(space: Space) -> np.ndarray | None:
    """(L,): how many numbers may stand at each place of a vector, or None where a space has no such form."""
    if isinstance(space, WiredStageSpace):
        return np.full(sum(space.stage_lengths), 2)
    if isinstance(space, NSGANetMicro):
        return space.genome_choices
    if isinstance(space, StageSpace):
        return np.array([len(one.choices) for one in space.layout.columns])
    if isinstance(space, CellSpace) and space.topology is not None:
        return np.full(space.cells * space.places, len(space.operations))
    return None
