"""Protocols: YAML files that fix what is measured, so that a number means the same next year.

A protocol names the data set, the label, the split, the training sizes, the seeds, the selection rule and the
metrics. Once results exist it is not edited: a change gets a new version. A file with a table ``benchmarks``
is one protocol for each of its entries, ``NAME-ENTRY``: that of the file with the entry's data set and label.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from archenc.dataset.split_rule import SplitRule
from archenc.errors import DataNotFound, InvalidParameter, UnknownName, hint
from archenc.files.documents import (
    FileName,
    Name,
    Record,
    Text,
    canonical_json,
    plain_values,
    read_yaml,
    record,
)
from archenc.registry.rules import Count, Seed, Whole

SELECTIONS = {"last_epoch": 1, "mean_last_5_epochs": 5}
"""Over how many last epochs of a gradient-trained predictor the metrics are averaged."""

FOLDER = Path(str(files("archenc.benchmarks"))) / "protocols"

Names = Annotated[
    tuple[Name, ...], Meta(min_length=1, max_length=1_000, description="a list of 1 to 1,000 names")
]
TrainSize = Annotated[int, Meta(ge=2, le=10**8, description="a whole number from 2 to 100,000,000")]


class Setting(Record, kw_only=True, omit_defaults=True):
    """What decides a number.

    Attributes:
        name, version: together they name it for good.
        dataset, label: names known to :func:`archenc.load_dataset`.
        split: how pool and test set are made.
        selection: ``"last_epoch"``, or ``"mean_last_5_epochs"``: metrics averaged over the last five epochs
            (GATES, ECCV 2020).
        metrics: names known to :func:`archenc.metrics.metric`; the first one orders the leaderboard.
        subsets: number of training sets of a size that the seeds share, or None where every seed draws its
            own.
        test_label: the label that is scored, where it is not the one that is trained on.
    """

    name: FileName
    version: Whole
    dataset: FileName
    label: Name
    split: SplitRule
    selection: Literal["last_epoch", "mean_last_5_epochs"]
    metrics: Names
    subsets: Count | None = None
    test_label: Name | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            values = getattr(self, name)
            if isinstance(values, tuple) and len(set(values)) < len(values):
                raise InvalidParameter(f"{name!r} should hold each value once, none twice")


class Protocol(Setting, kw_only=True):
    """What is measured: a :class:`Setting`, why, and what is run by default.

    Attributes:
        purpose: one sentence: which question it answers.
        source: the paper whose setting it follows.
        train_sizes: numbers of training architectures.
        seeds: each draws a training set (:meth:`subset_seed`) and seeds the predictor.
        methods: names in ``methods.yaml`` that are run by default.
    """

    purpose: Text
    source: Text
    train_sizes: Annotated[
        tuple[TrainSize, ...],
        Meta(min_length=1, max_length=1_000, description="a list of 1 to 1,000 whole numbers"),
    ]
    seeds: Annotated[
        tuple[Seed, ...],
        Meta(min_length=1, max_length=10_000, description="a list of 1 to 10,000 whole numbers"),
    ]
    methods: Names

    def subset_seed(self, seed: int) -> int:
        """What draws the training set of a run: the run's seed, or its remainder by ``subsets``.

        With ``subsets: 3``, seeds 0 to 8 train three networks on each of three training sets, the nine runs
        of TA-GATES (NeurIPS 2022).
        """
        return seed if self.subsets is None else seed % self.subsets

    @property
    def setting(self) -> dict[str, Any]:
        """What decides a number, as JSON values: not the texts, nor the lists of sizes, seeds and methods,
        which only say what to run.
        """
        return {
            name: value for name, value in plain_values(self).items() if name in Setting.__struct_fields__
        }

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of :attr:`setting`."""
        return hashlib.sha256(canonical_json(self.setting).encode()).hexdigest()


def parse_protocol(content: Mapping[str, Any], where: str) -> Protocol:
    """The protocol in the content of a protocol file; raises :class:`InvalidParameter` that says
    ``where``.
    """
    return record(content, Protocol, where, "correct it", InvalidParameter)


@functools.cache
def _packaged() -> dict[str, tuple[str, dict[str, Any]]]:
    """The file and the content of every packaged protocol, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        content = read_yaml(path)
        for entry, changes in content.pop("benchmarks", {"": {}}).items():
            name = f"{content['name']}-{entry}" if entry else content["name"]
            found[name] = path.stem, {**content, **changes, "name": name}
    return found


def list_protocols() -> list[str]:
    """Names of the packaged protocols."""
    return sorted(_packaged())


def family(name: str) -> str:
    """What the file of a packaged protocol is called, which may hold others too; of another one, its name."""
    return _packaged()[name][0] if name in _packaged() else name


def load_protocol(name_or_path: str) -> Protocol:
    """Read a packaged protocol by name, or a protocol file by path (which ends in ``.yaml`` or ``.yml``).

    Raises:
        UnknownName: no protocol of that name.
        DataNotFound: no file at that path.
        CorruptFile: the file is not YAML.
        InvalidParameter: a key or a value that a protocol cannot have.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise DataNotFound(f"there is no protocol file {path}; check its path")
        return parse_protocol(read_yaml(path), path.name)
    if name_or_path not in _packaged():
        known = ", ".join(list_protocols())
        remedy = hint(
            name_or_path, list_protocols(), f"choose one of {known} or give the path of a .yaml file"
        )
        raise UnknownName(f"there is no protocol called {name_or_path!r}; {remedy}")
    file, content = _packaged()[name_or_path]
    return parse_protocol(content, f"{file}.yaml")
