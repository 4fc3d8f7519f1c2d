"""The recipes on the real public files, which lie in the folder ``$ARCHENC_TEST_MIRROR``: the tables equal
the published ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench201, nasbench_macro
from archenc.datasets.recipes import nasbench201 as nasbench201_recipe
from archenc.datasets.recipes import naslib
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CorruptFile
from archenc.files.trusted import content_digest
from tests.bad_input import assert_one_sentence

Tables = dict[str, dict[str, np.ndarray]]
RECIPES: dict[str, Callable[[Mapping[str, Path]], Tables]] = {
    "nasbench201": nasbench201_recipe.build,
    "transnas101-micro": naslib.transnas101,
    "nasbench-macro": nasbench_macro.build,
    "nasbench301-surrogate": naslib.nasbench301_surrogate,
}
NOT_PUBLIC = {
    "nasbench201/table.npz": {
        "cifar10valid_val_acc_ep12_meanseeds",
        "cifar100_val_acc_ep12_oneseed",
        "imagenet16_120_val_acc_ep12_oneseed",
        "cifar10valid_test_acc_ep200_meanseeds_v10file",
    },
    "nasbench201/zero_cost.npz": {"nwot2020_cifar10_hamming"},
}


def raw_files(name: str, mirror: Path) -> dict[str, Path]:
    return {source.name: mirror / source.key for source in read_manifest(name).sources.values()}


@pytest.fixture(scope="module")
def built(mirror: Path) -> dict[str, Tables]:
    return {name: build(raw_files(name, mirror)) for name, build in RECIPES.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_digests_are_those_of_the_manifest(built: dict[str, Tables], name: str) -> None:
    assert {path: content_digest(table) for path, table in built[name].items()} == read_manifest(name).tables


@pytest.mark.parametrize("name", RECIPES)
def test_every_array_equals_the_published_one(built: dict[str, Tables], data_root: Path, name: str) -> None:
    for path, table in built[name].items():
        if not (data_root / path).is_file():
            pytest.skip(f"needs {data_root / path}")
        with np.load(data_root / path, allow_pickle=False) as published:
            assert set(published.files) - set(table) in (NOT_PUBLIC.get(path, set()), set())
            for field, values in table.items():
                assert values.dtype == published[field].dtype, field
                assert values.tobytes() == published[field].tobytes(), f"{path}: {field}"


def test_what_was_built_loads_and_says_what_it_lacks(
    built: dict[str, Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    (tmp_path / "nasbench201").mkdir()
    for path, table in built["nasbench201"].items():
        np.savez(tmp_path / path, **table)
    dataset = nasbench201.load()
    everything = nasbench201.TABLE | nasbench201.ZERO_COST | nasbench201.HARDWARE
    absent = {
        label for label, column in everything.items() if column.field in set().union(*NOT_PUBLIC.values())
    }
    assert len(absent) == 5
    assert dataset.labels.keys() == dataset.descriptions.keys() == everything.keys() - absent
    assert all(label in dataset.provenance.notes[-1] for label in absent)


@pytest.mark.parametrize(
    ("source", "change", "message"),
    [
        ("test_mean", lambda lines: [lines[0], lines[1], *lines[1:-1]], "a cell occurs twice"),
        (
            "test_mean",
            lambda lines: [*lines[:5], lines[5].replace("~2|", "_9~2|"), *lines[6:]],
            "architecture 4.*_9'",
        ),
        ("test_single", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2 is about the cell"),
        ("test_single", lambda lines: lines[:-1], "15,624 rows instead of 15,625"),
        (
            "monet_cifar10",
            lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
            "line 2 has index '1' instead of 0",
        ),
        (
            "monet_cifar100",
            lambda lines: [*lines[:9], lines[9].replace(",8,", ",8,1", 1), *lines[10:]],
            "line 10 has num_param",
        ),
        ("nbsz_imagenet16_120", lambda lines: [*lines[:-1], lines[1]], "a cell occurs twice"),
        (
            "nbsz_imagenet16_120",
            lambda lines: [*lines[:-1], lines[-1].replace('"(', '"5', 1)],
            "no tuple of 6 numbers",
        ),
    ],
)
def test_changed_files_of_nasbench201_are_refused(
    mirror: Path, tmp_path: Path, source: str, change: Callable[[list[str]], list[str]], message: str
) -> None:
    files = raw_files("nasbench201", mirror)
    lines = files[source].read_text().splitlines(keepends=True)
    files[source] = tmp_path / "changed.csv"
    files[source].write_text("".join(change(lines)))
    with pytest.raises(CorruptFile, match=rf"changed\.csv: .*{message}") as caught:
        nasbench201_recipe.build(files)
    assert_one_sentence(caught.value)


def test_a_file_of_results_that_is_cut_short_is_refused(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.zip"
    shutil.copy(raw_files("transnas101-micro", mirror)["results"], path)
    with path.open("rb+") as stream:
        stream.truncate(500_000)
    with pytest.raises(CorruptFile, match=r"results\.zip: it is not a whole zip file") as caught:
        naslib.transnas101({"results": path})
    assert_one_sentence(caught.value)


# -- more ----------------------------------------------------------------------------------------------------


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
