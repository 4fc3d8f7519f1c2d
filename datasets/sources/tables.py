"""A benchmark's files: tables in the data folder, and tables that other packages install."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archenc.dataset import Provenance
from archenc.datasets.sources.manifest import read_manifest, remedy_for
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.trusted import Field, content_digest, data_root, find_table, open_npz, sha256
from archenc.graphs import ArchGraphs

MAX_TABLE_BYTES = 128 * 2**20


def labelled(name: str, labels: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Keywords of :class:`archenc.dataset.ArchDataset`: ``labels``, and ``descriptions`` from the manifest
    ``name``.
    """
    sentences = read_manifest(name).sentences
    return {
        "labels": {label: values.astype(np.float64) for label, values in labels.items()},
        "descriptions": {label: sentences[label] for label in labels if label in sentences},
    }


@dataclass(frozen=True)
class Group:
    """Arrays that a table holds together or not at all.

    Attributes:
        fields: shape and dtype kind of every array.
        digest: :func:`archenc.files.trusted.content_digest` of these arrays, the same however the file is
            compressed.
    """

    fields: Mapping[str, Field]
    digest: str


@dataclass(frozen=True)
class Table:
    """A published ``.npz`` table.

    Attributes:
        path: its place under the data root.
        fields: shape and dtype kind of every array that is needed.
        digest: :func:`archenc.files.trusted.content_digest` of these arrays, the same however the file is
            compressed. It is what a loader vouches for; the digest in a manifest is that of all arrays that a
            recipe builds, read or not.
        optional: what the table may hold besides.
    """

    path: str
    fields: Mapping[str, Field]
    digest: str
    optional: tuple[Group, ...] = ()

    def exists(self) -> bool:
        return (data_root() / self.path).is_file()

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """The arrays that are needed and those of every optional group that the file has, and the file's
        SHA-256 by its path.

        Raises:
            DataNotFound: the file is not under the data root.
            CorruptFile: the file is damaged, holds a part of a group, or its values are not the published
                ones.
        """
        path = find_table(self.path, "" if self.exists() else remedy_for(self.path))
        names = _names(path)
        groups = [
            Group(self.fields, self.digest),
            *(group for group in self.optional if names & group.fields.keys()),
        ]
        arrays = open_npz(
            path, {name: field for group in groups for name, field in group.fields.items()}, MAX_TABLE_BYTES
        )
        for group in groups:
            if content_digest({name: arrays[name] for name in group.fields}) != group.digest:
                raise CorruptFile(
                    f"the values in {path} are not the published ones; get the table {self.path} again"
                )
        return arrays, {str(path): sha256(path)}


def _names(path: Path) -> set[str]:
    """Names of the arrays in an ``.npz`` file; none where it is damaged, which reading it will tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception:  # a damaged archive can fail in any way
        return set()


def check_texts(graphs: ArchGraphs, texts: np.ndarray, path: str, what: str) -> None:
    """Raise :class:`CorruptFile` unless the ``texts`` (N,) of bytes in the table at ``path``, called
    ``what``, are those of the graphs.
    """
    if graphs.space.format(graphs) != [text.decode("ascii") for text in texts]:
        raise CorruptFile(f"the {what} and the operations in {path} differ; get the table again")


def provenance(name: str, files: Mapping[str, str], *notes: str) -> Provenance:
    """What the manifest of a data set says of it, with the SHA-256 of the files that were read and further
    notes.
    """
    known = read_manifest(name)
    return Provenance(known.citation, known.licence, known.homepage, files, (*known.notes, *notes))


def package_file(package: str, relative_path: str, requirement: str) -> Path:
    """A data file inside an installed package, which is located without being imported.

    Args:
        package: top-level import name.
        relative_path: the file inside the package's folder.
        requirement: what pip is asked for, for example ``"nas-bench-graph==1.4.0"``.

    Raises:
        DataNotFound: the package or the file is missing; the message gives the pip command.
    """
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        path = Path(folder, relative_path)
        if path.is_file():
            return path
    missing = (
        f"the file {relative_path} of the package {package!r}" if folders else f"the package {package!r}"
    )
    raise DataNotFound(f"{missing} is not installed; run: pip install --no-deps {requirement}")
