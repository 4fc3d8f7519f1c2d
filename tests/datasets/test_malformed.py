"""What a malformed table gets: a typed error that names the file, the line and the remedy."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from archenc.dataset import rows
from archenc.datasets import table
from archenc.errors import ArchencError, DataNotFound, InvalidParameter, InvalidTable, UnknownName
from archenc.spaces.cell import CellSpace
from tests.bad_input import assert_one_sentence

GOOD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
OTHER = GOOD.replace("nor_conv_1x1", "avg_pool_3x3")
HEAD = f"arch,acc\n{GOOD},90.0\n"
OWN = CellSpace("own", ("conv", "pool"), max_nodes=4, max_edges=4)


def cell(adjacency: Any, ops: Any) -> str:
    good = {"adjacency": [[0, 1], [0, 0]], "operations": ["input", "output"], "acc": 1.0}
    return "\n".join(
        json.dumps(row) for row in (good, {"adjacency": adjacency, "operations": ops, "acc": 2.0})
    )


# name: file name, content, options, what the message must say
CASES: dict[str, tuple[str, str | bytes, dict[str, Any], str]] = {
    "unknown extension": ("t.xlsx", "arch,acc\n", {}, r"\.csv"),
    "no extension": ("table", "arch,acc\n", {}, r"\.csv"),
    "gz of what": ("t.gz", b"", {}, r"\.csv"),
    "empty file": ("t.csv", "", {}, "no rows"),
    "header only": ("t.csv", "arch,acc\n", {}, "no rows"),
    "blank lines only": ("t.jsonl", "\n\n", {}, "no rows"),
    "no architecture column": ("t.csv", f"cell,acc\n{GOOD},90\n", {}, "'arch'.*'cell'"),
    "adjacency without operations": ("t.csv", 'adjacency,acc\n"[[0,1],[0,0]]",90\n', {}, "'operations'"),
    "no numeric column": ("t.csv", f"arch,acc\n{GOOD},good\n", {}, "no column of numbers"),
    "asked for a label that is not there": ("t.csv", HEAD, {"labels": ["ack"]}, "did you mean 'acc'"),
    "column twice": ("t.csv", f"arch,acc,acc\n{GOOD},1,2\n", {}, "'acc' occurs twice"),
    "empty label": ("t.csv", f"{HEAD}{OTHER},\n", {}, r"line 3: .*missing='keep'"),
    "NaN label": ("t.csv", f"{HEAD}{OTHER},nan\n", {}, "line 3"),
    "infinite label": ("t.csv", f"{HEAD}{OTHER},inf\n", {}, "line 3: 'inf'"),
    "text label": ("t.csv", f"{HEAD}{OTHER},ninety\n", {}, "line 3: 'ninety' in the column 'acc'"),
    "decimal comma": ("t.csv", f'{HEAD}{OTHER},"90,5"\n', {}, "line 3: '90,5'"),
    "boolean label": ("t.jsonl", f'{{"arch": "{GOOD}", "acc": true}}', {"labels": ["acc"]}, "line 1: True"),
    "list label": ("t.jsonl", f'{{"arch": "{GOOD}", "acc": [1]}}', {"labels": ["acc"]}, "line 1"),
    "number too large": (
        "t.jsonl",
        f'{{"arch": "{GOOD}", "acc": 1{"0" * 400}}}',
        {"labels": ["acc"]},
        "line 1",
    ),
    "label key missing in one object": (
        "t.jsonl",
        f'{{"arch": "{GOOD}", "acc": 1}}\n{{"arch": "{OTHER}"}}',
        {},
        "line 2",
    ),
    "JSON NaN": (
        "t.jsonl",
        f'{{"arch": "{GOOD}", "acc": 1}}\n{{"arch": "{OTHER}", "acc": NaN}}',
        {},
        "line 2",
    ),
    "empty architecture": ("t.csv", f"{HEAD},91\n", {}, "line 3: no architecture"),
    "unknown operation": (
        "t.csv",
        f"{HEAD}{OTHER.replace('avg_pool', 'max_pool')},91\n",
        {},
        "line 3: .*max_pool_3x3",
    ),
    "not an architecture string": ("t.csv", f"{HEAD}resnet50,91\n", {}, "line 3: .*resnet50"),
    "architecture is a number too high": ("t.jsonl", '{"arch": 15625, "acc": 1}', {}, "line 1"),
    "architecture is an object": ("t.jsonl", '{"arch": {"a": 1}, "acc": 1}', {}, "line 1"),
    "ragged row, short": ("t.csv", f"{HEAD}{OTHER}\n", {}, "line 3: 1 fields where the header has 2"),
    "ragged row, long": ("t.csv", f"{HEAD}{OTHER},91,92\n", {}, "line 3: 3 fields"),
    "open quote": ("t.csv", f'{HEAD}"{OTHER},91\n', {}, "line 3"),
    "NUL in the text": ("t.csv", f"{HEAD}{OTHER},9\x001\n", {}, "line 3"),
    "Latin-1": (
        "t.csv",
        f"{HEAD}{OTHER},91 % größer\n".encode("latin-1"),
        {},
        "line 3: the text is not UTF-8",
    ),
    "UTF-16": ("t.csv", HEAD.encode("utf-16"), {}, "line 1: the text is not UTF-8"),
    "binary": ("t.csv", bytes(range(128, 256)), {}, "line 1"),
    "huge line": ("t.csv", HEAD + "x" * (rows.MAX_LINE_BYTES + 1), {}, "line 3: the line is longer"),
    "huge field": ("t.csv", HEAD + "x" * 200_000 + ",91\n", {}, "line 3: not valid CSV"),
    "compressed but cut": ("t.csv.gz", gzip.compress(HEAD.encode() * 50)[:-20], {}, "not a whole gzip file"),
    "not compressed": ("t.csv.gz", HEAD.encode(), {}, "not a whole gzip file"),
    "broken JSON": (
        "t.jsonl",
        f'{{"arch": "{GOOD}", "acc": 1}}\n{{"arch"\n',
        {},
        "line 2: this is not valid JSON",
    ),
    "JSON list instead of object": ("t.jsonl", "[1, 2]", {}, "line 1: a JSON list"),
    "deeply nested JSON": ("t.jsonl", "[" * 100_000, {}, "line 1: this is not valid JSON"),
    "the same row twice": (
        "t.csv",
        f"{HEAD}{OTHER},91\n{GOOD},92\n",
        {},
        "line 4: the architecture of line 2",
    ),
    "isomorphic rows": (
        "t.csv",
        "arch,acc\n"
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|,90\n"
        "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|,91\n",
        {},
        "line 3: the architecture of line 2",
    ),
    "cyclic adjacency": (
        "t.jsonl",
        cell([[0, 1, 0], [0, 1, 1], [0, 0, 0]], ["input", "conv", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "cycle of two": (
        "t.jsonl",
        cell([[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], ["input", "conv", "pool", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "disconnected cell": (
        "t.jsonl",
        cell([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ["input", "conv", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "adjacency not square": (
        "t.jsonl",
        cell([[0, 1, 0], [0, 0, 1]], ["input", "conv", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "adjacency with weights": (
        "t.jsonl",
        cell([[0, 2], [0, 0]], ["input", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "adjacency of text": (
        "t.jsonl",
        cell([["a", "b"], ["c", "d"]], ["input", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "too few operations": (
        "t.jsonl",
        cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "output"]),
        {"space": OWN},
        "line 2",
    ),
    "unknown operation on a node": (
        "t.jsonl",
        cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "relu", "output"]),
        {"space": OWN},
        "relu",
    ),
    "too many nodes": (
        "t.jsonl",
        cell(
            [[int(j == i + 1) for j in range(6)] for i in range(6)],
            ["input", "conv", "conv", "conv", "conv", "output"],
        ),
        {"space": OWN},
        "line 2",
    ),
    "adjacency is not JSON": (
        "t.csv",
        "adjacency,operations,acc\n01;00,input,1\n",
        {"space": OWN},
        "line 2: '01;00' is not valid JSON",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_table_is_refused(tmp_path: Path, name: str) -> None:
    file, content, options, message = CASES[name]
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidTable, match=message) as caught:
        table.load(**({"path": path, "space": "nasbench201"} | options))
    assert file in str(caught.value)
    assert_one_sentence(caught.value)
    assert os.listdir(tmp_path) == [file], "reading leaves nothing behind"


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (DataNotFound, "cannot be read", {"path": "absent.csv"}),
        (DataNotFound, "cannot be read", {"path": "folder.csv"}),
        (UnknownName, "nasbench201", {"space": "nasbench-201"}),
        (UnknownName, "did you mean 'acc'", {"label": "ac"}),
        (InvalidParameter, "missing is 'ignore'", {"missing": "ignore"}),
        (InvalidParameter, "duplicates is 'drop'", {"duplicates": "drop"}),
        (InvalidParameter, "duplicates is None", {"duplicates": None}),
        (InvalidParameter, r"got arch = \['arch'\]; give a name", {"arch": ["arch"]}),
        (InvalidParameter, "got labels = 5; give", {"labels": 5}),
        (InvalidParameter, r"got labels = \[None\]", {"labels": [None]}),
        (InvalidParameter, "got label = 5", {"label": 5}),
        (InvalidParameter, "got name = b'x'", {"name": b"x"}),
        (UnknownName, r"there is no space called \['nasbench201'\]", {"space": ["nasbench201"]}),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[ArchencError],
    message: str,
    options: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "t.csv").write_text(HEAD)
    with pytest.raises(error, match=message) as caught:
        table.load(**({"path": "t.csv", "space": "nasbench201"} | options))
    assert_one_sentence(caught.value)


def test_the_inflated_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_BYTES", 100_000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 10_000_000))
    with pytest.raises(InvalidTable, match="larger than") as caught:
        table.load(path=path, space="nasbench201")
    assert_one_sentence(caught.value)


def test_the_first_bad_line_is_named_in_a_long_table(tmp_path: Path) -> None:
    lines = [f"{GOOD},{k}" for k in range(1000)]
    lines[617] = lines[617].replace("none", "nonne")
    lines[900] = "resnet50,1"
    (tmp_path / "t.csv").write_text("arch,acc\n" + "\n".join(lines))
    with pytest.raises(InvalidTable, match=r"line 619: .*nonne"):
        table.load(path=tmp_path / "t.csv", space="nasbench201")
