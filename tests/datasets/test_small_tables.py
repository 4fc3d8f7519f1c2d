"""TransNAS-Bench-101 and the surrogate of NAS-Bench-301: their tables, read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench301_surrogate, transnas101
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.trusted import open_npz
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from tests.bad_input import assert_one_sentence

PUBLISHED = {
    "class_scene/val_accuracy@last/single": (54.9363, 7.4841),
    "class_object/val_accuracy@last/single": (45.5862, 21.2032),
    "room_layout/val_negative_loss@last/single": (-0.6010, -1.0943),
    "jigsaw/val_accuracy@last/single": (95.3722, 0.0348),
    "segmentsemantic/val_pixel_accuracy@last/single": (94.6125, 91.6412),
    "normal/val_ssim@last/single": (0.5873, 0.2057),
    "autoencoder/val_ssim@last/single": (0.5772, 0.0012),
}


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> ArchDataset:
    if not (data_root / "transnas101" / "micro.npz").is_file():
        pytest.skip(f"needs {data_root / 'transnas101' / 'micro.npz'}")
    return archenc.load_dataset("transnas101-micro")


def test_labels(dataset: ArchDataset) -> None:
    assert len(dataset) == 4_096
    assert dataset.labels.keys() == dataset.descriptions.keys() == PUBLISHED.keys()
    assert dataset.label == "class_scene/val_accuracy@last/single"
    for label, description in dataset.descriptions.items():
        assert "validation data, last epoch, one training" in description, label
    assert dataset.labels[dataset.label].dtype == np.float64


@pytest.mark.parametrize(("label", "extremes"), PUBLISHED.items())
def test_best_and_worst_of_every_task(
    dataset: ArchDataset, label: str, extremes: tuple[float, float]
) -> None:
    y = dataset.labels[label]
    np.testing.assert_allclose([y.max(), y.min()], extremes, atol=0.00006)


def test_the_disconnected_cells_are_the_worst_of_four_tasks(dataset: ArchDataset) -> None:
    connected = is_connected(live_edges(dataset.graphs).any(1)).numpy()
    assert (~connected).sum() == 169
    for label in PUBLISHED:
        if label.startswith(("class_scene", "room_layout", "normal", "autoencoder")):
            y = dataset.labels[label]
            assert y[~connected].max() <= y[connected].min(), label


def test_cells_with_the_same_labels_are_in_one_group(dataset: ArchDataset) -> None:
    """A split by groups does not put one training on both sides."""
    rows = np.unique(np.stack(list(dataset.labels.values())), axis=1, return_inverse=True)[1].ravel()
    assert dataset.groups is not None
    assert len(np.unique(rows)) == 2_994
    assert len(np.unique(dataset.groups)) == 937
    assert len(np.unique(np.stack([rows, dataset.groups]), axis=1).T) == 2_994
    assert dataset.duplicates == "kept"


def test_changed_tables_are_refused(
    dataset: ArchDataset, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(data_root / transnas101.TABLE.path, allow_pickle=False) as table:
        arrays = dict(table)
    arrays["jigsaw_valid_top1_final"][5] += 1
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    (tmp_path / "transnas101").mkdir()
    np.savez(tmp_path / transnas101.TABLE.path, **arrays)
    with pytest.raises(CorruptFile, match="not the published ones") as caught:
        transnas101.load()
    assert_one_sentence(caught.value)


def test_without_the_table_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="archenc data fetch transnas101-micro") as caught:
        transnas101.load()
    assert_one_sentence(caught.value)


# -- more ----------------------------------------------------------------------------------------------------


@pytest.fixture
def table(data_root: Path) -> dict[str, np.ndarray]:
    return open_npz(data_root / nasbench301_surrogate.TABLE.path, None, 2**25)


def test_published_facts(table: dict[str, np.ndarray]) -> None:
    dataset = archenc.load_dataset("nasbench301-surrogate")
    assert len(dataset) == 1_218
    assert "surrogate" in dataset.label, "a prediction must not look like a measurement"
    assert list(dataset.labels) == [dataset.label]
    assert "predicts" in dataset.descriptions[dataset.label]
    assert dataset.y.min() == pytest.approx(90.73, abs=0.005)
    assert dataset.y.max() == pytest.approx(94.49, abs=0.005)
    assert dataset.y.mean() == pytest.approx(93.11, abs=0.005)
    both = table["surrogate_val_acc"]
    assert np.isfinite(both[:, 1]).sum() == 7
    np.testing.assert_array_equal(dataset.y, both[:, 0])


def test_genotypes_are_those_of_the_table(table: dict[str, np.ndarray]) -> None:
    dataset, unlabelled = (
        archenc.load_dataset("nasbench301-surrogate"),
        archenc.load_dataset("nasbench301-unlabelled"),
    )
    for graphs, field in ((dataset.graphs, "genotype"), (unlabelled.graphs, "unlabelled_genotype")):
        codes = (100 * table[field][..., 0].astype(int) + table[field][..., 1]).reshape(-1, 2, 4, 2)
        ours = dataset.space.to_genotypes(graphs).astype(int)
        np.testing.assert_array_equal(
            np.sort(codes), np.sort((100 * ours[..., 0] + ours[..., 1]).reshape(codes.shape))
        )
    assert len(unlabelled) == 11_221
    assert not unlabelled.labels
    hashes = np.concatenate([dataset.graphs.hash(), unlabelled.graphs.hash()])
    assert len(np.unique(hashes, axis=0)) == 1_218 + 11_221, "no two are isomorphic"


def test_the_texts_of_naslib(table: dict[str, np.ndarray]) -> None:
    """NASLib's text of the first genotype, whose stored value is 93.9010..."""
    text = (
        "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], "
        "[(0, 3), (1, 3), (1, 1), (0, 5), (2, 3), (0, 2), (4, 4), (3, 1)]]"
    )
    dataset = archenc.load_dataset("nasbench301-surrogate")
    [row] = np.flatnonzero((dataset.graphs.hash() == dataset.space.parse(text).hash()).all(1))
    assert dataset.y[row] == pytest.approx(93.901068063, abs=1e-9)


def test_other_values_are_refused(
    table: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table["surrogate_val_acc"][5, 0] += 1e-9
    (tmp_path / "naslib_nb301").mkdir()
    np.savez(tmp_path / "naslib_nb301/surrogate.npz", **table)
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(CorruptFile, match="not the published ones"):
        archenc.load_dataset("nasbench301-surrogate")
