"""A folder of ONNX models and a table of what was measured of them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from archenc.dataset import ArchDataset, Provenance
from archenc.datasets import table as tables
from archenc.files.trusted import sha256
from archenc.spaces.traced.model_files import ModelFiles
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
    """Read ONNX models and their labels (:func:`archenc.spaces.from_onnx`; no other kind of model file is
    free of code).

    Args:
        folder: where the models are.
        table: the CSV or JSONL file of labels, relative to ``folder`` or absolute; one model a line.
        model: column of the model's file name, relative to ``folder``.
        space: the space of the graphs, for example that of a trained predictor; None for one that is just
            large enough.
        labels: as in :func:`archenc.datasets.table.load`, and so are ``label`` and ``missing``.
        label: the selected label.
        missing: what an empty label is.
        duplicates: what models with the same graph and sizes are, as in :func:`archenc.datasets.table.load`.
        name: what the data set is called; None for the folder's name.

    Raises:
        DataNotFound: the table cannot be read, or the package ``onnx`` is not installed.
        InvalidTable: what is wrong, in which line, and what to do.
    """
    owner = "the data set 'models'"
    place = tables.given_path(owner, "folder", folder)
    files = ModelFiles(place, space)
    dataset = tables.load(
        path=place / tables.given_path(owner, "table", table),
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
