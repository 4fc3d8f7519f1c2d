from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archenc.datasets.cli import app
from archenc.errors import ArchencError, InvalidParameter, InvalidTable, UnknownName
from tests.bad_input import assert_one_sentence

GOOD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(f"arch,accuracy,ms\n{GOOD},90.5,\n{GOOD.replace('1x1', '3x3')},80,2\n")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_show_says_what_a_table_holds(own: Path) -> None:
    output = run("show", "--path", str(own), "--space", "nasbench201")
    for part in (
        "2 architectures of nasbench201",
        "accuracy: 80 to 90.5",
        "ms: 2 to 2",
        "1 missing",
        "own.csv",
        "SHA-256",
    ):
        assert part in output


def test_show_one_label(own: Path) -> None:
    output = run("show", "table", "--path", str(own), "--space", "nasbench201", "--label", "ms")
    assert "ms: 2 to 2" in output
    assert "accuracy" not in output


def test_verify_reads_everything(own: Path) -> None:
    assert "2 valid architectures" in run("verify", "--path", str(own), "--space", "nasbench201")


def test_show_a_benchmark(data_root: Path) -> None:
    output = run("show", "nasbench101")
    for part in (
        "51,497 architectures",
        "* cifar10/val_accuracy@108/mean",
        "ta7290: pool of 7,290",
        "uniform: 30,001",
        "ICML 2019",
        "notes",
    ):
        assert part in output


def test_verify_a_benchmark(data_root: Path) -> None:
    output = run("verify", "nasbench201")
    assert "61d40468bd0240229bbc4cb3e8b81613f9ad9d858f7b1f51f1f621e5c817eb27" in output
    assert "15625 valid architectures" in output


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (UnknownName, ["show", "nasbench-2001"]),
        (UnknownName, ["verify", "nasbench-2001"]),
        (InvalidParameter, ["show"]),
        (InvalidParameter, ["verify", "--space", "nasbench201"]),
        (InvalidParameter, ["show", "nasbench201", "--path", "OWN", "--space", "nasbench201"]),
        (UnknownName, ["show", "--path", "OWN", "--space", "nasbench-2001"]),
        (UnknownName, ["show", "--path", "OWN", "--space", "nasbench201", "--label", "acuracy"]),
        (InvalidTable, ["verify", "--path", "OWN", "--space", "nasbench101"]),
    ],
)
def test_bad_input_is_a_typed_error(own: Path, error: type[ArchencError], arguments: list[str]) -> None:
    with pytest.raises(error) as caught:
        run(*(str(own) if argument == "OWN" else argument for argument in arguments))
    assert_one_sentence(caught.value)


def test_importing_the_commands_is_cheap() -> None:
    code = (
        "import sys, archenc.datasets.cli; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', "
        "'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
