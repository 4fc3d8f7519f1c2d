"""What a split really tests: twins and wirings in both halves, shifts between them, and what predictors
without ideas reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np
import torch

import archenc
from archenc.dataset import ArchDataset
from archenc.dataset.split_rule import SplitRule
from archenc.dataset.splits import Split
from archenc.errors import InvalidParameter, InvalidTable, UnknownName
from archenc.graphs import ABSENT, EDGE_OFFSET, NODE_OFFSET, ArchGraphs
from archenc.graphs.hashing import class_numbers, wl_hash
from archenc.graphs.transforms import live_edges
from archenc.metrics import kendall_tau

CHUNK = 1024


@dataclass(frozen=True)
class Wirings:
    """Distinct wirings: graphs without their operations, up to isomorphism.

    Attributes:
        pool, test, shared: how many there are in the pool, in the test set, and in both.
        known: test architectures whose wiring occurs in the pool.
    """

    pool: int
    test: int
    shared: int
    known: int


@dataclass(frozen=True)
class Noise:
    """How well repeated trainings of the same architectures agree, as Kendall's tau.

    Attributes:
        architectures: test architectures with all repeats.
        pairwise: one repeat against another, mean over the pairs.
        against_rest: one repeat against the mean of the others, mean over the repeats; of two repeats the
            same as ``pairwise``.
    """

    architectures: int
    pairwise: float
    against_rest: float


@dataclass(frozen=True)
class Audit:
    """The findings.

    Attributes:
        dataset, split, label, test_label: what was audited; ``test_label`` is the one that is scored.
        pool, test: numbers of architectures.
        repeated: test architectures that are in the pool themselves.
        twins, simplified_twins: test architectures with an isomorphic architecture in the pool (themselves
            included), as they are and once what computes nothing is cut.
        wirings: see :class:`Wirings`.
        shift: mean or median of a quantity in the pool and in the test set, by name.
        baselines: Kendall's tau on the test set of trivial predictors that saw the whole pool, by name.
        label_tau: Kendall's tau on the test set of ``label`` itself with ``test_label``; None if they are
            one.
        noise: of the label that is scored, or None where the data set has no repeats of it.
    """

    dataset: str
    split: str
    label: str
    test_label: str
    pool: int
    test: int
    repeated: int
    twins: int
    simplified_twins: int
    wirings: Wirings
    shift: Mapping[str, tuple[float, float]]
    baselines: Mapping[str, float]
    label_tau: float | None
    noise: Noise | None

    @property
    def verdict(self) -> str:
        """One line: what the split tests."""
        known = self.wirings.known
        if self.repeated:
            first = f"{share_text(self.repeated, self.test)} of the test set can be trained on"
        elif not self.wirings.shared:
            first = "extrapolation: no wiring of the test set occurs in the pool"
        elif known == self.test:
            first = "interpolation: every wiring of the test set also occurs in the pool"
        else:
            first = f"{share_text(known, self.test)} of the test set have a wiring of the pool"
        twins = (
            f"; {share_text(self.simplified_twins, self.test)} of it compute the same as a pool architecture"
        )
        same = "" if self.repeated else twins
        best = max(self.baselines, key=lambda name: self.baselines[name])
        return f"{first}{same}; to beat without ideas: tau {self.baselines[best]:.3f} by {best}"

    def text(self) -> str:
        """All findings for a terminal."""
        scored = "" if self.test_label == self.label else f", scored on {self.test_label}"
        wirings, noise = self.wirings, self.noise
        width = max(map(len, [*self.shift, *self.baselines]))
        lines = [
            f"{self.dataset}, split {self.split}, label {self.label}{scored}",
            f"pool of {self.pool:,}, test set of {self.test:,}",
            "",
            "test architectures that occur in the pool",
            f"  themselves            {self.repeated:7,}  {share_text(self.repeated, self.test)}",
            f"  as an isomorphic twin {self.twins:7,}  {share_text(self.twins, self.test)}",
            f"  once simplified       {self.simplified_twins:7,}  "
            f"{share_text(self.simplified_twins, self.test)}",
            f"  by their wiring       {wirings.known:7,}  {share_text(wirings.known, self.test)}",
            f"distinct wirings: {wirings.pool:,} in the pool, {wirings.test:,} in the test set, "
            f"{wirings.shared:,} in both",
            "",
            f"{'':{width + 2}}  {'pool':>9}  {'test set':>9}",
            *(f"  {name:{width}}  {pool:9.2f}  {test:9.2f}" for name, (pool, test) in self.shift.items()),
            "",
            "Kendall's tau on the test set of trivial predictors that saw the whole pool",
            *(f"  {name:{width}}  {tau:9.3f}" for name, tau in self.baselines.items()),
        ]
        if self.label_tau is not None:
            lines += [
                "",
                f"the label that is trained on has tau {self.label_tau:.3f} with the one that is scored",
            ]
        if noise is not None:
            lines += [
                "",
                f"noise of the label ({noise.architectures:,} test architectures with all repeats): one "
                "repeat has "
                f"tau {noise.pairwise:.3f} with another and {noise.against_rest:.3f} with the mean of the "
                "others",
            ]
        return "\n".join([*lines, "", f"verdict: {self.verdict}"])


def share_text(part: int, whole: int) -> str:
    """``"12.3 %"``; only none is ``"0.0 %"``, and only all ``"100.0 %"``."""
    percent = 100 * part / whole
    return f"{min(max(percent, 0.1), 99.9) if 0 < part < whole else percent:.1f} %"


def find_split(dataset: ArchDataset, name: str, subset: str | None = None) -> Split:
    """A published split, or by the name ``halves-SEED`` random halves of the labelled architectures (of a
    subset).

    Raises:
        UnknownName: no such split or subset.
        InvalidParameter: a published split with a subset.
    """
    random_halves = re.fullmatch(r"halves-([0-9]{1,9})", name)
    if random_halves is not None:
        return SplitRule("halves", seed=int(random_halves[1]), subset=subset).apply(dataset)
    if name not in dataset.splits:
        known = ", ".join([*dataset.splits, "halves-0"])
        raise UnknownName(
            f"the data set {dataset.name!r} has no split {name!r}; choose one of {known} (random halves of "
            "seed 0)"
        )
    if subset is not None:
        raise InvalidParameter(
            f"the published split {name!r} cannot be combined with the subset {subset!r}; leave one of them "
            "out"
        )
    return dataset.splits[name]


def audit(dataset: ArchDataset, split: Split, test_label: str | None = None) -> Audit:
    """Look at both halves of a split.

    Args:
        dataset: with the label that is trained on selected.
        split: pool and test set.
        test_label: the label that is scored, where it is another one.

    Raises:
        UnknownName: the data set has no such label.
        InvalidTable: a half is empty or an architecture has no label.
    """
    scored = dataset if test_label is None else dataset.with_label(test_label)
    y, test_y = dataset.y[split.pool], scored.y[split.test]
    if not len(y) or not len(test_y) or not (np.isfinite(y).all() and np.isfinite(test_y).all()):
        raise InvalidTable(
            f"the split {split.name!r} has an empty half or architectures without {scored.label!r}; choose "
            "another label"
        )
    pool, test = dataset.graphs[split.pool], dataset.graphs[split.test]
    _, twins = _classes(pool, test)
    _, simplified = _classes(dataset.space.simplify(pool), dataset.space.simplify(test))
    wirings, known = _classes(unlabelled(pool), unlabelled(test))
    return Audit(
        dataset=dataset.name,
        split=split.name,
        label=dataset.label,
        test_label=scored.label,
        pool=len(pool),
        test=len(test),
        repeated=int(np.isin(split.test, split.pool).sum()),
        twins=int(twins.sum()),
        simplified_twins=int(simplified.sum()),
        wirings=Wirings(*wirings, known=int(known.sum())),
        shift=shift(pool, test, y, test_y if test_label is None else dataset.y[split.test]),
        baselines=baselines(dataset, split, y, test_y),
        label_tau=None if scored is dataset else kendall_tau(test_y, dataset.y[split.test]),
        noise=noise(scored, split.test),
    )


def _classes(pool: ArchGraphs, test: ArchGraphs) -> tuple[tuple[int, int, int], np.ndarray]:
    """Numbers of isomorphism classes in the pool, in the test set and in both, and bool (T,): whose class is
    in the pool.
    """
    digests = np.concatenate([wl_hash(pool), wl_hash(test)])
    numbers = class_numbers(digests)
    in_pool, in_test = np.unique(numbers[: len(pool)]), np.unique(numbers[len(pool) :])
    both = np.intersect1d(in_pool, in_test)
    return (len(in_pool), len(in_test), len(both)), np.isin(numbers[len(pool) :], in_pool)


def unlabelled(graphs: ArchGraphs) -> ArchGraphs:
    """The wirings: the same graphs with one and the same operation everywhere; "none" edges are no edges."""
    if graphs.op_on == "node":
        return replace(graphs, ops=torch.where(graphs.ops >= NODE_OFFSET, NODE_OFFSET, graphs.ops))
    live = live_edges(graphs)
    number = next(k for k, name in enumerate(graphs.space.operations) if name != graphs.space.none_op)
    ops = torch.where(live, number + EDGE_OFFSET, ABSENT).to(graphs.ops.dtype)
    return replace(graphs, ops=ops.reshape(graphs.ops.shape), adjacency=live.any(1).to(torch.uint8))


def shift(
    pool: ArchGraphs, test: ArchGraphs, y: np.ndarray, test_y: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Median, mean and deviation of the labels, and means of what the graphs have, in the pool and in the
    test set.
    """
    both = [_statistics(graphs, values) for graphs, values in ((pool, y), (test, test_y))]
    return {name: (both[0][name], both[1][name]) for name in both[0]}


def _statistics(graphs: ArchGraphs, y: np.ndarray) -> dict[str, float]:
    if graphs.op_on == "node":
        edges, chosen, offset = graphs.adjacency.bool(), graphs.ops, NODE_OFFSET
    else:
        edges, chosen, offset = live_edges(graphs).any(1), graphs.ops, EDGE_OFFSET
    rows, cells = len(edges), graphs.space.cells
    direct = edges[:, : graphs.space.num_inputs, -1].any(1)
    counts = {
        name: (chosen == k + offset).sum().item() * cells / rows
        for k, name in enumerate(graphs.space.operations)
    }
    return {
        "label, median": float(np.median(y)),
        "label, mean": float(y.mean()),
        "label, standard deviation": float(y.std()),
        "nodes": graphs.mask.sum().item() * cells / rows,
        "edges": edges.sum().item() * cells / rows,
        "input-output edge, % of cells": 100 * direct.float().mean().item(),
        **counts,
    }


# -- what can be reached -------------------------------------------------------------------------------------


def baselines(dataset: ArchDataset, split: Split, y: np.ndarray, test_y: np.ndarray) -> dict[str, float]:
    """Kendall's tau on the test set of predictors without ideas.

    The parameter count (where the data set has it), ridge regression on operation counts, and the label of
    the nearest pool architecture by the one-hot adjacency encoding (the mean of all that are equally near).
    """
    pool, test = dataset.graphs[split.pool], dataset.graphs[split.test]
    scores = {}
    parameters = [name for name in dataset.labels if name.rpartition("/")[2] == "parameters"]
    parameters.sort(
        key=lambda name: name.partition("/")[0] != dataset.label.partition("/")[0]
    )  # those of the same task first
    if parameters and np.isfinite(counts := dataset.labels[parameters[0]][split.test]).all():
        scores["parameter count"] = counts
    scores["ridge on operation counts"] = (
        archenc.Predictor("op-count", "ridge", "mse").fit(pool, y).predict(test)
    )
    encoder = archenc.create_encoder("adjacency", space=dataset.space, kind="onehot")
    scores["nearest neighbour, one-hot adjacency"] = nearest_labels(
        encoder.encode(pool), y, encoder.encode(test)
    )
    return {name: kendall_tau(test_y, values) for name, values in scores.items()}


def nearest_labels(points: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Float64 (T,): the mean label of the nearest ``points`` (P, D) of each of the ``queries`` (T, D); all 0
    or 1, by Hamming distance.
    """
    known, labels = points.astype(np.float32), y.astype(np.float64)
    parts = []
    for start in range(0, len(queries), CHUNK):
        chunk = queries[start : start + CHUNK].astype(np.float32)
        distance = (
            chunk.sum(1)[:, None] + known.sum(1) - 2 * chunk @ known.T
        )  # whole numbers, exact in float32
        nearest = distance == distance.min(1, keepdims=True)
        parts.append(nearest @ labels / nearest.sum(1))
    return np.concatenate(parts)


def noise(dataset: ArchDataset, rows: np.ndarray) -> Noise | None:
    """The agreement of the labels ``.../repeat0``, ``.../repeat1``, ... beside the selected one, on
    ``rows``.
    """
    stem = re.escape(dataset.label.rpartition("/")[0])
    names = [name for name in dataset.labels if re.fullmatch(rf"{stem}/repeat[0-9]+", name)]
    if len(names) < 2:
        return None
    repeats = np.stack([dataset.labels[name][rows] for name in names])
    repeats = repeats[:, np.isfinite(repeats).all(0)]
    if repeats.shape[1] < 2:
        return None
    pairs = [kendall_tau(one, other) for one, other in combinations(repeats, 2)]
    rest = [kendall_tau(np.delete(repeats, at, axis=0).mean(0), repeat) for at, repeat in enumerate(repeats)]
    return Noise(repeats.shape[1], fmean(pairs), fmean(rest))
