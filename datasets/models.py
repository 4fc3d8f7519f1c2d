"""A folder of ONNX models and a table of what was measured of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from archenc.dataset import ArchDataset, Provenance
from archenc.datasets import table as tables
from archenc.errors import CorruptFile, InvalidArchitecture, InvalidParameter
from archenc.files import inside, sha256
from archenc.graphs import ArchGraphs
from archenc.spaces.base import as_sequence
from archenc.spaces.traced.network import Drawing
from archenc.spaces.traced.onnx_file import read_drawing
from archenc.spaces.traced.pytorch import fitting_space
from archenc.spaces.traced.space import OperationSpace


def load(
    *,
    folder: str | os.PathLike[str],
    table: str | os.PathLike[str] = "accuracies.csv",
    model: str = "model",
    space: OperationSpace | None = None,
    labels: list[str] | str | None = None,
    label: str | None = None,
    missing: Literal["error", "keep"] = "error",
    duplicates: Literal["error", "keep", "mean"] = "error",
    name: str | None = None,
) -> ArchDataset:
    """Read ONNX models and their labels (:func:`archenc.spaces.from_onnx`; no other kind of model file is free of code).

    Args:
        folder: where the models are.
        table: the CSV or JSONL file of labels, relative to ``folder`` or absolute; one model a line.
        model: column of the model's file name, relative to ``folder``.
        space: the space of the graphs, for example that of a trained predictor; None for one that is just large enough.
        labels: as in :func:`archenc.datasets.table.load`, and so are ``label`` and ``missing``.
        label: the selected label.
        missing: what an empty label is.
        duplicates: what models with the same graph and sizes are, as in :func:`archenc.datasets.table.load`.
        name: what the data set is called; None for the folder's name.

    Raises:
        DataNotFound: the table cannot be read, or the package ``onnx`` is not installed.
        InvalidTable: what is wrong, in which line, and what to do.
    """
    place = Path(folder)
    files = _ModelFiles(place, space)
    dataset = tables.load(
        path=place / table,
        space=files,
        arch=model,
        labels=labels,
        label=label,
        missing=missing,
        duplicates=duplicates,
        name=name or place.resolve().name,
    )
    checksums = {str(place / file): sha256(place / file) for file in files.drawings}
    provenance = Provenance(source=dataset.provenance.source, files={**dataset.provenance.files, **checksums})
    return replace(dataset, provenance=provenance)


class _ModelFiles(OperationSpace):
    """The space of operations, which here reads names of files."""

    def __init__(self, folder: Path, chosen: OperationSpace | None) -> None:
        super().__init__()
        self.folder = folder
        self.chosen = chosen
        self.drawings: dict[str, Drawing] = {}

    def parse(self, architectures: Any) -> ArchGraphs:
        names = as_sequence(architectures)
        for number, name in enumerate(names):
            if name not in self.drawings:
                self.drawings[name] = self._read(name, f"architecture {number}")
        drawings = [self.drawings[name] for name in names]
        return (self.chosen or fitting_space(drawings)).place(drawings)

    def _read(self, name: str, where: str) -> Drawing:
        try:
            path = inside(self.folder, name)
        except InvalidParameter:
            path = None
        if path is None or path.suffix.lower() != ".onnx":
            raise InvalidArchitecture(f"{where}: {name!r} is no ONNX file inside {self.folder}; export the model as ONNX into that folder")
        if not path.is_file():
            raise InvalidArchitecture(f"{where}: there is no file {path}; put it there or drop the row")
        try:
            return read_drawing(path)
        except (CorruptFile, InvalidArchitecture) as error:
            raise InvalidArchitecture(f"{where}: {error}") from None
