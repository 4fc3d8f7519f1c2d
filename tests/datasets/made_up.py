"""A made-up data set with its recipes, and files in the format of the official records of NAS-Bench-101."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
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
        "recipe": "tests.datasets.made_up:build",
        "tables": DIGESTS,
        "sources": {"first": source(FIRST, "first.txt"), "second": source(SECOND, "second.txt")},
        "part_of_all": True,
        "labels": {"numbers/sum": "the sum of both"},
        "notes": ["They are whole numbers."],
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


IMAGES = 9_984
NAMES = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def crc32c(data: bytes) -> int:
    """Bit by bit, as the polynomial division that it is."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes) -> bytes:
    """One record with its framing."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def evaluation(epoch: float, seconds: float, val: int, test: int) -> bytes:
    """An ``EvaluationData`` on the wire: five doubles and a text."""
    doubles = [epoch, seconds, 0.5, val / IMAGES, test / IMAGES]
    content = b"".join(
        bytes([number << 3 | 1]) + struct.pack("<d", value) for number, value in enumerate(doubles, 1)
    )
    return content + b"\x32" + varint(4) + b"ckpt"


def metrics(evaluations: Iterable[bytes], parameters: int) -> bytes:
    """A ``ModelMetrics`` on the wire."""
    repeated = b"".join(b"\x0a" + varint(len(one)) + one for one in evaluations)
    return repeated + b"\x10" + varint(parameters) + b"\x19" + struct.pack("<d", 1234.5)


class Cells:
    """A few cells of the space with trainings, and what a record of one looks like.

    ``counts`` is (N, budgets, repeats, 2): correctly classified validation and test images.
    """

    def __init__(
        self,
        space: dict[str, np.ndarray],
        rows: Sequence[int] | np.ndarray,
        counts: np.ndarray,
        epochs: Sequence[int],
    ) -> None:
        whole = len(space["hash"])
        self.space = {
            name: values[rows] if len(values) == whole else values for name, values in space.items()
        }
        self.counts, self.epochs = counts, epochs

    def record(self, row: int, budget: int = 0, repeat: int = 0) -> list[str | int]:
        """The five values of a record."""
        nodes, bits = int(self.space["n_nodes"][row]), int(self.space["adj_bits"][row])
        adjacency = "".join(
            str(bits >> i + j * (j - 1) // 2 & 1) if i < j else "0"
            for i in range(nodes)
            for j in range(nodes)
        )
        ops = ["input", *(NAMES[k] for k in self.space["ops5"][row, : nodes - 2]), "output"]
        val, test = (int(count) for count in self.counts[row, budget, repeat])
        epochs = self.epochs[budget]
        evaluations = [
            evaluation(part * epochs, part * 1000.0 + repeat, int(part * val), int(part * test))
            for part in (0, 0.5, 1)
        ]
        raw = metrics(evaluations, int(self.space["params"][row]))
        return [
            self.space["hash"][row].tobytes().hex(),
            epochs,
            adjacency,
            ",".join(ops),
            base64.b64encode(raw).decode(),
        ]

    def records(self) -> list[list[str | int]]:
        """All records: cell by cell, budget by budget, repeat by repeat."""
        return [self.record(*at) for at in np.ndindex(self.counts.shape[:3])]


def write(path: Path, records: Iterable[Sequence[object] | bytes]) -> Path:
    """A file of records, given as values or as bytes."""
    path.write_bytes(
        b"".join(frame(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in records)
    )
    return path
