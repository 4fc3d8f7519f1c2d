from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench101
from archenc.errors import DataNotFound, InvalidTable
from archenc.spaces.nasbench101 import NASBench101
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
