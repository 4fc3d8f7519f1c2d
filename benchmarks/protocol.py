"""Protocols: YAML files that fix what is measured, so that a number means the same next year.

A protocol names the data set, the label, the split, the training sizes, the seeds, the selection rule and the metrics. Once results exist
it is not edited: a change gets a new version.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archenc.documents import read_yaml
from archenc.errors import DataNotFound, InvalidParameter, InvalidTable, UnknownName
from archenc.splits import Split, everything, halves, holdout

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset

SELECTIONS = {"last_epoch": 1, "mean_last_5_epochs": 5}
"""Over how many last epochs of a gradient-trained predictor the metrics are averaged."""

OPTIONAL: dict[str, type] = {"subsets": int, "test_label": str}
"""Keys that a protocol may leave out; they are part of its setting only where given."""

FOLDER = Path(str(files("archenc.benchmarks"))) / "protocols"


SPLIT_KINDS: dict[str, dict[str, type]] = {
    "halves": {"seed": int},
    "published": {"name": str},
    "holdout": {"seed": int, "test": int},
    "all": {},
}
"""The kinds of split rules, and what each needs."""
SPLIT_OPTIONS: dict[str, dict[str, type]] = {
    "halves": {"subset": str, "group_aware": bool},
    "published": {},
    "holdout": {"subset": str},
    "all": {"subset": str},
}
"""What each may have beside."""


@dataclass(frozen=True)
class SplitRule:
    """How pool and test set are made of the labelled rows.

    Attributes:
        kind: ``"halves"``: random halves; ``"published"``: a split of the data set; ``"holdout"``: a random test set, the rest is the pool;
            ``"all"``: every row is in the pool and in the test set.
        seed: of the random choice.
        name: of the published split.
        test: number of test architectures of a holdout.
        subset: a part of the data set; the rest is left out.
        group_aware: whether the random halves keep isomorphic architectures together (:meth:`archenc.dataset.ArchDataset.twins`).
    """

    kind: str
    seed: int | None = None
    name: str | None = None
    test: int | None = None
    subset: str | None = None
    group_aware: bool | None = None

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
                raise InvalidTable(f"the split {self.name!r} holds architectures without the label {dataset.label!r}; choose another label")
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
        raise UnknownName(f"the data set {dataset.name!r} has no {what} {name!r}; it has {', '.join(known) or 'none'}")
    return known[name]


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Attributes:
        name, version: together they name it for good.
        purpose: one sentence: which question it answers.
        source: the paper whose setting it follows.
        dataset, label: names known to :func:`archenc.load_dataset`.
        split: how pool and test set are made.
        train_sizes: numbers of training architectures.
        seeds: each draws a training set (:meth:`subset_seed`) and seeds the predictor.
        selection: ``"last_epoch"``, or ``"mean_last_5_epochs"``: metrics averaged over the last five epochs (GATES, ECCV 2020).
        metrics: names known to :func:`archenc.metrics.metric`; the first one orders the leaderboard.
        methods: names in ``methods.yaml`` that are run by default.
        subsets: number of training sets of a size that the seeds share, or None where every seed draws its own.
        test_label: the label that is scored, where it is not the one that is trained on.
    """

    name: str
    version: int
    purpose: str
    source: str
    dataset: str
    label: str
    split: SplitRule
    train_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    selection: str
    metrics: tuple[str, ...]
    methods: tuple[str, ...]
    subsets: int | None = None
    test_label: str | None = None

    def subset_seed(self, seed: int) -> int:
        """What draws the training set of a run: the run's seed, or its remainder by ``subsets``.

        With ``subsets: 3``, seeds 0 to 8 train three networks on each of three training sets, the nine runs of TA-GATES (NeurIPS 2022).
        """
        return seed if self.subsets is None else seed % self.subsets

    @property
    def setting(self) -> dict[str, Any]:
        """What decides a number, as JSON values: not the texts, nor the lists of sizes, seeds and methods, which only say what to run."""
        split = {key: value for key, value in asdict(self.split).items() if value is not None}
        setting = {name: getattr(self, name) for name in ("name", "version", "dataset", "label", "selection")}
        given = {name: value for name in OPTIONAL if (value := getattr(self, name)) is not None}
        return {**setting, **given, "split": split, "metrics": list(self.metrics)}

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of :attr:`setting`."""
        return hashlib.sha256(canonical_json(self.setting).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def check_keys(content: Mapping[str, Any], required: Iterable[str], optional: Iterable[str], where: str) -> None:
    """Raise :class:`InvalidParameter` for an unknown key, with the nearest known one, or for a missing one."""
    known = [*required, *optional]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
            raise InvalidParameter(f"{where}: unknown key {str(key)[:60]!r}; {hint}")
    for key in required:
        if key not in content:
            raise InvalidParameter(f"{where}: the key {key!r} is missing; add it")


def _value(content: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = content[key]
    if type(value) is not kind or value == "":
        raise InvalidParameter(f"{where}: {key!r} is {reprlib.repr(value)} but should be a {kind.__name__}; correct it")
    return value


def _values(content: Mapping[str, Any], key: str, kind: type, where: str, least: int = 0) -> tuple[Any, ...]:
    values = _value(content, key, list, where)
    for value in values:
        if type(value) is not kind or (isinstance(value, int) and value < least):
            wanted = f"whole numbers from {least}" if kind is int else "names"
            raise InvalidParameter(f"{where}: {key!r} holds {reprlib.repr(value)} but should hold {wanted}; correct it")
    if not values or len(set(values)) < len(values):
        raise InvalidParameter(f"{where}: {key!r} should hold at least one value and none twice; correct it")
    return tuple(values)


def _split_rule(content: Mapping[str, Any], where: str) -> SplitRule:
    rule = _value(content, "split", dict, where)
    where = f"{where}, split"
    known = {key: kind for keys in (*SPLIT_KINDS.values(), *SPLIT_OPTIONS.values()) for key, kind in keys.items()}
    check_keys(rule, ["kind"], known, where)
    if rule["kind"] not in list(SPLIT_KINDS):
        raise InvalidParameter(f"{where}: 'kind' is {reprlib.repr(rule['kind'])}; choose {' or '.join(SPLIT_KINDS)}")
    check_keys(rule, ["kind", *SPLIT_KINDS[rule["kind"]]], SPLIT_OPTIONS[rule["kind"]], where)
    values = {key: _value(rule, key, known[key], where) for key in rule if key != "kind"}
    for key, least in (("seed", 0), ("test", 1)):
        if values.get(key, least) < least:
            raise InvalidParameter(f"{where}: {key!r} is {values[key]}; give a whole number from {least}")
    return SplitRule(rule["kind"], **values)


def parse_protocol(content: Mapping[str, Any], where: str) -> Protocol:
    """Validate the content of a protocol file; raises :class:`InvalidParameter` that says ``where``."""
    texts = ("name", "purpose", "source", "dataset", "label", "selection")
    check_keys(content, [*texts, "version", "split", "train_sizes", "seeds", "metrics", "methods"], OPTIONAL, where)
    protocol = Protocol(
        **{key: _value(content, key, str, where) for key in texts},
        version=_value(content, "version", int, where),
        split=_split_rule(content, where),
        train_sizes=_values(content, "train_sizes", int, where, least=2),
        seeds=_values(content, "seeds", int, where),
        metrics=_values(content, "metrics", str, where),
        methods=_values(content, "methods", str, where),
        **{key: _value(content, key, kind, where) for key, kind in OPTIONAL.items() if key in content},
    )
    if protocol.subsets is not None and protocol.subsets < 1:
        raise InvalidParameter(f"{where}: 'subsets' is {protocol.subsets}; give the number of training sets of a size")
    if protocol.selection not in SELECTIONS:
        raise InvalidParameter(f"{where}: 'selection' is {protocol.selection!r}; choose {' or '.join(SELECTIONS)}")
    return protocol


def list_protocols() -> list[str]:
    """Names of the packaged protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_protocol(name_or_path: str) -> Protocol:
    """Read a packaged protocol by name, or a protocol file by path (which ends in ``.yaml`` or ``.yml``).

    Raises:
        UnknownName: no protocol of that name.
        DataNotFound: no file at that path.
        CorruptFile: the file is not YAML.
        InvalidParameter: a key or a value that a protocol cannot have.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name_or_path}.yaml"
        if name_or_path not in list_protocols():
            near = difflib.get_close_matches(name_or_path, list_protocols(), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(list_protocols())} or give the path of a .yaml file"
            raise UnknownName(f"there is no protocol called {name_or_path!r}; {hint}")
    elif not path.is_file():
        raise DataNotFound(f"there is no protocol file {path}; check its path")
    return parse_protocol(read_yaml(path), path.name)
