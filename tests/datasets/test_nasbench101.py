"""NAS-Bench-101: the data set, the whole space, and its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench101
from archenc.datasets.recipes import nasbench101 as recipe
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CorruptFile, DataNotFound, InvalidTable
from archenc.files.trusted import content_digest
from archenc.spaces.nasbench101 import OPERATIONS, NASBench101
from archenc.testing import check_dataset
from tests.bad_input import assert_one_sentence

VAL, TEST = "cifar10/val_accuracy@108/mean", "cifar10/test_accuracy@108/mean"


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> ArchDataset:
    return archenc.load_dataset("nasbench101")


@pytest.fixture(scope="module")
def cells(data_root: Path) -> dict[str, np.ndarray]:
    with np.load(data_root / "nasbench101" / "cells.npz", allow_pickle=False) as table:
        return dict(table)


def test_default_label_and_descriptions(dataset: ArchDataset) -> None:
    assert dataset.label == VAL
    assert len(dataset) == 51_497
    assert dataset.descriptions.keys() == dataset.labels.keys()
    assert len(dataset.labels) == 4 * (5 + 4) + 2


def test_the_uniform_subset(dataset: ArchDataset) -> None:
    part = dataset.with_label("cifar10/val_accuracy@108/single").subset("uniform")
    assert len(part) == 30_001
    found = [np.median(part.y), part.y.mean(), part.y.max(), part.y.min()]
    np.testing.assert_allclose(found, [91.62, 91.05, 94.91, 9.51], atol=0.006)


def test_the_full_subset(dataset: ArchDataset) -> None:
    part = dataset.subset("full_metrics")
    assert len(part) == 23_142
    assert len(dataset.labelled_rows()) == 23_142, "a mean needs all three repeats"
    test = part.labels[TEST]
    np.testing.assert_allclose(
        [part.y.max(), test.max(), np.median(part.y), np.median(test)],
        [94.74, 94.20, 91.21, 90.62],
        atol=0.006,
    )
    assert len(np.intersect1d(dataset.subsets["uniform"], dataset.subsets["full_metrics"])) == 1_646


def test_percent_is_of_9984_images_and_missing_counts_are_nan(
    dataset: ArchDataset, cells: dict[str, np.ndarray]
) -> None:
    row = int(dataset.labelled_rows()[5])
    counts = cells["val_count"][row, 3].astype(float)
    assert dataset.y[row] == pytest.approx(100 * counts.sum() / 3 / 9984)
    for repeat in range(3):
        assert dataset.labels[f"cifar10/val_accuracy@108/repeat{repeat}"][row] == pytest.approx(
            100 * counts[repeat] / 9984
        )
    for at, epochs in enumerate((4, 12, 36, 108)):
        missing = np.isnan(dataset.labels[f"cifar10/test_accuracy@{epochs}/repeat1"])
        np.testing.assert_array_equal(missing, cells["test_count"][:, at, 1] == 65_535)


def test_the_ta_gates_split(dataset: ArchDataset) -> None:
    split = dataset.splits["ta7290"]
    train, test = dataset.split("ta7290", train_size=7_290)
    assert len(train) == len(test) == 7_290
    np.testing.assert_allclose([np.median(train.y), np.median(test.y)], [92.07, 90.04], atol=0.006)
    assert split.pool[:3].tolist() == [35035, 34140, 42613], "the published order"
    wirings = [{row.tobytes() for row in part.graphs.adjacency.numpy()} for part in (train, test)]
    assert [len(wiring) for wiring in wirings] == [30, 30]
    assert not wirings[0] & wirings[1]


def test_published_noise_of_the_test_half(dataset: ArchDataset) -> None:
    from scipy.stats import kendalltau

    _, test = dataset.split("ta7290", train_size=1)
    tau = {
        epochs: kendalltau(test.labels[f"cifar10/val_accuracy@{epochs}/mean"], test.y).statistic
        for epochs in (4, 12, 36)
    }
    assert tau == pytest.approx({4: 0.367, 12: 0.476, 36: 0.685}, abs=0.0006)
    assert kendalltau(test.labels[TEST], test.y).statistic == pytest.approx(0.946, abs=0.0006)


def test_graphs_hash_to_the_official_hashes(dataset: ArchDataset, cells: dict[str, np.ndarray]) -> None:
    rows = np.random.default_rng(0).choice(len(dataset), 500, replace=False)
    np.testing.assert_array_equal(dataset.graphs[rows].hash(), cells["hash"][rows])


def test_a_published_split_refuses_a_label_it_lacks(dataset: ArchDataset) -> None:
    with pytest.raises(InvalidTable, match="ta7290") as caught:
        dataset.with_label("cifar10/val_accuracy@108/single").split("ta7290", train_size=10)
    assert_one_sentence(caught.value)


# -- the whole space -----------------------------------------------------------------------------------------


def test_the_space_table(data_root: Path, dataset: ArchDataset, cells: dict[str, np.ndarray]) -> None:
    space = archenc.load_dataset("nasbench101-space")
    assert len(space) == 423_624
    assert (space.y.min(), space.y.max()) == (227_274, 49_979_274)
    assert np.bincount(space.graphs.mask.sum(1).numpy()).tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]
    np.testing.assert_array_equal(space.y[cells["space_index"]], dataset.labels["cifar10/parameters"])
    rows = np.arange(0, len(dataset), 997)
    np.testing.assert_array_equal(
        space.graphs[cells["space_index"][rows]].hash(), dataset.graphs[rows].hash()
    )


def test_without_the_table_the_space_is_enumerated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = NASBench101().enumerate(4)
    calls = []

    def enumerate_small(self: NASBench101) -> object:
        calls.append(1)
        return small

    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "no data"))
    monkeypatch.setattr(nasbench101, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(nasbench101, "SPACE", len(small))
    monkeypatch.setattr(NASBench101, "enumerate", enumerate_small)
    first = nasbench101.load_space()
    assert first.labels == {}
    with pytest.raises(InvalidTable, match="no labels"):
        _ = first.y
    again = nasbench101.load_space()
    assert calls == [1], "the second time it comes from the cache folder"
    assert again.digest == first.digest
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert nasbench101.load_space().digest == first.digest, "a damaged cache is made again"
    assert calls == [1, 1]


def test_without_the_tables_the_remedy_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="ARCHENC_DATA") as caught:
        archenc.load_dataset("nasbench101")
    assert_one_sentence(caught.value)


# -- the recipe ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(data_root: Path) -> dict[str, dict[str, np.ndarray]]:
    tables = {}
    for name in ("space", "cells"):
        with np.load(data_root / "nasbench101" / f"{name}.npz", allow_pickle=False) as table:
            tables[name] = dict(table)
    return tables


def test_the_table_from_the_public_files(
    mirror: Path, real: dict[str, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the cells from the table of all cells, which building that table is tested against on its own."""
    monkeypatch.setattr(recipe, "enumerated", lambda: real["space"])
    known = read_manifest("nasbench101")
    tables = recipe.build({name: mirror / source.key for name, source in known.sources.items()})
    assert {path: content_digest(table) for path, table in tables.items()} == known.tables
    uniform = np.flatnonzero(real["cells"]["source"] & 3)
    whole = len(real["cells"]["hash"])
    for name, values in tables["nasbench101/cells.npz"].items():
        expected = real["cells"][name]
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected[uniform] if len(expected) == whole else expected, name)


@pytest.mark.slow
def test_the_table_of_all_cells(real: dict[str, dict[str, np.ndarray]]) -> None:
    table = recipe.build_space()["nasbench101/space.npz"]
    assert (
        content_digest(table)
        == content_digest(real["space"])
        == read_manifest("nasbench101-space").tables["nasbench101/space.npz"]
    )


def test_the_cells_of_an_extract_have_the_hashes_that_it_states(mirror: Path) -> None:
    [path] = mirror.glob("tiga1231/nasbench-vis/*/static/data/data-1k.json")
    table = json.loads(path.read_text())
    names = {-1: "input", -2: "output", **dict(enumerate(OPERATIONS))}
    cells = []
    for matrix, numbers in zip(table["adjacency"], table["operations"], strict=True):
        nodes = [at for at, number in enumerate(numbers) if number in names]
        cells.append(
            {
                "adjacency": np.array(matrix)[np.ix_(nodes, nodes)].tolist(),
                "ops": [names[numbers[at]] for at in nodes],
            }
        )
    hashes = NASBench101().parse(cells).hash()
    assert [digest.tobytes().hex() for digest in hashes] == table["key"]
    assert len(hashes) == 1_000


def test_the_data_set_from_the_fetched_table(
    real: dict[str, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = archenc.load_dataset("nasbench101")
    cells, uniform = real["cells"], whole.subsets["uniform"]
    path = tmp_path / "nasbench101" / "cells.npz"
    path.parent.mkdir()
    absent = ("val_count", "test_count", "source")
    rows = {
        name: values[uniform] if len(values) == len(whole) else values
        for name, values in cells.items()
        if name not in absent
    }
    np.savez_compressed(path, **rows)
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    dataset = archenc.load_dataset("nasbench101")
    assert (len(dataset), dataset.label, dataset.splits) == (30_001, "cifar10/val_accuracy@108/single", {})
    assert any("one of three validation repeats" in note for note in dataset.provenance.notes)
    part = whole.subset("uniform")
    assert set(dataset.labels) == {
        name for name in part.labels if "mean" not in name and "repeat" not in name
    }
    for name, values in dataset.labels.items():
        np.testing.assert_array_equal(values, part.labels[name], name)
    np.testing.assert_array_equal(dataset.graphs.ops, part.graphs.ops)
    np.testing.assert_array_equal(dataset.graphs.adjacency, part.graphs.adjacency)
    check_dataset("nasbench101")

    rows["val_single_count"][7, 3] += 1
    np.savez_compressed(path, **rows)
    with pytest.raises(CorruptFile, match="not the published ones") as caught:
        archenc.load_dataset("nasbench101")
    assert_one_sentence(caught.value)


# -- in small ------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Sources of the same form about the 91 cells of at most four nodes; 20 and 10 of them are measured, and
    the halves hold 5 each.
    """
    space = NASBench101()
    graphs, hashes = space.enumerate_with_hashes(4)
    n_nodes, adj_bits, ops5 = space.to_bits(graphs)
    params = space.costs(graphs)["parameters"].astype(np.int32)
    table = {"hash": hashes, "n_nodes": n_nodes, "adj_bits": adj_bits, "ops5": ops5, "params": params}
    monkeypatch.setattr(recipe, "enumerated", lambda: table)
    monkeypatch.setattr(recipe, "ROWS", {"cells_20k": 20, "cells_10k": 10})
    monkeypatch.setattr(recipe, "TA7290", 5)
    files = {}
    for name, rows in (("cells_20k", np.arange(20)), ("cells_10k", np.arange(40, 50))):
        accuracies = {
            f"{epochs}_final_validation_accuracy": ((rows + epochs) / 9984).astype(np.float32)
            for epochs in (4, 12, 36, 108)
        }
        columns: dict[str, Any] = {name: values.astype(float).tolist() for name, values in accuracies.items()}
        columns |= {
            "key": [hashes[row].tobytes().hex() for row in rows],
            "trainable_parameters": params[rows].tolist(),
        }
        columns |= {"final_training_time": (100.5 + rows).tolist(), "something else": [1]}
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(columns))
    for name, half in (("ta7290_train", [9, 3, 7, 1, 0]), ("ta7290_test", [90, 80, 70, 60, 50])):
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], np.array(half))
    return files


def test_what_becomes_of_the_sources(small: Mapping[str, Path]) -> None:
    tables = recipe.build(small)
    cells, splits = tables["nasbench101/cells.npz"], tables["nasbench101/splits.npz"]
    rows = np.concatenate([np.arange(20), np.arange(40, 50)])
    np.testing.assert_array_equal(cells["space_index"], rows)
    np.testing.assert_array_equal(cells["val_single_count"], rows[:, None] + [4, 12, 36, 108])
    np.testing.assert_array_equal(cells["train_time_108_single"], 100.5 + rows)
    graphs = NASBench101().from_arrays(cells["adjacency"], cells["ops"], cells["n_nodes"])
    np.testing.assert_array_equal(graphs.hash(), cells["hash"])
    assert splits["ta7290_train_space_index"].tolist() == [9, 3, 7, 1, 0], "in the published order"
    np.testing.assert_array_equal(
        splits["ta7290_test_hash"], recipe.enumerated()["hash"][[90, 80, 70, 60, 50]]
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"key": ["00" * 16] * 20}, "that of no cell"),
        ({"key": ["xyz"] * 20}, "not the hexadecimal"),
        ({"key": [7] * 20}, "not the hexadecimal"),
        ({"key": []}, "'key' is not a list of 20 values"),
        ({"trainable_parameters": [1] * 20}, "are not those of its network"),
        ({"trainable_parameters": [None] * 20}, "other than finite numbers"),
        ({"36_final_validation_accuracy": [1.5] * 20}, "no share|not a share"),
        ({"36_final_validation_accuracy": [0.50003] * 20}, "not a share"),
        ({"final_training_time": [float("nan")] * 20}, "not valid JSON"),
        ({"final_training_time": [[1.0]] * 20}, "other than finite numbers"),
    ],
)
def test_a_bad_extract_is_refused(small: Mapping[str, Path], change: dict[str, Any], match: str) -> None:
    path = small["cells_20k"]
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(small, path, match)


@pytest.mark.parametrize(
    ("content", "match"), [("[]", "instead of an object"), ("{", "not valid JSON"), ("", "not valid JSON")]
)
def test_a_file_of_another_kind_is_refused(small: Mapping[str, Path], content: str, match: str) -> None:
    small["cells_10k"].write_text(content)
    refused(small, small["cells_10k"], match)


def test_a_cell_in_both_extracts_is_refused(small: Mapping[str, Path]) -> None:
    ten, twenty = (json.loads(small[name].read_text()) for name in ("cells_10k", "cells_20k"))
    small["cells_10k"].write_text(
        json.dumps({name: values[:10] if len(values) > 1 else ten[name] for name, values in twenty.items()})
    )
    refused(small, small["cells_10k"], "in the other extract")


@pytest.mark.parametrize(
    "rows",
    [
        [1, 2, 3, 4],
        [1, 2, 3, 4, 4],
        [1, 2, 3, 4, 91],
        [-1, 2, 3, 4, 5],
        [0.5, 1, 2, 3, 4],
        [[1], [2], [3], [4], [5]],
    ],
)
def test_bad_positions_are_refused(small: Mapping[str, Path], rows: list[Any]) -> None:
    np.save(small["ta7290_test"], np.array(rows))
    refused(small, small["ta7290_test"], "does not hold 5 different positions")


def test_a_file_that_is_no_array_is_refused(small: Mapping[str, Path]) -> None:
    path = small["ta7290_test"]
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:40], whole[:-3], whole[:-8]):
        path.write_bytes(content)
        refused(small, path, "not an .npy file|different positions")


def refused(files: Mapping[str, Path], path: Path, match: str) -> None:
    with pytest.raises(CorruptFile, match=match) as caught:
        recipe.build(files)
    assert_one_sentence(caught.value)
    assert str(path) in str(caught.value)
