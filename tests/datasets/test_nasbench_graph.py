from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench_graph
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from archenc.spaces.nasbench_graph import NASBenchGraph
from tests.bad_input import assert_one_sentence

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("nas_bench_graph") is None, reason="nas-bench-graph is not installed"
)


@pytest.fixture(scope="module")
def dataset() -> ArchDataset:
    return archenc.load_dataset("nasbench-graph")


@needs_package
def test_the_package_is_never_imported(dataset: ArchDataset) -> None:
    assert len(dataset) == 26_206
    assert "nas_bench_graph" not in sys.modules


# data set, best test, at hash, best validation, test at best validation, tau of validation and test
PUBLISHED = [
    ("cora", 0.8313, 77016, 0.8193, 0.8263, 0.554),
    ("citeseer", 0.7157, 47206, 0.7280, 0.7103, 0.773),
    ("pubmed", 0.7860, 21512, 0.8113, 0.7560, 0.382),
    ("cs", 0.9126, 21506, 0.9213, 0.9059, 0.831),
    ("physics", 0.9300, 45155, 0.9400, 0.9135, 0.698),
    ("photo", 0.9279, 30747, 0.9407, 0.9208, 0.747),
    ("computers", 0.8558, 20407, 0.9190, 0.8203, 0.540),
    ("arxiv", 0.7239, 81344, 0.7367, 0.7195, 0.873),
    ("proteins", 0.7926, 85414, 0.8533, 0.7611, 0.353),
]


@needs_package
@pytest.mark.parametrize(("name", "best", "key", "validation", "selected", "tau"), PUBLISHED)
def test_published_facts(
    dataset: ArchDataset, name: str, best: float, key: int, validation: float, selected: float, tau: float
) -> None:
    from scipy.stats import kendalltau

    metric = "roc_auc" if name == "proteins" else "accuracy"
    test = dataset.with_label(f"{name}/test_{metric}/mean")
    val = dataset.labels[f"{name}/val_{metric}/mean"]
    rows = test.labelled_rows()
    assert len(rows) == (2_021 if name == "proteins" else 26_206)
    assert np.nanmax(test.y) == pytest.approx(100 * best, abs=0.006)
    assert np.nanmax(val) == pytest.approx(100 * validation, abs=0.006)
    assert test.y[np.nanargmax(val)] == pytest.approx(100 * selected, abs=0.006)
    assert kendalltau(val[rows], test.y[rows]).statistic == pytest.approx(tau, abs=0.0006)
    found, expected = dataset.graphs[int(np.nanargmax(test.y))], NASBenchGraph().from_hashes(np.array([key]))
    assert dataset.space.format(found) == dataset.space.format(expected)


@needs_package
def test_units(dataset: ArchDataset) -> None:
    cora = dataset.labels["cora/test_accuracy/mean"] * 30  # multiples of 1/3000, in percent
    np.testing.assert_allclose(cora, np.round(cora), atol=1e-6)
    parameters = dataset.labels["cora/parameters"]
    np.testing.assert_array_equal(parameters, np.round(parameters))
    assert parameters.min() == 436_743
    latency = np.concatenate(
        [values[np.isfinite(values)] for name, values in dataset.labels.items() if name.endswith("/latency")]
    )
    assert 0.0003 < latency.min() < latency.max() < 0.58


@needs_package
def test_every_label_is_described_and_the_default_is_documented(dataset: ArchDataset) -> None:
    assert len(dataset.labels) == 9 * 4
    assert dataset.descriptions.keys() == dataset.labels.keys()
    assert dataset.label == "cora/val_accuracy/mean"
    assert len(dataset.provenance.files) == 9


@needs_package
def test_no_two_rows_are_isomorphic(dataset: ArchDataset) -> None:
    assert len(np.unique(dataset.graphs.hash(), axis=0)) == len(dataset)
    assert dataset.duplicates == "none"


def test_without_the_package_the_pip_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataNotFound, match=r"pip install --no-deps nas-bench-graph==1\.4\.0") as caught:
        nasbench_graph.load()
    assert_one_sentence(caught.value)


def _pickled(scalar: str) -> bytes:
    """One entry whose ``para`` is made by the given program, as protocol 2 writes numpy's scalars."""
    entry = pickle.dumps({"valid_perf": 0.5, "perf": 0.25, "latency": 1.0}, 2)[2:-1]
    return b"\x80\x02}(M\x57\x04" + entry + b"X\x04\x00\x00\x00para" + scalar.encode("latin-1") + b"su."


_DTYPE = (
    "cnumpy\ndtype\n(X\x02\x00\x00\x00{}\x89\x88tR(K\x03X\x01\x00\x00\x00{}"
    "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
_SCALAR = "cnumpy.core.multiarray\nscalar\n({}C\x08{}tR"
_ONE_HALF = "\x00\x00\x00\x00\x00\x00\xe0?"


def test_numpy_scalars_are_read_without_numpy(tmp_path: Path) -> None:
    content = _pickled(_SCALAR.format(_DTYPE.format("f8", "<"), _ONE_HALF))
    path = tmp_path / "one.bench"
    path.write_bytes(content)
    hashes, values = nasbench_graph.read_table(path, hashlib.sha256(content).hexdigest())
    assert hashes.tolist() == [1111]
    assert values.tolist() == [[0.5, 0.25, 1.0, 0.5]]


@pytest.mark.parametrize(
    ("scalar", "message"),
    [
        (_SCALAR.format(_DTYPE.format("O8", "|"), _ONE_HALF), "dtype"),
        (_SCALAR.format(_DTYPE.format("f8", ">"), _ONE_HALF), "state"),
        (_SCALAR.format("N", _ONE_HALF), "other than a double"),
        ("cnumpy.core.multiarray\n_reconstruct\n", "_reconstruct"),
        ("cos\nsystem\n(X\x02\x00\x00\x00lstR", "os.system"),
    ],
)
def test_anything_but_doubles_is_refused(tmp_path: Path, scalar: str, message: str) -> None:
    content = _pickled(scalar)
    path = tmp_path / "one.bench"
    path.write_bytes(content)
    with pytest.raises(UnsafePickle, match=message) as caught:
        nasbench_graph.read_table(path, hashlib.sha256(content).hexdigest())
    assert_one_sentence(caught.value)


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cora.bench"
    path.write_bytes(_pickled("N"))
    with pytest.raises(CorruptFile, match="SHA-256") as caught:
        nasbench_graph.read_table(path, nasbench_graph.SHA256["cora"])
    assert_one_sentence(caught.value)
