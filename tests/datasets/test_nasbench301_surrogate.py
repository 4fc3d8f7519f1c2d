from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.datasets import nasbench301_surrogate
from archenc.errors import CorruptFile
from archenc.files.trusted import open_npz


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
