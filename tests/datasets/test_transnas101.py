from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import transnas101
from archenc.errors import CorruptFile, DataNotFound
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
