"""Crossover and mutation of whole batches of genomes, as evolutionary searches use them.

A genome is a vector of whole numbers, one architecture a row: the bits of Genetic CNN and NSGA-Net macro
(:meth:`archenc.spaces.genetic_cnn.WiredStageSpace.to_bits`), the numbers of NSGA-Net micro, the operations of
a chain (:meth:`archenc.spaces.cell.CellSpace.to_ops`). Children of valid parents are valid, as every number
keeps its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from archenc.errors import InvalidParameter
from archenc.spaces.base import Space, generator
from archenc.spaces.cell import CellSpace
from archenc.spaces.genetic_cnn import WiredStageSpace
from archenc.spaces.nsga_net import NSGANetMicro
from archenc.spaces.stages import StageSpace

Crossover = Literal["genes", "stages", "one stage", "genes of one stage"]


def crossover(
    first: np.ndarray,
    second: np.ndarray,
    kind: Crossover,
    *,
    stages: Sequence[int],
    gene: int = 1,
    probability: float = 0.5,
    seed: int | np.random.Generator = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Two children of each couple, which exchange some of their parents' numbers.

    * ``"genes"``: each gene is exchanged with ``probability``;
    * ``"stages"``: each stage is exchanged with ``probability`` (Xie, Yuille: Genetic CNN, ICCV 2017, section
        3.2);
    * ``"one stage"``: one stage, drawn at random, is exchanged;
    * ``"genes of one stage"``: as ``"genes"``, within one stage that is drawn at random.

    A gene is as many neighbouring numbers as belong together: 1, and 2 for the pairs (input, operation) of
    NSGA-Net micro.

    Args:
        first: (N, L) one parent of each couple.
        second: (N, L) the other one.
        kind: one of the above.
        stages: how many numbers each stage (or cell) has, L in total.
        gene: numbers of a gene, a divisor of each stage.
        probability: see above.
        seed: of what is drawn.

    Returns:
        The children, (N, L) each: the first have the numbers of ``first`` wherever nothing was exchanged.

    Raises:
        InvalidParameter: parents of different shapes, stages that do not fit them, or an unknown kind.
    """
    if kind not in get_args(Crossover):
        raise InvalidParameter(
            f"{kind!r} is no kind of crossover; choose one of {', '.join(get_args(Crossover))}"
        )
    first, second = np.asarray(first), np.asarray(second)
    lengths = np.asarray(stages)
    if (
        first.shape != second.shape
        or first.ndim != 2
        or lengths.sum() != first.shape[1]
        or (lengths % gene).any()
    ):
        raise InvalidParameter(
            f"stages of {tuple(stages)} numbers in genes of {gene} do not fit parents of shapes "
            f"{first.shape} and {second.shape}; "
            "give both parents as (N, sum of the stages)"
        )
    rng = generator(seed)
    rows = len(first)
    stage_of = np.repeat(np.arange(len(lengths)), lengths)
    gene_of = np.arange(first.shape[1]) // gene
    genes = (rng.random((rows, first.shape[1] // gene)) < probability)[:, gene_of]
    whole = (rng.random((rows, len(lengths))) < probability)[:, stage_of]
    within = rng.integers(len(lengths), size=rows)[:, None] == stage_of
    exchanged = {"genes": genes, "stages": whole, "one stage": within, "genes of one stage": genes & within}[
        kind
    ]
    return np.where(exchanged, second, first), np.where(exchanged, first, second)


def mutate(
    genomes: np.ndarray,
    choices: Sequence[int] | int,
    *,
    probability: float,
    seed: int | np.random.Generator = 0,
) -> np.ndarray:
    """The genomes with each number changed, with ``probability``, to another one that may stand at its place.

    Args:
        genomes: (N, L) whole numbers.
        choices: at each place, how many numbers may stand there (0 to ``choices - 1``); one number for all
            places (2 for bits).
        probability: of a change at each place.
        seed: of what is drawn.

    Raises:
        InvalidParameter: not one count for each place, or a probability outside 0 to 1.
    """
    genomes = np.asarray(genomes)
    counts = np.asarray(choices)
    if counts.shape not in ((), genomes.shape[1:]) or (counts < 1).any() or not 0 <= probability <= 1:
        raise InvalidParameter(
            f"choices of shape {counts.shape} and the probability {probability} do not fit genomes of shape "
            f"{genomes.shape}; "
            "give a count of at least 1 for each place, and a probability from 0 to 1"
        )
    rng = generator(seed)
    changed = (rng.random(genomes.shape) < probability) & (counts > 1)
    step = rng.integers(1, np.maximum(counts, 2), size=genomes.shape)
    return np.where(changed, (genomes + step) % counts, genomes).astype(genomes.dtype)


# -- architectures as vectors --------------------------------------------------------------------------------


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
