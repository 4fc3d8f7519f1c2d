from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset

MEAN = "cifar10/test_accuracy@50/mean"


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> ArchDataset:
    return archenc.load_dataset("nasbench-macro")


def test_best_and_worst_are_the_published_ones(dataset: ArchDataset) -> None:
    codes = dataset.space.format(dataset.graphs)
    assert len(set(codes)) == 3**8
    assert dataset.label == MEAN
    assert codes[int(dataset.y.argmax())] == "22212202"
    assert codes[int(dataset.y.argmin())] == "00000000"
    np.testing.assert_allclose(
        [dataset.y.max(), dataset.y.min(), dataset.y.mean()], [93.1267, 45.3633, 90.2466], atol=5e-5
    )


def test_sizes_are_the_published_ones(dataset: ArchDataset) -> None:
    parameters, flops = dataset.labels["cifar10/parameters"], dataset.labels["cifar10/flops"]
    assert (parameters.min(), parameters.max()) == (387_882, 2_932_586)
    assert (flops.min(), flops.max()) == (7_713_280, 105_660_928)


def test_the_mean_is_that_of_the_repeats(dataset: ArchDataset) -> None:
    repeats = [dataset.labels[f"cifar10/test_accuracy@50/repeat{k}"] for k in range(3)]
    np.testing.assert_allclose(np.mean(repeats, axis=0), dataset.y, atol=1e-4)


def test_codes_of_one_network_share_one_training(dataset: ArchDataset) -> None:
    assert dataset.duplicates == "kept"
    assert dataset.groups is not None
    assert len(np.unique(dataset.groups)) == 3_969
    labels = np.stack(list(dataset.labels.values()), axis=1)
    distinct, of_row = np.unique(labels, axis=0, return_inverse=True)
    assert len(distinct) == 3_969
    pairs = np.unique(np.stack([dataset.groups, of_row.reshape(-1)], axis=1), axis=0)
    assert len(pairs) == 3_969, "groups and label rows are one to one"
    assert any("3,969" in note for note in dataset.provenance.notes)


def test_rows_leak_and_groups_do_not(dataset: ArchDataset) -> None:
    train, test = dataset.split(train_size=3_000)
    assert np.isin(test.y, train.y).mean() > 0.3
    train, test = dataset.split(train_size=3_000, group_aware=True)
    assert not np.isin(test.groups, train.groups).any()
    assert len(test) == 6_561 - 3_281


def test_one_row_a_network(data_root: Path) -> None:
    for policy, stated in (("first", "first"), ("mean", "averaged")):
        dataset = archenc.load_dataset("nasbench-macro", dedup=policy)
        assert len(dataset) == 3_969
        assert f"isomorphic duplicates: {stated}" in repr(dataset)
        assert dataset.y.max() == pytest.approx(93.1267, abs=5e-5)
