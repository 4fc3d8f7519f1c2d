"""A made-up data set: its manifest, its files of numbers, and the recipes that are called by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from archenc.errors import CorruptFile
from archenc.files.trusted import content_digest

COMMIT = "0123456789" * 4
FIRST, SECOND = b"1 2 3", b"10 20 30"
DIGESTS = {
    "made/sum.npz": content_digest({"sum": np.array([11, 22, 33])}),
    "made/both.npz": content_digest({"first": np.array([1, 2, 3]), "second": np.array([10, 20, 30])}),
}

calls: list[list[str]] = []


def build(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """Two tables from two files of numbers."""
    calls.append(sorted(files))
    first, second = (
        np.array(files[name].read_text().split(), dtype=np.int64) for name in ("first", "second")
    )
    return {"made/sum.npz": {"sum": first + second}, "made/both.npz": {"first": first, "second": second}}


def one_table(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    return {"made/sum.npz": build(files)["made/sum.npz"]}


def read(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The import of one file of numbers."""
    try:
        return {"own/numbers.npz": {"numbers": np.array(file.read_text().split(), dtype=np.int64)}}
    except ValueError:
        raise CorruptFile(f"the file {file} does not hold whole numbers; give another one") from None


def source(content: bytes, path: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "repository": "someone/numbers",
        "commit": COMMIT,
        "path": path,
        "size": len(content),
        "sha256": sha256,
    }


def described(**changes: Any) -> dict[str, Any]:
    """A manifest that is in order, with changes."""
    values = {
        "citation": "Someone: Numbers, 2020",
        "licence": "MIT",
        "homepage": "https://example.org/numbers",
        "recipe": "tests.datasets.recipe:build",
        "tables": DIGESTS,
        "sources": {"first": source(FIRST, "first.txt"), "second": source(SECOND, "second.txt")},
        "part_of_all": True,
        "labels": {"numbers/sum": "the sum of both"},
        "notes": ["They are whole numbers."],
    }
    return {key: value for key, value in (values | changes).items() if value is not None}
