"""NDS, from files of the published format whose architectures are sampled and whose numbers are synthetic."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import archenc
from archenc.datasets import nds
from archenc.datasets.sources import json_stream
from archenc.datasets.sources.fetch import import_file
from archenc.errors import CorruptFile, DataNotFound
from archenc.testing import check_dataset
from tests.bad_input import assert_one_sentence

ROWS = 9


def genotype(text: str) -> dict[str, Any]:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    fields = {str(k.arg): k.value for k in call.keywords}
    return {
        k: list(eval_range(v)) if isinstance(v, ast.Call) else ast.literal_eval(v) for k, v in fields.items()
    }


def eval_range(tree: ast.Call) -> range:
    return range(*(ast.literal_eval(argument) for argument in tree.args))


def records(family: str) -> list[dict[str, Any]]:
    """Trainings with synthetic numbers."""
    space = archenc.create_space(nds.SPACES[family])
    return [
        {
            "job_id": f"synthetic-{number}",
            "rng_seed": 1,
            "params": 1_000_000.0 + number,
            "flops": 2e8 + number,
            "net": {
                "genotype": genotype(text),
                "width": 16 + number,
                "depth": 20,
                "aux": False,
                "drop_prob": 0.0,
            },
            "optim": {"base_lr": 0.1, "wd": 5e-4, "max_ep": 3},
            "iter_time": 0.25,
            "train_ep_top1": [80.0, 30.0, 5.0 + number],
            "train_ep_loss": [2.0, float("nan"), 0.5],
            "test_ep_top1": [85.0, 40.0, 6.5 + number],
            "min_test_top1": 6.5 + number,
        }
        for number, text in enumerate(space.format(space.sample(ROWS, 1)))
    ]


@pytest.mark.parametrize("family", nds.SPACES)
def test_import_and_load(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    name = f"nds-{family.lower()}"
    with pytest.raises(DataNotFound, match=f"archenc data import {name}") as missing:
        archenc.load_dataset(name)
    assert_one_sentence(missing.value)
    given = records(family)
    (tmp_path / f"{family}.json").write_text(json.dumps(given))
    import_file(name, tmp_path / f"{family}.json")
    check_dataset(name)
    dataset = archenc.load_dataset(name)
    assert list(dataset.descriptions) == list(dataset.labels)
    space = archenc.create_space(nds.SPACES[family])
    assert dataset.space == space
    assert (dataset.graphs.ops == space.sample(ROWS, 1).ops).all(), "with the concat lists of the records"
    assert dataset.label == "cifar10/test_accuracy@last/single"
    assert dataset.y.tolist() == [93.5 - number for number in range(ROWS)]
    assert dataset.labels["cifar10/train_accuracy@last/single"].tolist() == [
        95.0 - number for number in range(ROWS)
    ]
    for label, expected in (("parameters", 1_000_000), ("flops", 200_000_000), ("width", 16)):
        assert dataset.labels[f"cifar10/{label}"].tolist() == [expected + number for number in range(ROWS)]


def test_lists_of_top_and_mid_and_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    given = records("ENAS")
    (tmp_path / "ENAS_in.json").write_text(json.dumps({"top": given[:4], "mid": given[4:]}, indent=1))
    import_file("nds-enas", tmp_path / "ENAS_in.json")
    dataset = archenc.load_dataset("nds-enas")
    assert list(dataset.descriptions) == list(dataset.labels)
    assert dataset.label == "imagenet/test_accuracy@last/single"
    assert dataset.y.tolist() == [93.5 - number for number in range(ROWS)]
    assert any("ENAS_in.json" in note for note in dataset.provenance.notes)


def test_concat_lists_beyond_the_loose_ends_are_kept(tmp_path: Path) -> None:
    given = records("NASNet")
    given[2]["net"]["genotype"]["reduce_concat"] = [2, 3, 4, 5, 6]
    (tmp_path / "NASNet.json").write_text(json.dumps(given))
    table = nds.build("NASNet", tmp_path / "NASNet.json")["nds/nasnet.npz"]
    assert table["concat"][2, 1].all()
    assert not table["concat"].all()


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_records_across_chunks(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    values: list[Any] = [
        {"a": [1, 2.5, "é,]}"]},
        12_345,
        -1.5e3,
        "text",
        None,
        True,
        [],
        {},
        {"b": {"c": [[]]}},
    ]
    path = tmp_path / "values.json"
    for indent in (None, 2):
        path.write_text(json.dumps(values, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
        assert list(json_stream.read_records(path, (), 100)) == values
        path.write_text(
            json.dumps({"top": values, "mid": values[:2]}, indent=indent, ensure_ascii=False),
            encoding="utf-8",
        )
        assert list(json_stream.read_records(path, ("top", "mid"), 100)) == values + values[:2]
    path.write_text("[]")
    assert list(json_stream.read_records(path, (), 100)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "[1, 2",
        "[1 2]",
        "[1,, 2]",
        "[1, 2] 3",
        '{"top": [1]',
        '{"other": [1]}',
        '{"top": 1}',
        "[" * 100_000,
        "[\ud800]",
        '["a',
    ],
)
def test_what_is_no_list_of_records(text: str, tmp_path: Path) -> None:
    path = tmp_path / "DARTS.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorruptFile) as error:
        nds.build("DARTS", path)
    assert_one_sentence(error.value)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "DARTS.json"
    path.write_text(json.dumps(records("DARTS")))
    monkeypatch.setattr(nds, "MAX_RECORDS", ROWS - 1)
    with pytest.raises(CorruptFile, match="more than 8 records"):
        nds.build("DARTS", path)
    path.write_text('["' + 5_000 * "a")
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    monkeypatch.setattr(json_stream, "MAX_RECORD", 1_000)
    with pytest.raises(CorruptFile, match="not a JSON list"):
        nds.build("DARTS", path)
    monkeypatch.setattr(json_stream, "MAX_FILE_BYTES", 1_000)
    with pytest.raises(CorruptFile, match="larger than 1,000 bytes"):
        nds.build("DARTS", path)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("test_ep_top1", [], "test_ep_top1"),
        ("test_ep_top1", None, "test_ep_top1"),
        ("params", "many", "params"),
        ("flops", 1e300, "flops"),
        ("net", {}, "no 'genotype'"),
        ("net", 3, "record 4"),
        ("net", {"genotype": {"normal": [], "reduce": []}, "width": 1, "depth": 1}, "architecture 4"),
    ],
)
def test_what_is_no_record(key: str, value: Any, match: str, tmp_path: Path) -> None:
    given = records("Amoeba")
    given[4][key] = value
    (tmp_path / "Amoeba.json").write_text(json.dumps(given))
    with pytest.raises(CorruptFile, match=match) as error:
        nds.build("Amoeba", tmp_path / "Amoeba.json")
    assert_one_sentence(error.value)


def test_other_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "DARTS.json").write_text(json.dumps(records("DARTS")))
    with pytest.raises(CorruptFile, match="keep the published name") as error:
        nds.build("ENAS", tmp_path / "DARTS.json")
    assert_one_sentence(error.value)
