"""A benchmark's files: tables in the data folder, and tables that other packages install."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archenc.errors import CorruptFile, DataNotFound
from archenc.files import Field, content_digest, data_root, find_table, open_npz, sha256

MAX_TABLE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Table:
    """A published ``.npz`` table.

    Attributes:
        path: its place under the data root.
        fields: shape and dtype kind of every array that is used.
        digest: :func:`archenc.files.content_digest` of these arrays, the same however the file is compressed.
    """

    path: str
    fields: Mapping[str, Field]
    digest: str

    def exists(self) -> bool:
        return (data_root() / self.path).is_file()

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """The arrays, and the file's SHA-256 by its path.

        Raises:
            DataNotFound: the file is not under the data root.
            CorruptFile: the file is damaged, or its values are not the published ones.
        """
        path = find_table(self.path)
        arrays = open_npz(path, self.fields, MAX_TABLE_BYTES)
        if content_digest(arrays) != self.digest:
            raise CorruptFile(f"the values in {path} are not the published ones; get the table {self.path} again")
        return arrays, {str(path): sha256(path)}


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
    missing = f"the file {relative_path} of the package {package!r}" if folders else f"the package {package!r}"
    raise DataNotFound(f"{missing} is not installed; run: pip install --no-deps {requirement}")
