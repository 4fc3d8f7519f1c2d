"""How a pool and a test set are made of a data set, as data: in protocols and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archenc.dataset.splits import Split, everything, halves, holdout
from archenc.errors import InvalidParameter, InvalidTable, UnknownName
from archenc.files.documents import Name, Record
from archenc.registry.rules import Count, Seed

if TYPE_CHECKING:
    from archenc.dataset.table import ArchDataset

SPLIT_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "halves": ({"seed"}, {"subset", "group_aware"}),
    "published": ({"name"}, set()),
    "holdout": ({"seed", "test"}, {"subset"}),
    "all": (set(), {"subset"}),
}
"""What each kind of split rule needs, and what it may have beside."""


class SplitRule(Record, omit_defaults=True):
    """How pool and test set are made of the labelled rows.

    Attributes:
        kind: ``"halves"``: random halves; ``"published"``: a split of the data set; ``"holdout"``: a random
            test set, the rest is the pool; ``"all"``: every row is in the pool and in the test set.
        seed: of the random choice.
        name: of the published split.
        test: number of test architectures of a holdout.
        subset: a part of the data set; the rest is left out.
        group_aware: whether the random halves keep isomorphic architectures together
            (:meth:`archenc.dataset.ArchDataset.twins`).
    """

    kind: Literal["halves", "published", "holdout", "all"]
    seed: Seed | None = None
    name: Name | None = None
    test: Count | None = None
    subset: Name | None = None
    group_aware: bool | None = None

    def __post_init__(self) -> None:
        required, optional = SPLIT_KEYS[self.kind]
        given = {name for name in self.__struct_fields__ if getattr(self, name) is not None} - {"kind"}
        for name in sorted(required - given):
            raise InvalidParameter(f"a split of the kind {self.kind!r} needs the key {name!r}")
        for name in sorted(given - required - optional):
            raise InvalidParameter(f"a split of the kind {self.kind!r} has no key {name!r}")

    def apply(self, dataset: ArchDataset, test_label: str | None = None) -> Split:
        """The split of ``dataset``, of rows that have its label and the ``test_label``.

        Raises:
            UnknownName: a split, a subset or a label that the data set does not have.
            InvalidTable: a published split holds architectures without label.
            InvalidParameter: a holdout that is larger than what there is.
        """
        rows = dataset.labelled_rows()
        if test_label is not None:
            rows = np.intersect1d(rows, dataset.with_label(test_label).labelled_rows())
        if self.kind == "published":
            split: Split = _named(dataset, "split", self.name, dataset.splits)
            if not np.isin(np.concatenate([split.pool, split.test]), rows).all():
                raise InvalidTable(
                    f"the split {self.name!r} holds architectures without the label {dataset.label!r}; "
                    "choose another label"
                )
            return split
        if self.subset is not None:
            rows = np.intersect1d(rows, _named(dataset, "subset", self.subset, dataset.subsets))
        split = self._cut(rows, dataset.twins() if self.group_aware else None)
        return split if self.subset is None else replace(split, name=f"{self.subset}/{split.name}")

    def _cut(self, rows: np.ndarray, groups: np.ndarray | None) -> Split:
        if self.kind == "holdout":
            return holdout(rows, self.test or 0, seed=self.seed or 0)
        return everything(rows) if self.kind == "all" else halves(rows, seed=self.seed or 0, groups=groups)


def _named(dataset: ArchDataset, what: str, name: str | None, known: Mapping[str, Any]) -> Any:
    if name is None or name not in known:
        raise UnknownName(
            f"the data set {dataset.name!r} has no {what} {name!r}; it has {', '.join(known) or 'none'}"
        )
    return known[name]
