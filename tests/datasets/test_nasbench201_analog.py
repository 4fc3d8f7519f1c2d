from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench201_analog
from archenc.datasets.sources import tables as files
from archenc.errors import CorruptFile, DataNotFound
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from tests.bad_input import assert_one_sentence

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("analognasbench") is None, reason="analog-nasbench is not installed"
)


@pytest.fixture(scope="module")
def dataset() -> ArchDataset:
    return archenc.load_dataset("nasbench201-analog")


@needs_package
def test_the_package_is_never_imported(dataset: ArchDataset) -> None:
    assert len(dataset) == 15_625
    assert "analognasbench" not in sys.modules


@needs_package
@pytest.mark.parametrize(
    ("label", "best", "key", "mean", "worst"),
    [
        ("baseline_accuracy", 94.0664, (2, 2, 0, 2, 3, 2), 86.7727, 10.0),
        ("ptq_accuracy", 93.8408, (2, 2, 0, 2, 3, 2), 85.6730, 10.0),
        ("qat_accuracy", 93.5448, (2, 3, 0, 2, 2, 3), 85.4818, 10.0),
        ("noisy_accuracy", 88.3520, (2, 0, 0, 2, 1, 2), 53.2434, 8.4716),
        ("analog_accuracy", 91.3260, (2, 2, 0, 4, 2, 1), 81.3109, 9.8052),
        ("baseline_drift_accuracy@60s", 85.96, (2, 0, 0, 2, 1, 2), 39.73, 8.67),
        ("baseline_drift_accuracy@2592000s", 64.73, (2, 0, 0, 2, 1, 2), 19.20, 8.59),
        ("analog_drift_accuracy@60s", 90.97, (2, 2, 0, 4, 2, 1), 78.07, 9.87),
        ("analog_drift_accuracy@2592000s", 90.00, (2, 2, 0, 4, 2, 1), 70.86, 7.97),
    ],
)
def test_published_extremes(
    dataset: ArchDataset, label: str, best: float, key: tuple[int, ...], mean: float, worst: float
) -> None:
    y = dataset.with_label(f"cifar10/{label}").y
    digits = 0.5 * 10.0 ** -len(str(best).split(".")[1])
    assert y.max() == pytest.approx(best, abs=max(digits, 0.005))
    assert y.mean() == pytest.approx(mean, abs=0.005)
    assert y.min() == pytest.approx(worst, abs=0.005)
    assert dataset.space.format(dataset.graphs[int(y.argmax())]) == dataset.space.format(
        dataset.space.from_naslib([key])
    )


@needs_package
def test_exactly_the_disconnected_cells_are_at_chance(dataset: ArchDataset) -> None:
    connected = is_connected(live_edges(dataset.graphs).any(1)).numpy()
    assert (~connected).sum() == 341
    assert set(dataset.y[~connected]) == {10.0}
    assert dataset.y[connected].min() > 35.06


@needs_package
def test_every_cell_of_the_space_once(dataset: ArchDataset) -> None:
    assert len(set(dataset.space.format(dataset.graphs))) == 15_625
    assert dataset.duplicates == "kept"


@needs_package
def test_every_label_is_finite_and_described(dataset: ArchDataset) -> None:
    assert len(dataset.labels) == 5 + 2 * 4 * 2
    assert dataset.descriptions.keys() == dataset.labels.keys()
    assert dataset.label == "cifar10/baseline_accuracy"
    assert all(np.isfinite(values).all() for values in dataset.labels.values())


@needs_package
def test_labels_agree_with_nasbench201(dataset: ArchDataset, data_root: Path) -> None:
    from scipy.stats import spearmanr

    full = archenc.load_dataset("nasbench201", label="cifar10/test_accuracy@200/mean")
    place = {text: row for row, text in enumerate(dataset.space.format(dataset.graphs))}
    order = [place[text] for text in full.space.format(full.graphs)]
    for label, published in (
        ("baseline", 0.9914),
        ("ptq", 0.989),
        ("qat", 0.936),
        ("analog", 0.825),
        ("noisy", 0.499),
    ):
        y = dataset.labels[f"cifar10/{label}_accuracy"][order]
        assert spearmanr(y, full.y).statistic == pytest.approx(published, abs=0.0006)


def test_without_the_package_the_pip_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataNotFound, match=r"pip install --no-deps analog-nasbench==0\.1\.3") as caught:
        nasbench201_analog.load()
    assert_one_sentence(caught.value)


@needs_package
def test_a_changed_or_incomplete_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = files.package_file("analognasbench", "data.anb", nasbench201_analog.REQUIREMENT)
    package = tmp_path / "analognasbench"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataNotFound, match="pip install") as caught:
        nasbench201_analog.load()
    assert_one_sentence(caught.value)
    shutil.copy(original, package / "data.anb")
    content = bytearray((package / "data.anb").read_bytes())
    content[1_000_000] ^= 1
    (package / "data.anb").write_bytes(content)
    with pytest.raises(CorruptFile, match="SHA-256") as damaged:
        nasbench201_analog.load()
    assert_one_sentence(damaged.value)
