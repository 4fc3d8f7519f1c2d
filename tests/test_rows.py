"""Tables of others: each bound is said, and reading stops where it is passed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import archenc
from archenc.commands.app import main
from archenc.dataset import rows
from archenc.dataset.rows import parse_architectures, read_lines, read_rows
from archenc.errors import InvalidTable
from tests.bad_input import assert_one_sentence

GOOD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
GARBAGE = b"\x1f\x8b what is no gzip member, and would be told as such if it were read"


def refused(path: Path, message: str) -> None:
    with pytest.raises(InvalidTable, match=message) as caught:
        (read_lines if path.suffix == ".txt" else read_rows)(path)
    assert_one_sentence(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            ",".join(f"c{k}" for k in range(20_000)),
            "line 1: 20,000 columns, more than 1,000; leave some out",
        ),
        ("t.csv", "," * 100_000, "line 1: 100,001 columns"),
        ("t.csv", "a,b\n" + "," * 100_000, "line 2: 100001 fields where the header has 2"),
        ("t.jsonl", json.dumps({f"c{k}": k for k in range(20_000)}), "line 1: 20,000 columns"),
        ("t.csv", "a" * 201, "line 1: the name 'a+ of a column is longer than 200 characters"),
        (
            "t.jsonl",
            json.dumps({"a" * 201: 1}),
            "line 1: the name 'a+ of a column is longer than 200 characters",
        ),
        ("t.csv", "a\n" + "x" * 131_073, "line 2: .*field larger than field limit"),
        ("t.jsonl", '{"a": ' + "[" * 50_000, "line 1: this is not valid JSON"),
        ("t.jsonl", '{"a": ' + "[" * 40 + "]" * 40 + "}", "line 1: .*nested more than 32 deep"),
        ("t.jsonl", f'{{"a": 1{"0" * 400}}}', "line 1: .*beyond 64 bits"),
        ("t.jsonl", '{"a": 1e999}', "line 1: .*not valid JSON"),
        ("t.jsonl", '{"a": NaN}', "line 1: this is not valid JSON"),
        ("t.txt", "x" * (rows.MAX_LINE_BYTES + 1), "line 1: the line is longer than 1,048,576 bytes"),
    ],
)
def test_what_passes_a_bound_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    refused(tmp_path / name, message)


def test_a_thousand_columns_are_read(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(rows.MAX_COLUMNS)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(names), ",".join("1" for _ in names)]))
    [(line, row)] = read_rows(tmp_path / "t.csv")
    assert (line, list(row)) == (2, names)


def test_empty_names_of_columns_may_repeat(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,,\n1,2,3\n")
    assert read_rows(tmp_path / "t.csv")[0][1]["a"] == "1"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.txt.gz"])
@pytest.mark.parametrize(
    ("filling", "message"),
    [
        (b"\n" * 2**20, "line 1000001: the table has more than 1,000,000 lines; split it"),
        (bytes(2**20), "line 1: the line is longer than 1,048,576 bytes"),
        ((b" " * 1023 + b"\n") * 2**10, "the table is larger than 4,194,304 bytes; split it"),
    ],
)
def test_a_small_file_that_unpacks_to_an_immense_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, filling: bytes, message: str
) -> None:
    monkeypatch.setattr(rows, "MAX_BYTES", 2**22)
    path = tmp_path / name
    path.write_bytes(
        gzip.compress(filling) * 5 + GARBAGE
    )  # were it unpacked to the end, the garbage would be what is wrong
    with pytest.raises(InvalidTable, match=message) as caught:
        (read_lines if ".txt" in name else read_rows)(path)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\n" + "1,2\n" * 40),
        ("t.jsonl", '{"a": [[], [1, 2]]}\n' * 40),
        ("t.jsonl", '{"a": {"b": 1}}\n' * 40),
    ],
)
def test_the_number_of_values_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    monkeypatch.setattr(rows, "MAX_VALUES", 100)
    (tmp_path / name).write_text(content)
    refused(tmp_path / name, r"line \d+: the table has more than 100 values; split it")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.txt.gz", "a.csv.gz", "A.JSONL.GZ"])
def test_the_command_line_reads_what_the_data_set_reads(tmp_path: Path, name: str) -> None:
    text = {
        "csv": f"\ufeffarch,acc\n{GOOD},1\n",
        "jsonl": json.dumps({"arch": GOOD}) + "\n",
        "txt": f"\ufeff\n  {GOOD}  \n",
    }[name.lower().split(".")[1]]
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    space = archenc.create_space("nasbench201")
    assert space.format(parse_architectures(tmp_path / name, space)) == [GOOD]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", f"arch,acc\n{GOOD},1\n{GOOD},1,2\n", "line 3: 3 fields where the header has 2"),
        ("a.csv", f"arch,arch\n{GOOD},1\n", "line 1: the column 'arch' occurs twice"),
        ("a.csv", f'arch\n{GOOD}\n"{GOOD}\n', "line 3: not valid CSV"),
        ("a.csv", f"arch\n{GOOD}\n\0\n", "line 3: "),
        (
            "a.jsonl",
            json.dumps({"arch": GOOD}) + '\n{"arch": ' + "[" * 10_000,
            "line 2: this is not valid JSON",
        ),
        (
            "a.jsonl",
            json.dumps({"arch": GOOD}) + '\n{"arch": 1' + "0" * 400 + "}",
            "line 2: .*beyond 64 bits",
        ),
        ("a.jsonl", json.dumps({"arch": None}), "line 1: there is no architecture in a column 'arch'"),
        ("a.txt", f"{GOOD}\n{GOOD}\nresnet\n", "line 3: .*resnet"),
        ("a.csv", "x,y\n" * 3, "line 2: there is no architecture in a column 'arch'"),
    ],
)
def test_the_command_line_refuses_what_the_data_set_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    space = archenc.create_space("nasbench201")
    with pytest.raises(InvalidTable, match=message) as caught:
        parse_architectures(tmp_path / name, space)
    assert_one_sentence(caught.value)
    out = tmp_path / "e.npz"
    assert (
        main(
            [
                "encode",
                "--space",
                "nasbench201",
                "--input",
                str(tmp_path / name),
                "--encoder",
                "path",
                "--out",
                str(out),
            ]
        )
        == 2
    )
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_the_first_bad_line_is_found_with_few_parses(tmp_path: Path) -> None:
    space = archenc.create_space("nasbench201")
    parsed: list[int] = []

    class Counting(type(space)):  # type: ignore[misc]
        def parse(self, architectures: Any) -> Any:
            parsed.append(1 if isinstance(architectures, str) else len(architectures))
            return super().parse(architectures)

    lines = [(number, GOOD) for number in range(1, 1_001)]
    lines[700] = (701, "resnet")
    with pytest.raises(InvalidTable, match=r"line 701: .*resnet"):
        rows.parse_rows(tmp_path / "t.csv", Counting(), lines)
    assert len(parsed) <= 15
