"""Random walks through a search space: how far apart their cells are, and how alike the accuracies along
them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from archenc import metrics
from archenc.dataset import ArchDataset
from archenc.graphs import ArchGraphs, concatenate
from archenc.graphs.hashing import sortable_keys
from archenc.spaces.base import Space

WALKS = 50
LENGTH = 100
SPAN = 8
"""Most steps between the two cells of a pair whose distance is measured; as in the authors' code."""
LAGS = 20
NEIGHBOURS = 10
TRIES = 50
MAX_ORDERS = 720

# -- distances -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wandering:
    """Cells along random walks, and pairs of them.

    Attributes:
        graphs: all cells, the first of every walk, then the second of every walk, and so on.
        first, second: int64 (P,), positions of the pairs: all that are 1 to 8 steps apart.
        edits: int64 (P,), their edit distance; where that takes too long to compute, their number of steps.
        exact: which of the two.
    """

    graphs: ArchGraphs
    first: np.ndarray
    second: np.ndarray
    edits: np.ndarray
    exact: bool


def through_space(space: Space, seed: int) -> Wandering:
    """50 random walks of 100 cells, each one mutation away from the one before: one edit, or several if nodes
    come or go with it.
    """
    rng = np.random.default_rng(seed)
    cells = [space.sample(WALKS, rng)]
    while len(cells) < LENGTH:
        cells.append(space.mutate(cells[-1], rng))
    graphs = concatenate(cells)
    starts = [np.arange((LENGTH - steps) * WALKS) for steps in range(1, SPAN + 1)]
    steps = np.repeat(np.arange(1, SPAN + 1), [len(start) for start in starts])
    first = np.concatenate(starts)
    second = first + steps * WALKS
    if math.factorial(_free_nodes(space)) > MAX_ORDERS:
        return Wandering(graphs, first, second, steps, exact=False)
    return Wandering(graphs, first, second, edit_distances(graphs[first], graphs[second]), exact=True)


def _free_nodes(space: Space) -> int:
    """Nodes between input and output whose order within a cell means nothing."""
    return space.max_nodes - space.num_inputs - 1 if space.topology is None else 0


def edit_distances(a: ArchGraphs, b: ArchGraphs) -> np.ndarray:
    """int64 (N,): the fewest edits that turn each architecture into the other of its pair.

    One edit changes an operation, adds or removes an edge, or adds or removes a node without edges. It is the
    smallest number of unequal entries over all orders of the nodes between input and output: exact, and
    feasible for cells of few nodes.
    """
    space, inputs, last = a.space, a.space.num_inputs, a.num_nodes - 1
    fewest = _unequal(a, b)
    if _free_nodes(space):
        for order in itertools.permutations(range(inputs, last)):
            turned = _reordered(b, torch.tensor([*range(inputs), *order, last]))
            fewest = torch.minimum(fewest, _unequal(a, turned))
    distances: np.ndarray = fewest.reshape(-1, space.cells).sum(1).numpy()
    return distances


def _reordered(graphs: ArchGraphs, order: Tensor) -> ArchGraphs:
    def pairs(array: Tensor) -> Tensor:
        return array.index_select(-2, order).index_select(-1, order)

    ops = graphs.ops[:, order] if graphs.op_on == "node" else pairs(graphs.ops)
    return ArchGraphs(graphs.space, pairs(graphs.adjacency), ops, graphs.mask)


def _unequal(a: ArchGraphs, b: ArchGraphs) -> Tensor:
    """int64 (R,): entries in which the rows differ. An edge with an operation counts once."""
    ops = (a.ops != b.ops).flatten(1).sum(1)
    return ops if a.op_on == "edge" else ops + (a.adjacency != b.adjacency).flatten(1).sum(1)


# -- autocorrelation -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Autocorrelation:
    """Pearson's correlation of the labels of two cells that are 1, 2, ... steps apart on a walk, over all
    such pairs.

    Attributes:
        walks: how many walks of 100 cells it is taken over.
        values: float64 (20,), NaN where there are no walks.
    """

    walks: int
    values: np.ndarray


def autocorrelations(
    data: ArchDataset, embeddings: Mapping[str, np.ndarray], seed: int
) -> dict[str, Autocorrelation]:
    """Random-walk autocorrelation (Ying et al., ICML 2019, section 4.3) of the selected label, by kind of
    walk.

    All 50 walks of a kind start at the same random cells and stay among the labelled ones, of which
    isomorphic ones count once. On ``"edit"`` walks a step is a mutation; walks that come to a cell whose
    mutants (50 are tried) have no label are left out. On those called as ``embeddings`` a step leads to one
    of the 10 cells with the nearest embeddings in L2, at random.

    Args:
        data: labelled architectures.
        embeddings: (N, dim) each.
        seed: of starts and steps.
    """
    hashes, rows = np.unique(sortable_keys(data.graphs.hash()), return_index=True)
    graphs, labels = data.graphs[rows], data.y[rows]
    starts = np.random.default_rng(seed).integers(len(rows), size=WALKS)
    steps: dict[str, Step] = {"edit": _mutation(graphs, hashes)}
    steps |= {kind: _nearest(values[rows]) for kind, values in embeddings.items()}
    found = {}
    for kind, step in steps.items():
        paths = _walk(step, starts, np.random.default_rng(seed + 1))
        found[kind] = Autocorrelation(paths.shape[1], _correlations(labels[paths]))
    return found


Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From the positions of the walkers and a generator to their next ones; a walker that cannot go on stays."""


def _walk(step: Step, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(cells, walks): the positions of those walkers who never had to stay."""
    paths = starts[None]
    while len(paths) < LENGTH and paths.size:
        after = step(paths[-1], rng)
        moved = after != paths[-1]
        paths = np.vstack([paths[:, moved], after[moved]])
    return paths


def _mutation(graphs: ArchGraphs, hashes: np.ndarray) -> Step:
    """``hashes``: those of ``graphs``, sorted."""

    def step(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        after, waiting = at.copy(), np.arange(len(at))
        for _ in range(TRIES):
            mutants = sortable_keys(graphs.space.mutate(graphs[at[waiting]], rng).hash())
            place = np.minimum(np.searchsorted(hashes, mutants), len(hashes) - 1)
            after[waiting] = np.where(hashes[place] == mutants, place, at[waiting])
            waiting = waiting[after[waiting] == at[waiting]]
            if waiting.size == 0:
                break
        return after

    return step


def _nearest(embeddings: np.ndarray) -> Step:
    index = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(embeddings))).fit(embeddings)

    def step(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        near = index.kneighbors(embeddings[at], return_distance=False)
        lot = np.where(near == at[:, None], -1.0, rng.random(near.shape))
        after: np.ndarray = near[np.arange(len(at)), lot.argmax(1)]
        return after

    return step


def _correlations(labels: np.ndarray) -> np.ndarray:
    """Of labels (cells, walks) at 1 to 20 steps."""
    if labels.size == 0:
        return np.full(LAGS, np.nan)
    return np.array(
        [metrics.pearson(labels[:-lag].ravel(), labels[lag:].ravel()) for lag in range(1, LAGS + 1)]
    )
