"""Small raw files in which something is wrong: a typed error that names the file."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archenc.datasets import nasbench_macro
from archenc.datasets.recipes import naslib, raw
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from tests.bad_input import assert_one_sentence

# -- CSV -----------------------------------------------------------------------------------------------------

HEADER = ["net", "x"]
CSV = 'net,x\n"(0, 1)",1.5\n"(1, 0)",-2e3\n'


def read_toy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    table = raw.read_csv(path, HEADER, 2)
    return raw.tuples(path, table["net"], 2, 2), raw.floats(path, table, "x")


def test_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text(CSV)
    cells, numbers = read_toy(tmp_path / "raw.csv")
    assert cells.tolist() == [[0, 1], [1, 0]]
    assert cells.dtype == np.uint8
    assert numbers.tolist() == [1.5, -2000.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its columns are  instead of net, x"),
        (CSV.replace("net,x", "net,y"), "its columns are net, y"),
        (CSV.replace("net,x", "x,net"), "its columns are x, net"),
        (
            CSV.replace("net,x", "net,x,z").replace(".5", ".5,0").replace("e3", "e3,0"),
            "its columns are net, x, z",
        ),
        (CSV + '"(0, 0)",1\n', "3 rows instead of 2"),
        (CSV.replace('"(1, 0)",-2e3\n', ""), "1 rows instead of 2"),
        (CSV.replace("1.5", "1.5,7"), "line 2 has another number of fields"),
        (CSV.replace(",-2e3", ""), "line 3 has another number of fields"),
        (CSV.replace('0)"', "0)"), "not CSV"),
        (CSV.replace("1.5", "1\x00.5"), "not CSV|not a|numbers"),
        (CSV.replace("1.5", "ä").encode("latin-1"), "not CSV"),
        (CSV.replace("1.5", "x" * 200_000), "not CSV"),
        (CSV.replace("1.5", "one"), "something other than numbers"),
        (CSV.replace("1.5", ""), "something other than numbers"),
        (CSV.replace("1.5", "nan"), "'nan' in the column 'x', line 2, is not a finite number"),
        (CSV.replace("-2e3", "-2e999"), "'-2e999' in the column 'x', line 3"),
        (CSV.replace("(0, 1)", "(0, 2)"), r"'\(0, 2\)' is no tuple of 2 numbers below 2"),
        (CSV.replace("(0, 1)", "(0,1)"), "no tuple"),
        (CSV.replace("(0, 1)", "(0, 1, 1)"), "no tuple"),
    ],
)
def test_a_csv_file_with_something_wrong(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CorruptFile, match=message) as caught:
        read_toy(path)
    assert "raw.csv" in str(caught.value)
    assert_one_sentence(caught.value)


def test_blank_and_infinite_numbers_where_they_are_allowed(tmp_path: Path) -> None:
    numbers = raw.floats(tmp_path, {"x": ["1", "", "-inf"]}, "x", blank=True)
    np.testing.assert_array_equal(numbers, [1, np.nan, -np.inf])


def test_letters_beyond_ascii(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="ASCII") as caught:
        raw.ascii_array(tmp_path / "raw.csv", ["conv", "convé"])
    assert_one_sentence(caught.value)


# -- zipped results ------------------------------------------------------------------------------------------

CELLS = list(product(range(2), repeat=6))
Records = list[dict[str, Any]]


def records() -> Records:
    return [{"idx": str(k), "arch": str(cell), "val_accuracy": 50.0 + k} for k, cell in enumerate(CELLS)]


def zip_of(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def blocks(results: Any, space: str = "toy", task: str = "room-1") -> dict[str, bytes | str]:
    name = f"zen/benchmark--{space}--{task}--{{}}.json"
    return {"zen/": "", name.format(40): json.dumps(results[40:]), name.format(0): json.dumps(results[:40])}


def read(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return raw.naslib_accuracies(path, "toy", ["room-1"], 2, len(CELLS))


def test_results_in_blocks(tmp_path: Path) -> None:
    cells, values = read(zip_of(tmp_path / "raw.zip", blocks(records())))["room-1"]
    assert {tuple(cell): value for cell, value in zip(cells.tolist(), values.tolist(), strict=True)} == {
        cell: 50.0 + k for k, cell in enumerate(CELLS)
    }


def with_entry(place: int, **changed: Any) -> Records:
    results = records()
    results[place] = results[place] | changed
    return results


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (blocks(records()[:-1]), "63 architectures in 63 entries instead of 64"),
        (blocks([*records()[:-1], records()[0]]), "63 architectures in 64 entries"),
        (blocks(records(), task="kitchen"), "kitchen--0.json is not a list of results of one of room-1"),
        (blocks(records(), space="other"), "0 architectures"),
        (blocks(with_entry(7, arch="(0, 0, 0, 0, 0, 2)")), "no tuple of 6 numbers below 2"),
        (blocks(with_entry(7, arch=[0, 0, 0, 0, 0, 1])), "no tuple"),
        (blocks([{"val_accuracy": 1.0}] * 64), "None is no tuple"),
        (blocks(with_entry(7, val_accuracy="high")), "'high' in val_accuracy of room-1 is not a number"),
        (blocks(with_entry(7, val_accuracy=True)), "True in val_accuracy"),
        (blocks(with_entry(7, val_accuracy=float("nan"))), "not valid JSON .*invalid character"),
        (blocks(with_entry(7, val_accuracy=10**400)), "a whole number beyond 64 bits"),
        (blocks([[1]] * 64), "an entry of .* is a list instead of an object"),
        ({"zen/benchmark--toy--room-1--0.json": "{}"}, "not a list of results"),
        ({"zen/benchmark--toy--room-1--0.json": "[{"}, "not valid JSON"),
        ({"zen/benchmark--toy--room-1--0.json": "[" * 100_000}, "not valid JSON"),
        ({"zen/benchmark--toy--room-1--0.json": b"\xff\xfe"}, "not valid JSON"),
    ],
)
def test_results_with_something_wrong(tmp_path: Path, members: dict[str, bytes | str], message: str) -> None:
    with pytest.raises(CorruptFile, match=message) as caught:
        read(zip_of(tmp_path / "raw.zip", members))
    assert "raw.zip" in str(caught.value)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("kept", [0, 10, 700, -1])
def test_a_zip_file_cut_short(tmp_path: Path, kept: int) -> None:
    path = zip_of(tmp_path / "raw.zip", blocks(records()))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptFile, match=r"raw\.zip: it is not a whole zip file") as caught:
        read(path)
    assert_one_sentence(caught.value)


def test_a_zip_file_with_a_flipped_bit(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "raw.zip", blocks(records()))
    content = bytearray(path.read_bytes())
    content[120] ^= 4
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match="not a whole zip file") as caught:
        read(path)
    assert_one_sentence(caught.value)


def test_a_zip_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "MAX_BYTES", 1_000_000)
    path = zip_of(tmp_path / "raw.zip", {"zen/benchmark--toy--room-1--0.json": b" " * 1_000_001})
    with pytest.raises(CorruptFile, match="inflates to 1,000,001 bytes") as caught:
        read(path)
    assert_one_sentence(caught.value)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound) as caught:
        read(tmp_path / "absent.zip")
    assert_one_sentence(caught.value)


# -- PyTorch lists -------------------------------------------------------------------------------------------


def torch_file(path: Path, content: bytes) -> Path:
    return zip_of(path, {"archive/data.pkl": content, "archive/version": "3\n"})


@pytest.mark.parametrize("values", [[0.5, 1.25, -3.0], [7, 300, 70_000]])
def test_numbers_of_a_pytorch_file(tmp_path: Path, values: list[float]) -> None:
    numbers = raw.torch_numbers(torch_file(tmp_path / "raw.pt", pickle.dumps(values, 2)), 3)
    assert numbers.tolist() == values
    assert numbers.dtype == np.float64


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploited",)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (pickle.dumps([1.0, Exploit()], 2), UnsafePickle, "GLOBAL '(posix|nt) mkdir'"),
        (pickle.dumps([1.0, Exploit()], 4), UnsafePickle, "which a list of numbers does not need"),
        (pickle.dumps({1: 2.0}, 2), UnsafePickle, "EMPTY_DICT"),
        (pickle.dumps(["1.0"], 2), UnsafePickle, "BINUNICODE"),
        (b"\x80\x04Nr\xff\xff\xff\x7f.", UnsafePickle, "NONE"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", UnsafePickle, "LONG_BINPUT"),
        (b"\x80\x04\x96\xff\xff\xff\xff\xff\x00\x00\x00.", CorruptFile, "not hold a whole pickle"),
        (pickle.dumps([1.0, 2.0], 2)[:-3], CorruptFile, "not hold a whole pickle"),
        (b"", CorruptFile, "not hold a whole pickle"),
        (b"\x80\x02G?\xf0\x00\x00\x00\x00\x00\x00.", CorruptFile, "not a list of numbers"),
        (pickle.dumps([[1.0], [2.0], [3.0]], 2), CorruptFile, "not a list of numbers"),
        (pickle.dumps([1.0, 2.0], 2), CorruptFile, "one list of 3 numbers"),
        (pickle.dumps([float("inf")] * 3, 2), CorruptFile, "not finite"),
        (pickle.dumps([1.0] * 200, 2), CorruptFile, "one list of 3 numbers"),
    ],
)
def test_a_pytorch_file_with_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, error: type[CorruptFile], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        raw.torch_numbers(torch_file(tmp_path / "raw.pt", content), 3)
    assert "raw.pt" in str(caught.value)
    assert_one_sentence(caught.value)
    assert os.listdir(tmp_path) == ["raw.pt"]


def test_a_pytorch_file_without_a_list(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="one list") as caught:
        raw.torch_numbers(zip_of(tmp_path / "raw.pt", {"archive/version": "3\n"}), 3)
    assert_one_sentence(caught.value)


# -- NAS-Bench-Macro -----------------------------------------------------------------------------------------


def macro() -> dict[str, Any]:
    entry = {"test_acc": [90.0, 91.0, 92.0], "mean_acc": 91.0, "std": 0.5, "params": 10, "flops": 20}
    return {"".join(map(str, code)): dict(entry) for code in product(range(3), repeat=8)}


def test_nasbench_macro_is_sorted_by_code(tmp_path: Path) -> None:
    content = dict(reversed(macro().items()))
    content["21000012"]["params"] = 77
    (tmp_path / "raw.json").write_text(json.dumps(content))
    table = nasbench_macro.build({"results": tmp_path / "raw.json"})["nasbench_macro/cifar10.npz"]
    assert table["arch"].tolist() == sorted(table["arch"].tolist())
    [row] = np.flatnonzero(table["params"] == 77)
    assert table["arch"][row] == b"21000012"
    assert table["ops"][row].tolist() == [2, 1, 0, 0, 0, 0, 1, 2]
    assert {
        field: str(values.dtype) for field, values in table.items() if field in ("test_acc", "std", "flops")
    } == {
        "test_acc": "float32",
        "std": "float64",
        "flops": "int32",
    }


def changed(code: str, **values: Any) -> dict[str, Any]:
    content = macro()
    content[code] |= values
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "it is a list instead of an object"),
        ({}, "its 0 keys are not the 6,561 codes"),
        ({("3" if k == "00000000" else "") + k: v for k, v in macro().items()}, "its 6,561 keys are not"),
        (changed("00000001", test_acc=[1.0, 2.0]), r"test_acc \[1.0, 2.0\] is not a list of 3"),
        (changed("00000001", test_acc=[1.0, 2.0, "x"]), "'x' in test_acc is not a number"),
        (changed("00000001", params=1.5), "params holds something other than whole numbers"),
        (changed("00000001", flops=2**40), "flops holds something other than whole numbers"),
        (changed("00000001", mean_acc=None), "None in mean_acc is not a number"),
        (macro() | {"00000001": 5}, "the entry of 00000001 is a int instead of an object"),
    ],
)
def test_nasbench_macro_with_something_wrong(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptFile, match=message) as caught:
        nasbench_macro.build({"results": path})
    assert "raw.json" in str(caught.value)
    assert_one_sentence(caught.value)


# -- NAS-Bench-301's surrogate -------------------------------------------------------------------------------

A = (
    "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], [(0, 3), (1, 3), (1, 1), (0, 5), "
    "(2, 3), (0, 2), (4, 4), (3, 1)]]"
)
B = A.replace("(0, 4)", "(0, 5)")
C = A.replace("(4, 4)", "(4, 0)")


def surrogate_files(folder: Path, **files: Any) -> dict[str, Path]:
    contents = {
        "scores_500": {"nasbench301": {"cifar10": {A: {"val_accuracy": 93.5}}}},
        "scores_725": {"cifar10": {B: {"val_accuracy": 92.0}, A: {"val_accuracy": 93.5}}},
        "scores_725_earlier": {"cifar10": {A: {"val_accuracy": 93.25}}},
        "unlabelled": {"0": C.replace("[", "(").replace("]", ")")},
        **files,
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {name: folder / f"{name}.json" for name in contents}


def test_predictions_of_three_files_are_joined(tmp_path: Path) -> None:
    table = naslib.nasbench301_surrogate(surrogate_files(tmp_path))["naslib_nb301/surrogate.npz"]
    assert table["genotype"].shape == (2, 2, 8, 2)
    assert table["genotype"][0, 0, 3].tolist() == [2, 3]
    assert table["genotype"][1, 0, 0].tolist() == [0, 5]
    np.testing.assert_array_equal(table["surrogate_val_acc"], [[93.5, 93.25], [92.0, np.nan]])
    assert table["source"].tolist() == [0b111, 0b010]
    assert table["unlabelled_genotype"][0, 1, 6].tolist() == [4, 0]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scores_725", {}, "'cifar10' is a NoneType instead of an object"),
        ("scores_725", {"cifar10": {A: 93.0}}, "instead of an object"),
        ("scores_725", {"cifar10": {A: {"accuracy": 93.0}}}, "None in val_accuracy"),
        ("scores_725", {"cifar10": {A[:-1]: {"val_accuracy": 93.0}}}, "is no genotype"),
        (
            "scores_725",
            {"cifar10": {A.replace("(1, 3)", "(1, 7)"): {"val_accuracy": 93.0}}},
            "is no genotype",
        ),
        (
            "scores_725",
            {"cifar10": {A.replace("(0, 4)", "(2, 4)"): {"val_accuracy": 93.0}}},
            "from a later node",
        ),
        ("unlabelled", {"0": A.replace("(0, 4)", "(1, 4)")}, "two edges from the same node"),
        ("unlabelled", {"0": 7}, "7 is no genotype"),
        ("unlabelled", [A], "it is a list"),
    ],
)
def test_predictions_with_something_wrong(tmp_path: Path, file: str, content: Any, message: str) -> None:
    with pytest.raises(CorruptFile, match=message) as caught:
        naslib.nasbench301_surrogate(surrogate_files(tmp_path, **{file: content}))
    assert f"{file}.json" in str(caught.value)
    assert_one_sentence(caught.value)
