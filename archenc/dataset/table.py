"""ArchDataset: architectures of one space with named labels, published splits and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from archenc.dataset.splits import Split, halves, without_twins
from archenc.errors import InvalidParameter, InvalidTable, UnknownName, hint
from archenc.files.text import shown
from archenc.files.values import as_numbers, as_positions
from archenc.graphs import ArchGraphs, Index, as_graphs, positions
from archenc.graphs.hashing import class_numbers
from archenc.spaces.base import Space

if TYPE_CHECKING:
    from archenc.dataset.lookup import Lookup

Duplicates = Literal["unknown", "none", "kept", "first", "averaged"]
Missing = Literal["error", "mark"]
Dedup = Literal["keep", "first", "mean"]


@dataclass(frozen=True)
class Provenance:
    """Where a data set comes from.

    Attributes:
        citation: the paper to cite.
        licence: the licence of the data as stated by its source, or "none stated".
        source: public place of the data.
        files: SHA-256 of each file that was read, by path.
        notes: what a user must know before quoting a number.
    """

    citation: str = ""
    licence: str = ""
    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ArchDataset:
    """N architectures with any number of labels, of which one is selected as ``y``.

    A label's name says everything: ``cifar10/val_accuracy@200/mean`` is dataset / metric @ epochs / how seeds
    are reduced. Accuracies are percent.

    Attributes:
        name: the registered name, or the user's own.
        graphs: the architectures.
        labels: float64 (N,) each; NaN where an architecture has no such label.
        label: name of the selected label; empty where none is selected, as there are none or no obvious one.
        descriptions: one sentence for each label (unit, data, number of seeds).
        splits: published splits by name.
        subsets: named parts, as int64 positions.
        groups: int (N,), equal for isomorphic architectures, where the benchmark publishes it.
        duplicates: what was done about isomorphic architectures: there are ``"none"``, they were ``"kept"``
            as rows of their own, the ``"first"`` of each group was kept, they were ``"averaged"`` into one,
            or it is ``"unknown"``.
        provenance: citation, licence, files.
        part: which part of a data set this is, such as ``"test set of halves-0"``; empty for a whole one.
        architecture_features: names of what is known of each architecture
            (:meth:`with_architecture_features`), whose numbers are in ``graphs.architecture_features``.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> graphs = space.sample(10, seed=0)
        >>> label = "cifar10/val_accuracy@200/mean"
        >>> archenc.ArchDataset("mine", graphs, {label: [90.0] * 10}, label)
        ArchDataset(mine: 10 architectures of nasbench201, y = 'cifar10/val_accuracy@200/mean', 1 labels)
    """

    name: str
    graphs: ArchGraphs
    labels: Mapping[str, np.ndarray]
    label: str
    descriptions: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, Split] = field(default_factory=dict)
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    duplicates: Duplicates = "unknown"
    provenance: Provenance = field(default_factory=Provenance)
    part: str = ""
    architecture_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(as_graphs(self.graphs))
        if not isinstance(self.labels, Mapping):
            raise InvalidTable(
                f"{self.name}: the labels have no names; give a dict of one array for each name"
            )
        labels = {
            name: as_numbers(values, f"{self.name}: the label {name!r}")
            for name, values in self.labels.items()
        }
        for name, values in labels.items():
            if values.shape != (n,):
                raise InvalidTable(
                    f"{self.name}: label {name!r} has shape {values.shape} for {n} architectures; give one "
                    "number each"
                )
        groups = None if self.groups is None else np.asarray(self.groups)
        if groups is not None and (groups.shape != (n,) or groups.dtype.kind not in "iu"):
            raise InvalidTable(
                f"{self.name}: the groups have shape {groups.shape} for {n} architectures; give one whole "
                "number each"
            )
        subsets = {
            name: as_positions(rows, f"{self.name}: the subset {name!r}")
            for name, rows in self.subsets.items()
        }
        parts = {
            **subsets,
            **{name: np.concatenate([split.pool, split.test]) for name, split in self.splits.items()},
        }
        for name, rows in parts.items():
            if rows.max(initial=-1) >= n:
                raise InvalidTable(
                    f"{self.name}: {name!r} has the position {rows.max()} of {n} architectures; give smaller "
                    "ones"
                )
        for field_name, value in (("labels", labels), ("groups", groups), ("subsets", subsets)):
            object.__setattr__(self, field_name, value)
        if self.label:
            self._check_name("label", self.label, self.labels)

    def _check_name(self, what: str, name: str, known: Mapping[str, object]) -> None:
        """Raise :class:`UnknownName`, with the nearest name, for one that is not known."""
        if not isinstance(name, str) or name not in known:
            raise UnknownName(f"the data set {self.name!r} has no {what} {name!r:.80}; {_hint(name, known)}")

    @property
    def space(self) -> Space:
        space: Space = self.graphs.space
        return space

    @property
    def y(self) -> np.ndarray:
        """float64 (N,): the selected label; raises :class:`InvalidTable` where none is selected."""
        if not self.labels:
            raise InvalidTable(
                f"the data set {self.name!r} has no labels; use its graphs, or load one with labels"
            )
        if not self.label:
            raise InvalidTable(
                f"no label is selected in {self.name!r}; choose one by with_label, such as "
                f"{next(iter(self.labels))!r}"
            )
        return self.labels[self.label]

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: Index) -> ArchDataset:
        """The architectures at ``index`` with all their labels, without splits and subsets, whose positions
        no longer hold.
        """
        at = positions(index, len(self))
        return replace(
            self,
            graphs=self.graphs[at],
            labels={name: values[at] for name, values in self.labels.items()},
            groups=None if self.groups is None else self.groups[at],
            splits={},
            subsets={},
        )

    def with_label(self, label: str) -> ArchDataset:
        """The same data set with another label selected; raises :class:`UnknownName` with the nearest
        name.
        """
        self._check_name("label", label, self.labels)
        return replace(self, label=label)

    def with_architecture_features(self, labels: str | Sequence[str]) -> ArchDataset:
        """The same data set with the numbers of these labels as side information of its graphs (parameters,
        early accuracies, ...).

        Predictors on fixed encodings then learn from them, too, and need them of every architecture that they
        score.

        Args:
            labels: names of labels; none to leave side information away.

        Raises:
            UnknownName: with the nearest name.
        """
        names = (labels,) if isinstance(labels, str) else tuple(labels)
        for name in names:
            self._check_name("label", name, self.labels)
        values = np.stack([self.labels[name] for name in names], axis=1) if names else None
        return replace(
            self, graphs=self.graphs.with_architecture_features(values), architecture_features=names
        )

    def labelled_rows(self) -> np.ndarray:
        """int64: positions whose selected label is a finite number."""
        return np.flatnonzero(np.isfinite(self.y))

    def subset(self, name: str) -> ArchDataset:
        """The architectures of a named part; raises :class:`UnknownName` with the nearest name."""
        self._check_name("subset", name, self.subsets)
        return self[self.subsets[name]]

    def find(
        self, architectures: Any, *, notation: str | None = None, missing: Missing = "error"
    ) -> np.ndarray:
        """int64 (n,): the row of each of the given architectures, or of its first isomorphic twin where it
        has no row itself.

        The first call hashes all architectures of the data set: seconds for tens of thousands.

        Args:
            architectures: whatever :func:`archenc.graphs.as_graphs` takes; where the hashes of the space are
                the published ones (NAS-Bench-101), also their texts of 32 hexadecimal digits.
            notation: how numbers in them are read, one of the space's ``notations``.
            missing: what an architecture is that the data set does not have: an ``"error"``, or the row -1
                (``"mark"``).

        Raises:
            UnknownName: the first architecture that the data set does not have.
            InvalidArchitecture: one that does not belong to the space.
            InvalidParameter: another ``missing``.
        """
        if missing not in get_args(Missing):
            raise InvalidParameter(
                f"missing is {shown(missing)}; choose one of {', '.join(get_args(Missing))}"
            )
        rows = self._lookup.rows(architectures, notation)
        absent = np.flatnonzero(rows < 0)
        if missing == "error" and absent.size:
            raise UnknownName(
                f"{absent.size} of {len(rows)} architectures are not in the data set {self.name!r}, the "
                f"first at position {absent[0]}; "
                "leave them out, or pass missing='mark' for rows of -1"
            )
        return rows

    @cached_property
    def _lookup(self) -> Lookup:
        from archenc.dataset.lookup import Lookup

        return Lookup(self.graphs)

    def twins(self) -> np.ndarray:
        """int64 (N,): a number that isomorphic architectures share, from the published :attr:`groups`, else
        from their hashes.
        """
        return class_numbers(self.graphs.hash() if self.groups is None else self.groups[:, None])

    def deduplicated(self, policy: Dedup = "first") -> ArchDataset:
        """The data set with one row for each group of isomorphic architectures (:meth:`twins`), without
        splits and subsets.

        Args:
            policy: which labels that row has: those of the ``"first"`` member, or the ``"mean"`` of the
                members' labels, NaN left out; ``"keep"`` gives the data set back as it is.

        Raises:
            InvalidParameter: an unknown policy.
        """
        if policy not in get_args(Dedup):
            raise InvalidParameter(
                f"{policy!r} is no way to treat isomorphic architectures; choose one of "
                f"{', '.join(get_args(Dedup))}"
            )
        if policy == "keep":
            return self
        _, first, group = np.unique(self.twins(), return_index=True, return_inverse=True)
        if len(first) == len(self):
            return replace(self, duplicates="none")
        at = np.sort(first)
        if policy == "first":
            return replace(self[at], duplicates="first")
        means = {name: group_means(values, group)[np.argsort(first)] for name, values in self.labels.items()}
        return replace(
            self[at], graphs=averaged_graphs(self.graphs, first, group), labels=means, duplicates="averaged"
        )

    def split(
        self, name: str | None = None, *, train_size: int, seed: int = 0, group_aware: bool = False
    ) -> tuple[ArchDataset, ArchDataset]:
        """A training set and the test set that belongs to it.

        Args:
            name: a published split, or None for random halves of the labelled rows
                (:func:`archenc.dataset.splits.halves` with ``seed``).
            train_size: architectures to train on, drawn from the split's pool.
            seed: which ones (:meth:`archenc.dataset.splits.Split.training_subset`).
            group_aware: whether isomorphic architectures (:meth:`twins`) must not be on both sides: random
                halves then keep them together, and the pool of a published split loses those that are in its
                test set. The names of such splits end in ``-grouped``.

        Raises:
            UnknownName: there is no split of that name.
            InvalidParameter: the pool is smaller than ``train_size``.
            InvalidTable: the selected label is missing somewhere in the published split.
        """
        groups = self.twins() if group_aware else None
        split = halves(self.labelled_rows(), seed, groups=groups) if name is None else self._published(name)
        if name is not None and groups is not None:
            split = without_twins(split, groups)
        train, test = self[split.training_subset(train_size, seed)], self[split.test]
        return replace(train, part=f"training set of {split.name}"), replace(
            test, part=f"test set of {split.name}"
        )

    def _published(self, name: str) -> Split:
        self._check_name("split", name, self.splits)
        split = self.splits[name]
        missing = int(np.isnan(self.y[np.concatenate([split.pool, split.test])]).sum())
        if missing:
            raise InvalidTable(
                f"{missing} architectures of the split {name!r} have no label {self.label!r}; select another "
                "label"
            )
        return split

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the space, the architectures with all their features and the selected label,
        for files of results.
        """
        digest = hashlib.sha256(json.dumps([self.space.config(), self.label], sort_keys=True).encode())
        features = [
            features
            for features in (self.graphs.features, self.graphs.architecture_features)
            if features is not None
        ]
        for tensor in (self.graphs.adjacency, self.graphs.ops, *features):
            digest.update(str(tuple(tensor.shape)).encode() + tensor.cpu().contiguous().numpy().tobytes())
        if self.label:
            digest.update(self.y.astype("<f8").tobytes())
        return digest.hexdigest()

    def _repr_html_(self) -> str:
        from archenc.dataset.display import dataset_html

        return dataset_html(self)

    def __repr__(self) -> str:
        chosen = f"y = {self.label!r}" if self.label else "no label selected"
        known = "" if self.duplicates == "unknown" else f", isomorphic duplicates: {self.duplicates}"
        part = f", {self.part}" if self.part else ""
        return (
            f"ArchDataset({self.name}: {len(self)} architectures of {self.space.name}, {chosen}, "
            f"{len(self.labels)} labels{known}{part})"
        )


def group_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean of the finite values (N,) of each group 0, 1, ..., NaN where it has none."""
    known = ~np.isnan(values)
    count = np.bincount(group, weights=known)
    total = np.bincount(group, weights=np.where(known, values, 0.0))
    means: np.ndarray = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return means


def averaged_graphs(graphs: ArchGraphs, first: np.ndarray, group: np.ndarray) -> ArchGraphs:
    """The first architecture of each group, in order, with the means over the group of what is known of each.

    Args:
        graphs: N architectures.
        first: (G,) the position of the first one of each group 0, 1, ...
        group: (N,) the group of each.
    """
    known, chosen = graphs.architecture_features, graphs[np.sort(first)]
    if known is None:
        return chosen
    means = [group_means(column, group)[np.argsort(first)] for column in known.cpu().numpy().T]
    return chosen.with_architecture_features(np.stack(means, axis=1))


def _hint(name: object, known: Mapping[str, object]) -> str:
    """The remedy for an unknown name: the nearest one, all of a few, or where they are listed."""
    few = 0 < len(known) <= 8
    return hint(
        name, known, f"choose one of {', '.join(known):.300}" if few else "'archenc data show' lists all"
    )
