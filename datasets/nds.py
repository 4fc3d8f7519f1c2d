"""NDS: about 5,000 networks of each of five cell-based spaces, trained for "On Network Design Spaces".

Radosavovic, Johnson, Xie, Lo, Dollar: "On Network Design Spaces for Visual Recognition", ICCV 2019.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from archenc import create_space
from archenc.dataset import ArchDataset
from archenc.datasets.sources.json_stream import read_records
from archenc.datasets.sources.tables import MAX_TABLE_BYTES, labelled, provenance
from archenc.errors import CorruptFile, InvalidArchitecture
from archenc.files.trusted import Field, find_table, open_npz, sha256
from archenc.graphs.hashing import class_numbers
from archenc.spaces.genotype import GenotypeSpace

MAX_RECORDS = 20_000
SPACES = {"DARTS": "nds-darts", "NASNet": "nasnet", "Amoeba": "amoeba", "PNAS": "pnas", "ENAS": "enas"}
"""The space of each published file, by the first part of its name."""
VARIANTS = ("", "_fix-w-d", "_in", "_lr-wd", "_lr-wd_in")


class Column(NamedTuple):
    """A number of a training: its label without the data set, and where it stands in a record."""

    label: str
    keys: tuple[str, ...]


COLUMNS = {
    "test_error": Column("test_accuracy@last/single", ("test_ep_top1",)),
    "train_error": Column("train_accuracy@last/single", ("train_ep_top1",)),
    "parameters": Column("parameters", ("params",)),
    "flops": Column("flops", ("flops",)),
    "width": Column("width", ("net", "width")),
    "depth": Column("depth", ("net", "depth")),
}


def load(family: str) -> ArchDataset:
    """The trainings of the imported file; the default label is ``cifar10/test_accuracy@last/single``.

    Besides ``DARTS.json`` and so on, of which width and depth vary, the files with ``_fix-w-d`` (fixed width
    and depth), ``_in`` (ImageNet; labels ``imagenet/...``) and ``_lr-wd`` (sampled learning rate and weight
    decay) in their names can be imported. The data set is the one that was imported last, and says which in
    its notes.

    Raises:
        DataNotFound: no file was imported.
        CorruptFile: the table is damaged.
    """
    name = f"nds-{family.lower()}"
    path = find_table(
        f"nds/{family.lower()}.npz",
        f"run 'archenc data import {name} --file {family}.json' with the published file",
    )
    space = _space(family)
    fields: dict[str, Field] = {
        "genotype": ((None, 2, 2 * space.nodes, 2), "u"),
        "concat": ((None, 2, space.nodes), "b"),
    }
    table = open_npz(
        path, fields | {"published_file": ((), "U")} | dict.fromkeys(COLUMNS, ((None,), "f")), MAX_TABLE_BYTES
    )
    file = str(table.pop("published_file"))
    if len({len(values) for values in table.values()}) != 1:
        raise CorruptFile(f"the arrays in {path} differ in length; import {family}.json again")
    graphs = space.from_genotypes(table["genotype"], table["concat"])
    images = "imagenet" if file.endswith("_in") else "cifar10"
    labels = {
        f"{images}/{column.label}": 100.0 - table[key] if "accuracy" in column.label else table[key]
        for key, column in COLUMNS.items()
    }
    return ArchDataset(
        name=name,
        graphs=graphs,
        label=f"{images}/{COLUMNS['test_error'].label}",
        **labelled(name, labels),
        groups=class_numbers(graphs.hash()),
        duplicates="kept",
        provenance=provenance(name, {str(path): sha256(path)}, f"These are the trainings of {file}.json."),
    )


def _space(family: str) -> GenotypeSpace:
    space = create_space(SPACES[family])
    assert isinstance(space, GenotypeSpace)
    return space


# -- importing -----------------------------------------------------------------------------------------------


def build(family: str, file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The table of a published file: a list of records, or ``{"top": [...], "mid": [...]}``.

    Raises:
        DataNotFound: the file cannot be read.
        CorruptFile: it does not have the name of a published file of this family, or a record is not what it
            should be.
    """
    if file.name not in {f"{family}{variant}.json" for variant in VARIANTS}:
        raise CorruptFile(
            f"the file {file} is not called {family}.json, {family}_fix-w-d.json or the like; keep the "
            "published name"
        )
    space = _space(family)
    genotypes, rows = [], []
    for number, record in enumerate(read_records(file, ("top", "mid"), MAX_RECORDS)):
        try:
            genotypes.append(record["net"]["genotype"])
            rows.append([_number(record, column.keys) for column in COLUMNS.values()])
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise CorruptFile(
                f"record {number} in {file} is not a training of NDS ({reason:.120}); get the file again"
            ) from None
    if not rows:
        raise CorruptFile(f"there is no record in {file}; get the file again")
    try:
        graphs = space.parse(genotypes)
    except InvalidArchitecture as error:
        raise CorruptFile(f"a genotype in {file} does not belong to {space.name}: {error}") from None
    table = {
        "genotype": space.to_genotypes(graphs),
        "concat": space.to_concat(graphs),
        "published_file": np.array(file.stem),
    }
    values = np.array(rows, dtype=np.float64)
    table |= {name: values[:, k].copy() for k, name in enumerate(COLUMNS)}
    return {f"nds/{family.lower()}.npz": table}


def _number(record: Any, keys: tuple[str, ...]) -> float:
    """A number of a record, the last one of a list; NaN where a training diverged."""
    for key in keys:
        record = record[key]
    value = record[-1] if isinstance(record, list) and record else record
    if type(value) not in (int, float) or abs(value) > 1e15:
        raise ValueError(f"{keys[-1]} is {value!r:.40} instead of a number")
    return float(value)


load_darts, load_nasnet, load_amoeba, load_pnas, load_enas = (partial(load, family) for family in SPACES)
build_darts, build_nasnet, build_amoeba, build_pnas, build_enas = (
    partial(build, family) for family in SPACES
)
