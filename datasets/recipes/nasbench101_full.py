"""NAS-Bench-101, all of it: from the official TFRecord file to one table, without TensorFlow.

A record is the JSON text of [module hash, epochs, adjacency, operations, metrics]; the metrics are the base64
text of a protocol buffer (``ModelMetrics`` in model_metrics.proto of google-research/nasbench). There is one
record for each training.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from archenc.datasets.nasbench101 import BUDGETS, IMAGES, REPEATS
from archenc.datasets.recipes.nasbench101 import enumerated, find_hashes
from archenc.datasets.recipes.raw import corrupt
from archenc.datasets.sources.tfrecord import read_records
from archenc.errors import CorruptFile
from archenc.files.trusted import sha256
from archenc.spaces.nasbench101 import MAX_NODES, OPERATIONS, NASBench101

EVALUATIONS = 3  # of each training: before it, half way, at its end
NO_OPERATION = 255
MAX_SECONDS = 1e9


def build(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The table of all cells with all repeats, from ``nasbench_only108.tfrecord`` or
    ``nasbench_full.tfrecord``.

    The file may have any checksum, as its content is checked instead: framing checksums, every cell of the
    space with its official hash and parameters, three trainings of each for each budget, accuracies that are
    shares of 9,984 images. The table says which file it was made from (``source_sha256``).

    Raises:
        CorruptFile: where the file is not what it should be, and why.
    """
    first = next((records[0] for records in read_records(file) if records), None)
    if first is None:
        raise corrupt(file, "it holds no records")
    _training(first, file, 0)  # before half a minute of work for a file that is another one
    table = read_trainings(file, enumerated())
    table["source_sha256"] = np.frombuffer(bytes.fromhex(sha256(file)), dtype=np.uint8)
    return {"nasbench101/full.npz": table}


def read_trainings(
    file: Path, space: Mapping[str, np.ndarray], repeats: int = REPEATS
) -> dict[str, np.ndarray]:
    """The trainings in a TFRecord file, each where its cell is in ``space``.

    Memory is bounded by the space, whatever the file's size.

    Args:
        file: the records, in any order.
        space: the cells that must be there, all of them and no others; the columns of :func:`enumerated`.
        repeats: trainings of each cell at each budget.

    Returns:
        The columns of ``space`` and, for the B budgets of the file, ``epochs`` (B,), ``val_count`` and
        ``test_count`` of 9,984 images, uint16 (N, B, repeats), and ``train_seconds``, float32 (N, B,
        repeats). Repeats are in the order of the file.

    Raises:
        CorruptFile: a record or the whole is not what it should be.
    """
    shape = (len(space["hash"]), len(BUDGETS), repeats)
    counts = {field: np.zeros(shape, dtype=np.uint16) for field in ("val_count", "test_count")}
    seconds = np.zeros(shape, dtype=np.float32)
    found = np.zeros(shape[:2], dtype=np.uint16)
    number = 0
    for records in read_records(file):
        trainings = [_training(data, file, number + at) for at, data in enumerate(records)]
        number += len(records)
        if not trainings:
            continue
        rows = find_hashes(file, [training.digest for training in trainings], space["hash"])
        _check_cells(file, trainings, rows, space)
        budget = np.array([BUDGETS.index(training.epochs) for training in trainings])
        repeat = found[rows, budget] + _earlier(rows * len(BUDGETS) + budget)
        if (more := np.flatnonzero(repeat >= repeats)).size:
            cell, at = trainings[more[0]].digest, budget[more[0]]
            raise corrupt(file, f"it has more than {repeats} trainings of the cell {cell} for {_epochs(at)}")
        np.add.at(found, (rows, budget), 1)
        for part, field in (("validation", "val_count"), ("test", "test_count")):
            shares = np.array([getattr(training.metrics, f"{part}_accuracy") for training in trainings])
            counts[field][rows, budget, repeat] = _counts(file, trainings, shares, part)
        seconds[rows, budget, repeat] = [training.metrics.training_time for training in trainings]
    kept = _complete(file, found, space["hash"], repeats)
    trained = {field: values[:, kept] for field, values in counts.items()} | {
        "train_seconds": seconds[:, kept]
    }
    return dict(space) | {"epochs": np.array(BUDGETS, dtype=np.int16)[kept]} | trained


def _complete(file: Path, found: np.ndarray, hashes: np.ndarray, repeats: int) -> np.ndarray:
    """Positions of the budgets in the file, if every cell was trained so many times at each of them."""
    kept = np.flatnonzero(found.any(0))
    if not len(kept):
        raise corrupt(file, "it holds no records")
    short = np.argwhere(found[:, kept] < repeats)
    if len(short):
        row, at = short[0]
        cells = len(np.unique(short[:, 0]))
        has = (
            f"{found[row, kept[at]]} of {repeats} trainings of the cell {hashes[row].tobytes().hex()} for "
            f"{_epochs(kept[at])}"
        )
        raise corrupt(
            file, f"it is not complete, with {has} and too few of {cells:,} of {len(hashes):,} cells"
        )
    return kept


def _epochs(budget: int) -> str:
    return f"{BUDGETS[budget]} epochs"


def _earlier(keys: np.ndarray) -> np.ndarray:
    """For each key, how often it stands before."""
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], keys[order])
    earlier = np.empty(len(keys), dtype=np.int64)
    earlier[order] = np.arange(len(keys)) - first
    return earlier


def _counts(file: Path, trainings: Sequence[Training], shares: np.ndarray, part: str) -> np.ndarray:
    possible = (shares >= 0) & (shares <= 1)  # NaN is not
    counts = IMAGES * np.where(possible, shares, 0.0)
    whole = possible & (abs(counts - np.round(counts)) < 0.01)
    if (wrong := np.flatnonzero(~whole)).size:
        digest = trainings[wrong[0]].digest
        raise corrupt(
            file,
            f"a {part} accuracy of the cell {digest} is {shares[wrong[0]]:.6g}, which is no share of "
            f"{IMAGES:,} images",
        )
    return np.round(counts)


# -- one record ----------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """A record: one training of a cell.

    Attributes:
        digest: the cell's hash, hexadecimal.
        epochs: the budget.
        bits: the adjacency as the column ``adj_bits`` has it.
        operations: the numbers k of the interior nodes, as the column ``ops5`` has them.
        parameters: of the network.
        metrics: the ``EvaluationData`` at the end of the training.
    """

    digest: str
    epochs: int
    bits: int
    operations: tuple[int, ...]
    parameters: int
    metrics: Any


def _training(data: bytes, file: Path, number: int) -> Training:
    try:
        digest, epochs, adjacency, operations, metrics = json.loads(data)
        message = ModelMetrics.FromString(binascii.a2b_base64(metrics.replace("\n", ""), strict_mode=True))
        nodes, numbers = _operation_numbers(operations)
        bits = _adjacency_bits(adjacency, nodes)
        if type(epochs) is not int or epochs not in BUDGETS:
            raise ValueError(f"{epochs!r:.20} epochs are none of {', '.join(map(str, BUDGETS))}")
        evaluations = message.evaluation_data
        if len(evaluations) != EVALUATIONS:
            raise ValueError(f"{len(evaluations)} evaluations instead of {EVALUATIONS}")
        if not evaluations[0].current_epoch < evaluations[1].current_epoch < evaluations[2].current_epoch:
            raise ValueError("the evaluations are not in the order of their epochs")
        if not 0 <= evaluations[-1].training_time < MAX_SECONDS:
            raise ValueError("the time of the training is no number of seconds")
    except (ValueError, TypeError, AttributeError, RecursionError, DecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise corrupt(file, f"record {number} is not a training of a cell ({reason:.100})") from None
    return Training(digest, epochs, bits, numbers, message.trainable_parameters, evaluations[-1])


@lru_cache(maxsize=1024)
def _operation_numbers(names: str) -> tuple[int, tuple[int, ...]]:
    """The number of nodes, and the numbers k of the interior ones, filled up."""
    first, *interior, last = names.split(",")
    if (first, last) != ("input", "output") or len(interior) > MAX_NODES - 2:
        raise ValueError(f"{names!r:.60} are not the operations of a cell")
    numbers = [OPERATIONS.index(name) for name in interior]
    return len(interior) + 2, (*numbers, *[NO_OPERATION] * (MAX_NODES - 2 - len(interior)))


@lru_cache(maxsize=65_536)
def _adjacency_bits(text: str, nodes: int) -> int:
    """Bit i + j (j - 1) / 2 is the edge i -> j; the text has a 0 or 1 for each pair of nodes, row by row."""
    if len(text) != nodes**2 or set(text) - {"0", "1"}:
        raise ValueError(f"the adjacency is not {nodes} x {nodes} zeros and ones")
    edges = [divmod(at, nodes) for at, digit in enumerate(text) if digit == "1"]
    if any(source >= target for source, target in edges):
        raise ValueError("an edge leads backwards")
    return sum(1 << source + target * (target - 1) // 2 for source, target in edges)


def _check_cells(
    file: Path, trainings: Sequence[Training], rows: np.ndarray, space: Mapping[str, np.ndarray]
) -> None:
    """Raise :class:`CorruptFile` unless every training is of the cell that its hash means, with that cell's
    parameters.
    """
    bits = np.array([training.bits for training in trainings], dtype=np.uint32)
    operations = np.array([training.operations for training in trainings], dtype=np.uint8)
    written = (bits == space["adj_bits"][rows]) & (operations == space["ops5"][rows]).all(1)
    others = np.flatnonzero(~written)  # other writings of their cells, or other cells
    if others.size:
        cells = NASBench101()
        nodes = 2 + (operations[others] != NO_OPERATION).sum(1)
        wrong = (
            cells.hash(cells.from_bits(nodes, bits[others], operations[others]))
            != space["hash"][rows[others]]
        ).any(1)
        if wrong.any():
            raise _wrong(file, trainings[others[np.flatnonzero(wrong)[0]]], "is not the cell of this hash")
    parameters = np.array([training.parameters for training in trainings])
    if (different := np.flatnonzero(parameters != space["params"][rows])).size:
        at = different[0]
        raise _wrong(
            file, trainings[at], f"has {space['params'][rows[at]]:,} parameters, not {parameters[at]:,}"
        )


def _wrong(file: Path, training: Training, what: str) -> CorruptFile:
    return corrupt(file, f"the cell in a record with the hash {training.digest} {what}")


# -- the protocol buffer -------------------------------------------------------------------------------------


def _model_metrics() -> Any:
    """The message class ``ModelMetrics`` of model_metrics.proto."""
    kind = FieldDescriptorProto
    file = FileDescriptorProto(name="archenc/model_metrics.proto", package="archenc", syntax="proto2")
    evaluation = file.message_type.add(name="EvaluationData")
    doubles = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(doubles, start=1):
        evaluation.field.add(name=name, number=number, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    evaluation.field.add(name="checkpoint_path", number=6, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    metrics = file.message_type.add(name="ModelMetrics")
    evaluations = metrics.field.add(
        name="evaluation_data", number=1, type=kind.TYPE_MESSAGE, label=kind.LABEL_REPEATED
    )
    evaluations.type_name = ".archenc.EvaluationData"
    metrics.field.add(name="trainable_parameters", number=2, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    metrics.field.add(name="total_time", number=3, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("archenc.ModelMetrics"))


ModelMetrics = _model_metrics()
