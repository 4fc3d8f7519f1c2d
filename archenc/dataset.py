"""ArchDataset: architectures of one space with named labels, published splits and provenance."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from archenc.errors import InvalidTable, UnknownName
from archenc.graphs import ArchGraphs, Index
from archenc.spaces.base import Space
from archenc.splits import Split


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

    A label's name says everything: ``cifar10/val_accuracy@200/mean`` is dataset / metric @ epochs / how seeds are reduced. Accuracies
    are percent.

    Attributes:
        name: the registered name, or the user's own.
        graphs: the architectures.
        labels: float64 (N,) each; NaN where an architecture has no such label.
        label: name of the selected label.
        descriptions: one sentence for each label (unit, data, number of seeds).
        splits: published splits by name.
        provenance: citation, licence, files.
    """

    name: str
    graphs: ArchGraphs
    labels: Mapping[str, np.ndarray]
    label: str
    descriptions: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, Split] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        for name, values in self.labels.items():
            if values.shape != (len(self.graphs),):
                raise InvalidTable(f"{self.name}: label {name!r} has shape {values.shape} for {len(self.graphs)} architectures; give one number each")
        self._check_label(self.label)

    def _check_label(self, label: str) -> None:
        if label not in self.labels:
            near = difflib.get_close_matches(label, self.labels, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "'archenc data show' lists them"
            raise UnknownName(f"the data set {self.name!r} has no label {label!r}; {hint}")

    @property
    def space(self) -> Space:
        return self.graphs.space

    @property
    def y(self) -> np.ndarray:
        """float64 (N,): the selected label."""
        return np.asarray(self.labels[self.label])

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: Index) -> ArchDataset:
        """The architectures at ``index`` with all their labels; published splits are dropped, as their positions no longer hold."""
        at = np.atleast_1d(np.arange(len(self))[index])
        return replace(self, graphs=self.graphs[at], labels={k: v[at] for k, v in self.labels.items()}, splits={})

    def with_label(self, label: str) -> ArchDataset:
        """The same data set with another label selected; raises :class:`UnknownName` with the nearest name."""
        self._check_label(label)
        return replace(self, label=label)

    def labelled_rows(self) -> np.ndarray:
        """int64: positions whose selected label is a finite number."""
        return np.flatnonzero(np.isfinite(self.y))

    def __repr__(self) -> str:
        return f"ArchDataset({self.name}: {len(self)} architectures of {self.space.name}, y = {self.label!r}, {len(self.labels)} labels)"
