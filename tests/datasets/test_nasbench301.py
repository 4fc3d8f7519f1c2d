"""NAS-Bench-301 from its official results, and tables of choices from raw lists and lines."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.datasets import choices, nasbench301
from archenc.datasets.sources.fetch import import_file
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from archenc.files.trusted import content_digest
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


# -- HW-GPT-Bench: from its raw lists and from the published lines, and what is wrong with other file --------


FACTS = {"hwgpt-s": (10_000, 22.16, 41.92), "hwgpt-l": (429, 18.58, 29.32)}
BUILD = {"hwgpt-s": choices.build_s, "hwgpt-l": choices.build_l}
NETWORK = {
    "accuracy": 0.4,
    "perplexity": 30.0,
    "arch": {
        "sample_embed_dim": 192,
        "sample_n_layer": 10,
        "sample_n_head": [4] * 12,
        "sample_mlp_ratio": [2] * 12,
        "sample_bias": True,
    },
}


@pytest.mark.parametrize("name", FACTS)
def test_published_facts(name: str, data_root: Path) -> None:
    rows, lowest, highest = FACTS[name]
    try:
        dataset = archenc.load_dataset(name)
    except DataNotFound as missing:
        pytest.skip(str(missing))
    assert len(dataset) == rows == len(np.unique(dataset.graphs.hash(), axis=0))
    assert dataset.label == "openwebtext/val_negative_perplexity/oneshot"
    assert -dataset.y.max() == pytest.approx(lowest, abs=0.005), "higher is better"
    assert -dataset.y.min() == pytest.approx(highest, abs=0.005)
    assert "one-shot" in dataset.descriptions[dataset.label]


@pytest.mark.parametrize("name", FACTS)
def test_the_raw_files_make_the_table_and_the_table_the_data_set(
    name: str, mirror: Path, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(name)
    files = {key: mirror / source.key for key, source in manifest.sources.items()}
    ((path, arrays),) = BUILD[name](files).items()
    assert content_digest(arrays) == manifest.tables[path]
    expected = archenc.load_dataset(name)
    (tmp_path / "hwgpt").mkdir()
    np.savez(tmp_path / path, **arrays)
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    built = archenc.load_dataset(name)
    assert (built.graphs.ops == expected.graphs.ops).all()
    np.testing.assert_array_equal(built.y, expected.y)


def test_changed_lines_are_refused(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = data_root / "hwgpt" / "gpt_l.jsonl.gz"
    if not source.is_file():
        pytest.skip(f"needs {source}")
    (tmp_path / "hwgpt").mkdir()
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    place, lines = tmp_path / "hwgpt" / "gpt_l.jsonl.gz", gzip.decompress(source.read_bytes())
    for content in (
        gzip.compress(lines.replace(b'"embed_dim": 1280', b'"embed_dim": 640', 1)),
        gzip.compress(lines[:1000]),
        gzip.compress(b"[1]\n"),
        lines,
        source.read_bytes()[:100],
    ):
        place.write_bytes(content)
        with pytest.raises(CorruptFile) as caught:
            choices.load_hwgpt_l()
        assert_one_sentence(caught.value)


def test_without_the_table_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="archenc data fetch hwgpt-s"):
        choices.load_hwgpt_s()


class _Asks:
    def __reduce__(self) -> Any:
        return (print, ("no",))


def _changed(**arch: Any) -> list[Any]:
    return [NETWORK | {"arch": NETWORK["arch"] | arch}]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (pickle.dumps([_Asks()]), UnsafePickle, "asks for"),
        (pickle.dumps([NETWORK])[:-20], CorruptFile, "not a whole pickle"),
        (pickle.dumps({}), CorruptFile, "no list of networks"),
        (pickle.dumps([3]), CorruptFile, "is no network"),
        (pickle.dumps(_changed(sample_bias="True")), CorruptFile, "is no network"),
        (pickle.dumps(_changed(sample_n_layer=13)), CorruptFile, "numbers that are none"),
        (pickle.dumps(_changed(sample_n_head=[4] * 9)), CorruptFile, "numbers that are none"),
        (pickle.dumps(_changed(sample_mlp_ratio=[300] * 12)), CorruptFile, "numbers that are none"),
        (pickle.dumps([NETWORK | {"perplexity": "30"}]), CorruptFile, "numbers that are none"),
        (pickle.dumps([NETWORK]), CorruptFile, "1 networks instead of 10,000"),
    ],
)
def test_wrong_raw_files(content: bytes, error: type[CorruptFile], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "0.pkl").write_bytes(content)
    with pytest.raises(error, match=sentence) as caught:
        choices.build_s({"0": tmp_path / "0.pkl"})
    assert_one_sentence(caught.value)
