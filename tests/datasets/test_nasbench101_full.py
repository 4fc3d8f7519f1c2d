"""The official file of NAS-Bench-101, in small: real cells and counts in its very format."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.datasets import nasbench101_full
from archenc.datasets.recipes import nasbench101_full as recipe
from archenc.datasets.recipes.nasbench101_full import read_trainings
from archenc.datasets.sources.tables import Table
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.trusted import content_digest
from archenc.spaces.nasbench101 import NASBench101
from archenc.testing import check_dataset
from tests.bad_input import assert_one_sentence
from tests.datasets.made_up import Cells, evaluation, frame, metrics, write


@pytest.fixture(scope="module")
def small() -> dict[str, np.ndarray]:
    """The columns of the table of all cells of at most four nodes."""
    space = NASBench101()
    graphs, hashes = space.enumerate_with_hashes(4)
    n_nodes, adj_bits, ops5 = space.to_bits(graphs)
    params = space.costs(graphs)["parameters"].astype(np.int32)
    return {"hash": hashes, "n_nodes": n_nodes, "adj_bits": adj_bits, "ops5": ops5, "params": params}


@pytest.fixture(scope="module")
def cells(small: dict[str, np.ndarray]) -> Cells:
    counts = np.random.default_rng(0).integers(1000, 9985, size=(len(small["hash"]), 1, 3, 2))
    return Cells(small, np.arange(len(small["hash"])), counts, [108])


def refused(path: Path, cells: Cells, match: str) -> None:
    with pytest.raises(CorruptFile, match=match) as caught:
        read_trainings(path, cells.space)
    assert_one_sentence(caught.value)
    assert str(path) in str(caught.value)


def test_real_cells_come_back_with_their_counts(data_root: Path, tmp_path: Path) -> None:
    with np.load(data_root / "nasbench101" / "cells.npz") as table:
        real = {name: table[name] for name in ("space_index", "val_count", "test_count", "epochs")}
    with np.load(data_root / "nasbench101" / "space.npz") as table:
        space = dict(table)
    complete = np.flatnonzero((real["test_count"] != 65_535).all((1, 2)))
    rows = complete[:: len(complete) // 60]
    counts = np.stack([real["val_count"][rows], real["test_count"][rows]], axis=-1)
    cells = Cells(space, real["space_index"][rows], counts, [4, 12, 36, 108])
    table = read_trainings(write(tmp_path / "full.tfrecord", cells.records()), cells.space)
    assert table["epochs"].tolist() == [4, 12, 36, 108]
    for field in ("val_count", "test_count"):
        assert table[field].dtype == np.uint16
        np.testing.assert_array_equal(table[field], real[field][rows])
    np.testing.assert_array_equal(table["train_seconds"][0, 2], [1000, 1001, 1002])
    for name, values in cells.space.items():
        np.testing.assert_array_equal(table[name], values)

    last = Cells(space, real["space_index"][rows], counts[:, 3:], [108])
    table = read_trainings(write(tmp_path / "only108.tfrecord", last.records()), last.space)
    assert table["epochs"].tolist() == [108]
    np.testing.assert_array_equal(table["val_count"][:, 0], real["val_count"][rows, 3])


def test_records_may_come_in_any_order(cells: Cells, tmp_path: Path) -> None:
    records = cells.records()
    order = np.random.default_rng(1).permutation(len(records))
    table = read_trainings(write(tmp_path / "shuffled.tfrecord", [records[at] for at in order]), cells.space)
    np.testing.assert_array_equal(np.sort(table["val_count"][:, 0]), np.sort(cells.counts[:, 0, :, 0]))
    repeats = [[at % 3 for at in order if at // 3 == row] for row in range(len(cells.counts))]
    expected = np.take_along_axis(cells.counts[:, 0], np.array(repeats)[:, :, None], axis=1)
    np.testing.assert_array_equal(
        table["val_count"][:, 0], expected[:, :, 0], "repeats have the order of the file"
    )
    np.testing.assert_array_equal(
        table["test_count"][:, 0], expected[:, :, 1], "validation and test stay together"
    )


def test_another_writing_of_a_cell_is_the_same_cell(cells: Cells, tmp_path: Path) -> None:
    records = cells.records()
    diamond = [
        len({*str(names).split(",")}) == 4 and adjacency == "0110000100010000"
        for _, _, adjacency, names, _ in records[::3]
    ]
    row = diamond.index(True)
    names = str(records[3 * row][3]).split(",")
    for repeat in range(3):
        records[3 * row + repeat][3] = ",".join([names[0], names[2], names[1], names[3]])
    table = read_trainings(write(tmp_path / "other.tfrecord", records), cells.space)
    np.testing.assert_array_equal(table["ops5"], cells.space["ops5"])


def changed(cells: Cells, place: int, value: Any) -> list[list[Any]]:
    records: list[list[Any]] = cells.records()
    records[5][place] = value
    return records


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


GOOD = [evaluation(epoch, epoch, 5000, 4000) for epoch in (0.0, 54.0, 108.0)]


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (0, "00" * 16, "hash 0000.* is that of no cell"),
        (0, "no hash", "not the hexadecimal text"),
        (0, 7, "not the hexadecimal text"),
        (1, 5, "record 5 .*5 epochs are none of"),
        (1, "108", "record 5 .*epochs are none of"),
        (1, True, "record 5 .*epochs are none of"),
        (2, "010", "record 5 .*adjacency is not"),
        (2, 17, "record 5 is not a training"),
        (3, "input,conv5x5,output", "record 5 is not a training"),
        (3, "output,input", "record 5 .*not the operations of a cell"),
        (3, "input," + "maxpool3x3," * 6 + "output", "record 5 .*not the operations of a cell"),
        (4, "no base64!", "record 5 is not a training"),
        (4, encoded(b"\xff" * 30), "record 5 is not a training"),
        (4, encoded(metrics(GOOD, 3)[:50]), "record 5 is not a training"),
        (4, encoded(b""), "record 5 .*0 evaluations instead of 3"),
        (4, encoded(metrics(GOOD[:2], 3)), "record 5 .*2 evaluations instead of 3"),
        (4, encoded(metrics(GOOD[::-1], 3)), "record 5 .*not in the order of their epochs"),
        (4, encoded(metrics(GOOD, 3)), "parameters, not 3"),
        (4, None, "record 5 is not a training"),
    ],
)
def test_a_bad_value_is_refused(cells: Cells, tmp_path: Path, place: int, value: Any, match: str) -> None:
    refused(write(tmp_path / "bad.tfrecord", changed(cells, place, value)), cells, match)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1, 2, 3]", b"null", b'"text"', b"[" * 5000])
def test_bad_json_is_refused(cells: Cells, tmp_path: Path, data: bytes) -> None:
    records: list[Any] = cells.records()
    records[7] = data
    refused(write(tmp_path / "bad.tfrecord", records), cells, "record 7 is not a training")


@pytest.mark.parametrize("accuracy", [-0.1, 1.0002, 0.50003, float("nan"), float("inf")])
def test_an_accuracy_that_is_no_share_of_the_images_is_refused(
    cells: Cells, tmp_path: Path, accuracy: float
) -> None:
    last = evaluation(108.0, 1.0, 9984 * accuracy, 4000)  # type: ignore[arg-type]
    raw = encoded(metrics([*GOOD[:2], last], int(cells.space["params"][1])))
    refused(
        write(tmp_path / "bad.tfrecord", changed(cells, 4, raw)),
        cells,
        "validation accuracy .* no share of 9,984 images",
    )


def test_the_hash_of_another_cell_is_refused(cells: Cells, tmp_path: Path) -> None:
    refused(
        write(tmp_path / "bad.tfrecord", changed(cells, 0, cells.record(9)[0])),
        cells,
        "not the cell of this hash",
    )


def test_the_file_must_be_complete(cells: Cells, tmp_path: Path) -> None:
    records = cells.records()
    digest = cells.space["hash"][4].tobytes().hex()
    path = tmp_path / "incomplete.tfrecord"
    refused(
        write(path, records[:12] + records[13:]),
        cells,
        f"2 of 3 trainings of the cell {digest} for 108 epochs .*1 of 9",
    )
    refused(write(path, records[:12] + records[15:]), cells, f"0 of 3 trainings of the cell {digest}")
    refused(write(path, [*records, records[12]]), cells, f"more than 3 trainings of the cell {digest}")
    refused(write(path, []), cells, "it holds no records")
    whole = write(path, records).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, cells, "the file ends within it")
    damaged = bytearray(whole)
    damaged[len(frame(b"")) + 30] ^= 4
    path.write_bytes(damaged)
    refused(path, cells, "checksum of its data is wrong")


def test_from_the_file_to_the_data_set(cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with the space cut to small cells."""
    from archenc.datasets.sources.fetch import import_file

    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    with pytest.raises(DataNotFound, match="archenc data import nasbench101-full") as caught:
        archenc.load_dataset("nasbench101-full")
    assert_one_sentence(caught.value)
    table = nasbench101_full.SPACE_TABLE
    size = len(cells.counts)
    fields = {name: ((size, *shape[1:]), kind) for name, (shape, kind) in table.fields.items()}
    digest = content_digest({name: cells.space[name] for name in fields})
    monkeypatch.setattr(nasbench101_full, "SPACE_TABLE", Table(table.path, fields, digest))
    monkeypatch.setattr(nasbench101_full, "SPACE", size)
    monkeypatch.setattr(recipe, "enumerated", lambda: cells.space)
    [written] = import_file(
        "nasbench101-full", write(tmp_path / "nasbench_only108.tfrecord", cells.records())
    )
    assert written == tmp_path / "data" / "nasbench101" / "full.npz"
    dataset = archenc.load_dataset("nasbench101-full")
    assert list(dataset.descriptions) == list(dataset.labels)
    np.testing.assert_allclose(dataset.y, 100 * cells.counts[:, 0, :, 0].mean(1) / 9984)
    np.testing.assert_allclose(
        dataset.labels["cifar10/test_accuracy@108/repeat1"], 100 * cells.counts[:, 0, 1, 1] / 9984
    )
    np.testing.assert_array_equal(dataset.labels["cifar10/train_seconds@108/mean"], 1001)
    np.testing.assert_array_equal(dataset.graphs.hash(), cells.space["hash"])
    assert "not the one of a published file" in dataset.provenance.notes[-1]
    check_dataset("nasbench101-full")
    monkeypatch.setattr(nasbench101_full, "SPACE_TABLE", Table(table.path, fields, "0" * 64))
    with pytest.raises(CorruptFile, match="not those of the space") as corrupt:
        archenc.load_dataset("nasbench101-full")
    assert_one_sentence(corrupt.value)


def test_a_published_file_is_named() -> None:
    for digest, name in nasbench101_full.PUBLISHED.items():
        assert nasbench101_full._origin(digest) == f"The table was made from the published {name}."
