"""The official results of NAS-Bench-301: files of exactly their format with sampled architectures and
synthetic numbers.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.datasets import nasbench301
from archenc.datasets.sources.fetch import import_file
from archenc.errors import CorruptFile, DataNotFound
from archenc.spaces.genotype.darts import DARTS
from archenc.testing import check_dataset
from tests.bad_input import assert_one_sentence

EDGES = [
    (source, node) for node in range(2, 6) for source in range(node)
]  # in the order in which the files number them
SYNTHETIC = "synthetic: no network was trained"


def result(genotype: np.ndarray, number: int) -> dict[str, Any]:
    """The JSON of one training with synthetic numbers."""
    names = DARTS().choices
    config: dict[str, Any] = {
        "CreateImageDataLoader:batch_size": 96,
        "NetworkSelectorDatasetInfo:darts:auxiliary": "True",
        "NetworkSelectorDatasetInfo:darts:init_channels": 32,
        "NetworkSelectorDatasetInfo:darts:layers": 8,
        "NetworkSelectorDatasetInfo:network": "darts",
        "OptimizerSelector:optimizer": "sgd",
    }
    for cell, edges in zip(("normal", "reduce"), genotype.tolist(), strict=True):
        for e, (source, op) in enumerate(edges):
            config[f"NetworkSelectorDatasetInfo:darts:edge_{cell}_{EDGES.index((source, e // 2 + 2))}"] = (
                names[op]
            )
        for node in (3, 4, 5):
            inputs = sorted(edge[0] for edge in edges[2 * node - 4 : 2 * node - 2])
            config[f"NetworkSelectorDatasetInfo:darts:inputs_node_{cell}_{node}"] = "{}_{}".format(*inputs)
    return {
        "final_metric_score": -(80.0 + number),
        "optimized_hyperparamater_config": config,
        "budget": 98,
        "info": [
            {
                "train_accuracy": 95.5,
                "val_accuracy": 80.0 + number,
                "epochs": 97,
                "model_parameters": 1_000_000 + number,
            }
        ],
        "test_accuracy": 79.5 + number,
        "runtime": 3600.5,
        "optimizer": SYNTHETIC,
        "learning_curves": {"Train/val_accuracy": [10.0, 80.0 + number]},
    }


@pytest.fixture
def genotypes() -> np.ndarray:
    return DARTS().to_genotypes(DARTS().sample(12, 0))


@pytest.fixture
def folder(tmp_path: Path, genotypes: np.ndarray) -> Path:
    for number, genotype in enumerate([*genotypes, genotypes[3]]):
        place = tmp_path / "official" / ("rs" if number % 2 else "de")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"results_{number:02}.json").write_text(json.dumps(result(genotype, number)))
    (tmp_path / "official" / "README.txt").write_text("not a result")
    return tmp_path / "official"


@pytest.fixture
def archive(folder: Path) -> Path:
    path = folder.parent / "official.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in folder.rglob("*"):
            made.write(file, file.relative_to(folder.parent))
    return path


ORDER = [*range(0, 13, 2), *range(1, 13, 2)]  # of the files by name, de before rs


def test_folder_and_zip_give_the_same_table(folder: Path, archive: Path, genotypes: np.ndarray) -> None:
    table = nasbench301.build(archive)[nasbench301.PATH]
    for name, values in nasbench301.build(folder)[nasbench301.PATH].items():
        np.testing.assert_array_equal(table[name], values)
    expected = DARTS().from_genotypes([*genotypes, genotypes[3]])[ORDER]
    assert (DARTS().from_genotypes(table["genotype"]).ops == expected.ops).all()
    assert table["val_accuracy"].tolist() == [80.0 + number for number in ORDER]


def test_the_imported_data_set(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    with pytest.raises(DataNotFound, match="archenc data import nasbench301") as missing:
        archenc.load_dataset("nasbench301")
    assert_one_sentence(missing.value)
    [path] = import_file("nasbench301", archive)
    assert path == tmp_path / "data" / nasbench301.PATH
    check_dataset("nasbench301")
    dataset = archenc.load_dataset("nasbench301")
    assert list(dataset.descriptions) == list(dataset.labels)
    assert dataset.label == "cifar10/val_accuracy@last/single"
    assert dataset.labels["cifar10/test_accuracy@last/single"].tolist() == [79.5 + number for number in ORDER]
    assert dataset.labels["cifar10/parameters"][0] == 1_000_000
    assert {name: set(dataset.labels[f"cifar10/{name}"]) for name in ("epochs", "channels", "layers")} == {
        "epochs": {98.0},
        "channels": {32.0},
        "layers": {8.0},
    }
    assert dataset.groups is not None
    assert dataset.groups[ORDER.index(3)] == dataset.groups[ORDER.index(12)], (
        "one cell that was trained twice"
    )
    assert len(np.unique(dataset.groups)) == 12


def test_one_published_result() -> None:
    """The wiring of the example in the benchmark's own tests: edges 2 and 3 enter node 3, 5 and 7 node 4, 10
    and 11 node 5.
    """
    edges = {
        0: "skip_connect",
        1: "sep_conv_3x3",
        2: "sep_conv_3x3",
        3: "skip_connect",
        5: "dil_conv_3x3",
        7: "dil_conv_5x5",
    }
    edges |= {10: "sep_conv_3x3", 11: "skip_connect"}
    config: dict[str, Any] = {
        f"NetworkSelectorDatasetInfo:darts:edge_normal_{number}": op for number, op in edges.items()
    }
    config |= {
        f"NetworkSelectorDatasetInfo:darts:inputs_node_normal_{node}": text
        for node, text in ((3, "0_1"), (4, "0_2"), (5, "1_2"))
    }
    pairs = [(source, DARTS().choices[op]) for source, op in nasbench301._cell(config, "normal")]
    assert pairs == [
        *[(0, "skip_connect"), (1, "sep_conv_3x3"), (0, "sep_conv_3x3"), (1, "skip_connect")],
        *[(0, "dil_conv_3x3"), (2, "dil_conv_5x5"), (1, "sep_conv_3x3"), (2, "skip_connect")],
    ]


def changed(path: tuple[Any, ...], value: Any) -> Any:
    def change(record: dict[str, Any]) -> None:
        for key in path[:-1]:
            record = record[key]
        if value is None:
            del record[path[-1]]
        else:
            record[path[-1]] = value

    return change


CONFIG = "optimized_hyperparamater_config"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed(("test_accuracy",), None), "no 'test_accuracy'"),
        (changed(("test_accuracy",), "97"), "test_accuracy is '97'"),
        (changed(("test_accuracy",), float("nan")), "test_accuracy is nan"),
        (changed(("info",), []), "index"),
        (changed((CONFIG,), []), "list"),
        (
            changed((CONFIG, "NetworkSelectorDatasetInfo:darts:inputs_node_normal_4"), "0_4"),
            "node 4 of the normal cell",
        ),
        (
            changed((CONFIG, "NetworkSelectorDatasetInfo:darts:inputs_node_normal_5"), "a_b"),
            "invalid literal",
        ),
        (changed((CONFIG, "NetworkSelectorDatasetInfo:darts:edge_normal_0"), "conv_9x9"), "no 'conv_9x9'"),
        (changed((CONFIG, "NetworkSelectorDatasetInfo:darts:edge_normal_17"), "skip_connect"), "edge 17"),
    ],
)
def test_what_is_no_result(genotypes: np.ndarray, tmp_path: Path, change: Any, match: str) -> None:
    record = result(genotypes[0], 0)
    change(record)
    (tmp_path / "results_0.json").write_text(json.dumps(record))
    with pytest.raises(CorruptFile, match=match) as error:
        nasbench301.build(tmp_path)
    assert_one_sentence(error.value)


def test_files_that_are_none(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:-40])
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "a.json").write_text("[" * 100_000)
    for path in (tmp_path / "empty", cut, deep):
        with pytest.raises(CorruptFile) as error:
            nasbench301.build(path)
        assert_one_sentence(error.value)
    monkeypatch.setattr(nasbench301, "MAX_FILE_BYTES", 500)
    with pytest.raises(CorruptFile, match="larger than 500 bytes"):
        nasbench301.build(archive)
    monkeypatch.setattr(nasbench301, "MAX_FILES", 3)
    with pytest.raises(CorruptFile, match="more than 3"):
        nasbench301.build(archive)
