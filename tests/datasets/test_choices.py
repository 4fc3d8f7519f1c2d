"""HW-GPT-Bench: from its raw lists and from the published lines, and what is wrong with other files."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.datasets import choices
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from archenc.files.trusted import content_digest
from tests.bad_input import assert_one_sentence

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
