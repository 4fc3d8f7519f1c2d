"""NAS-Bench-201, and its cells on simulated analogue hardware."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench201, nasbench201_analog
from archenc.datasets.nasbench201 import HARDWARE, TABLE, ZERO_COST
from archenc.datasets.sources import tables as files
from archenc.errors import CorruptFile, DataNotFound
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from tests.bad_input import assert_one_sentence

CIFAR10_VAL, CIFAR10_TEST = "cifar10/val_accuracy@200/mean", "cifar10/test_accuracy@200/mean"
SIX = (
    CIFAR10_VAL,
    CIFAR10_TEST,
    "cifar100/val_accuracy@200/mean",
    "cifar100/test_accuracy@200/mean",
    "imagenet16-120/val_accuracy@200/mean",
    "imagenet16-120/test_accuracy@200/mean",
)

FROM_PICKLES = {
    *nasbench201.EPOCHS_12,
    "cifar10-valid/test_accuracy@200/mean",
    "cifar10/zc-nwot2020/hamming",
}
"""Labels that fetched tables lack."""


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> ArchDataset:
    return archenc.load_dataset("nasbench201")


def test_default_label_and_descriptions(dataset: ArchDataset) -> None:
    assert dataset.label == CIFAR10_VAL
    assert "25,000" in dataset.descriptions[CIFAR10_VAL], "what the networks were trained on must be said"
    assert len(dataset) == 15_625
    assert dataset.descriptions.keys() == dataset.labels.keys()
    assert len(set(dataset.descriptions.values())) == len(dataset.labels), "no two labels mean the same"
    everything = {*TABLE, *ZERO_COST, *HARDWARE}
    assert len(everything) == 25 + 35 + 57
    assert everything - set(dataset.labels) in (set(), FROM_PICKLES)


def test_best_accuracies_are_the_published_ones(dataset: ArchDataset) -> None:
    best = [dataset.labels[label].max() for label in SIX]
    np.testing.assert_allclose(best, [91.61, 94.37, 73.49, 73.51, 46.73, 47.31], atol=0.006)


def test_the_all_skip_cell_has_the_published_accuracies(dataset: ArchDataset) -> None:
    [row] = [
        k for k, text in enumerate(dataset.space.format(dataset.graphs)) if text.count("skip_connect") == 6
    ]
    np.testing.assert_allclose(
        [dataset.labels[label][row] for label in SIX], [39.77, 54.30, 15.03, 15.61, 16.43, 16.32], atol=0.006
    )


def test_disconnected_cells_and_groups(dataset: ArchDataset) -> None:
    connected = is_connected(live_edges(dataset.graphs).any(1)).numpy()
    assert (~connected).sum() == 341
    assert dataset.labels[CIFAR10_TEST][~connected].max() < 11
    assert len(np.unique(dataset.groups)) == 6_466
    assert (dataset.labels["cifar10/zc-monet/score"] == 0).sum() == 341


def test_parameters_follow_from_the_operations(dataset: ArchDataset) -> None:
    ops = dataset.space.to_ops(dataset.graphs)
    for name, base in (("cifar10", 73_306), ("cifar100", 79_156), ("imagenet16-120", 80_456)):
        expected = base + 28_000 * (ops == 2).sum(1) + 243_040 * (ops == 3).sum(1)
        np.testing.assert_array_equal(dataset.labels[f"{name}/parameters"], expected)
    assert dataset.labels["cifar10/parameters"].min() == 73_306
    assert dataset.labels["cifar10/parameters"].max() == 1_531_546
    assert dataset.labels["cifar10/mflops"].min() == pytest.approx(7.78, abs=0.01)
    assert dataset.labels["cifar10/mflops"].max() == pytest.approx(220.12, abs=0.01)


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ("cifar10/test_accuracy@200/single", CIFAR10_TEST, 0.948),
        (CIFAR10_VAL, CIFAR10_TEST, 0.892),
        ("imagenet16-120/val_accuracy@200/mean", "imagenet16-120/test_accuracy@200/mean", 0.939),
        ("cifar10/test_accuracy@12/seed111", CIFAR10_TEST, 0.700),
        ("cifar100/test_accuracy@12/seed111", "cifar100/test_accuracy@200/mean", 0.644),
        ("cifar10/parameters", CIFAR10_TEST, 0.578),
    ],
)
def test_published_rank_correlations(dataset: ArchDataset, first: str, second: str, tau: float) -> None:
    from scipy.stats import kendalltau

    assert kendalltau(dataset.labels[first], dataset.labels[second]).statistic == pytest.approx(
        tau, abs=0.0006
    )


@pytest.mark.parametrize(("name", "tau"), [("cifar100", 0.885), ("imagenet16-120", 0.905)])
def test_two_different_seeds_agree_as_published(dataset: ArchDataset, name: str, tau: float) -> None:
    from scipy.stats import kendalltau

    single, seed = (
        dataset.labels[f"{name}/test_accuracy@200/single"],
        dataset.labels[f"{name}/test_accuracy@200/seed888"],
    )
    different = single != seed  # the random seed is 888 for about every third cell
    assert kendalltau(single[different], seed[different]).statistic == pytest.approx(tau, abs=0.0006)


@pytest.mark.parametrize(
    ("proxy", "rho"),
    [
        ("zc-nbsz/nwot", 0.811),
        ("zc-nbsz/jacov", 0.799),
        ("zc-nbsz/params", 0.799),
        ("zc-nbsz/synflow", 0.778),
        ("zc-nbsz/epe_nas", 0.772),
        ("zc-nbsz/zen", 0.114),
        ("zc-nbsz/plain", -0.352),
        ("zc-monet/score", 0.772),
        ("zc-monet/naswot", 0.783),
        ("zc-monet/nasi", 0.522),
    ],
)
def test_published_proxies(dataset: ArchDataset, proxy: str, rho: float) -> None:
    from scipy.stats import spearmanr

    chosen = dataset.with_label(f"cifar10/{proxy}")
    rows = chosen.labelled_rows()
    assert spearmanr(chosen.y[rows], dataset.labels[CIFAR10_TEST][rows]).statistic == pytest.approx(
        rho, abs=0.0011
    )
    if proxy.startswith("zc-nbsz"):
        assert len(rows) in (9_444, 9_445), "at most the one failed cell is left out"
        assert chosen.y[rows].min() > -1e8


def test_hardware(dataset: ArchDataset) -> None:
    latency = dataset.labels["cifar10/latency_ms/hwnas-edgetpu"]
    assert np.isnan(latency).sum() == 4_699
    np.testing.assert_array_equal(
        dataset.labels["cifar10/latency_ms/hwnas-pixel3"], dataset.labels["cifar10/latency_ms/help-pixel3"]
    )
    assert dataset.labels["cifar10/latency_ms/hwnas-edgegpu"][0] == pytest.approx(5.80741854)
    assert dataset.labels["cifar10/energy_mj/hwnas-edgegpu"][0] == pytest.approx(24.22661433)


def test_extra_tables_are_optional(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nasbench201").mkdir()
    shutil.copy(data_root / "nasbench201" / "table.npz", tmp_path / "nasbench201")
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    dataset = nasbench201.load()
    assert len(dataset.labels) in (25, 25 - 4)
    assert list(dataset.provenance.files) == [str(tmp_path / "nasbench201" / "table.npz")]


def test_a_compressed_otherwise_but_equal_table_is_accepted_and_a_changed_one_is_not(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(data_root / "nasbench201" / "table.npz", allow_pickle=False) as table:
        arrays = dict(table)
    path = tmp_path / "nasbench201" / "table.npz"
    path.parent.mkdir()
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    np.savez(path, **arrays)
    assert len(nasbench201.load()) == 15_625
    arrays["cifar10valid_val_acc_ep200_meanseeds"][7] += 0.01
    np.savez(path, **arrays)
    with pytest.raises(CorruptFile, match=r"table\.npz") as caught:
        nasbench201.load()
    assert_one_sentence(caught.value)


def without(arrays: dict[str, np.ndarray], labels: set[str]) -> dict[str, np.ndarray]:
    fields = {TABLE[label].field for label in labels}
    return {field: values for field, values in arrays.items() if field not in fields}


EPOCHS_12, FIRST_RELEASE = set(nasbench201.EPOCHS_12), {"cifar10-valid/test_accuracy@200/mean"}


def test_a_table_may_lack_a_whole_group_of_labels_but_no_part_of_one(
    dataset: ArchDataset, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not set(dataset.labels) >= FROM_PICKLES:
        pytest.skip("needs the table with the labels that are not fetched")
    with np.load(data_root / "nasbench201" / "table.npz", allow_pickle=False) as table:
        arrays = dict(table)
    path = tmp_path / "nasbench201" / "table.npz"
    path.parent.mkdir()
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    for missing in (EPOCHS_12, FIRST_RELEASE, EPOCHS_12 | FIRST_RELEASE):
        np.savez(path, **without(arrays, missing))
        loaded = nasbench201.load()
        assert set(loaded.labels) == set(TABLE) - missing
        assert all(label in loaded.provenance.notes[-1] for label in missing)
    np.savez(path, **arrays)
    assert all("pickled" not in note for note in nasbench201.load().provenance.notes), "nothing is missing"

    changed = without(arrays, FIRST_RELEASE)
    changed[TABLE[nasbench201.EPOCHS_12[0]].field] = arrays["index"].astype(np.float64)
    for wrong, message in (
        (without(arrays, {nasbench201.EPOCHS_12[1]}), "no array 'cifar100_val_acc_ep12_oneseed'"),
        (without(arrays, {CIFAR10_VAL}), "no array 'cifar10valid_val_acc_ep200_meanseeds'"),
        (changed, "not the published ones"),
    ):
        np.savez(path, **wrong)
        with pytest.raises(CorruptFile, match=message) as caught:
            nasbench201.load()
        assert_one_sentence(caught.value)


def test_without_the_table_the_remedy_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="ARCHENC_DATA") as caught:
        archenc.load_dataset("nasbench201")
    assert_one_sentence(caught.value)


# -- on analogue hardware, from a package --------------------------------------------------------------------

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("analognasbench") is None, reason="analog-nasbench is not installed"
)


@pytest.fixture(scope="module")
def analog() -> ArchDataset:
    return archenc.load_dataset("nasbench201-analog")


@needs_package
def test_the_package_is_never_imported(analog: ArchDataset) -> None:
    assert len(analog) == 15_625
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
    analog: ArchDataset, label: str, best: float, key: tuple[int, ...], mean: float, worst: float
) -> None:
    y = analog.with_label(f"cifar10/{label}").y
    digits = 0.5 * 10.0 ** -len(str(best).split(".")[1])
    assert y.max() == pytest.approx(best, abs=max(digits, 0.005))
    assert y.mean() == pytest.approx(mean, abs=0.005)
    assert y.min() == pytest.approx(worst, abs=0.005)
    assert analog.space.format(analog.graphs[int(y.argmax())]) == analog.space.format(
        analog.space.from_naslib([key])
    )


@needs_package
def test_exactly_the_disconnected_cells_are_at_chance(analog: ArchDataset) -> None:
    connected = is_connected(live_edges(analog.graphs).any(1)).numpy()
    assert (~connected).sum() == 341
    assert set(analog.y[~connected]) == {10.0}
    assert analog.y[connected].min() > 35.06


@needs_package
def test_every_cell_of_the_space_once(analog: ArchDataset) -> None:
    assert len(set(analog.space.format(analog.graphs))) == 15_625
    assert analog.duplicates == "kept"


@needs_package
def test_every_label_is_finite_and_described(analog: ArchDataset) -> None:
    assert len(analog.labels) == 5 + 2 * 4 * 2
    assert analog.descriptions.keys() == analog.labels.keys()
    assert analog.label == "cifar10/baseline_accuracy"
    assert all(np.isfinite(values).all() for values in analog.labels.values())


@needs_package
def test_labels_agree_with_nasbench201(analog: ArchDataset, data_root: Path) -> None:
    from scipy.stats import spearmanr

    full = archenc.load_dataset("nasbench201", label="cifar10/test_accuracy@200/mean")
    place = {text: row for row, text in enumerate(analog.space.format(analog.graphs))}
    order = [place[text] for text in full.space.format(full.graphs)]
    for label, published in (
        ("baseline", 0.9914),
        ("ptq", 0.989),
        ("qat", 0.936),
        ("analog", 0.825),
        ("noisy", 0.499),
    ):
        y = analog.labels[f"cifar10/{label}_accuracy"][order]
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
