"""A disk without room: every output says which path could not be written, and leaves nothing half-written."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from archenc.commands.app import main
from archenc.commands.predictors import _write_arrays
from archenc.datasets.sources import fetch
from archenc.datasets.sources.fetch import import_file
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CannotWrite
from archenc.files.trusted import write_json
from archenc.training.tracking import create_tracker
from tests.bad_input import assert_one_sentence


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


NOISE = {"a": np.random.default_rng(0).random((50, 50))}  # does not compress


@pytest.mark.parametrize("name", ["e.npz", "e.safetensors", "e.json", "tracking.jsonl", "nds/darts.npz"])
def test_the_path_is_said_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    tracker = create_tracker("jsonl", tmp_path, {"text": "x" * 10_000})

    def write() -> None:
        if name == "tracking.jsonl":
            tracker.log({"tau": 0.5}, step=1)
        elif name.endswith(".json"):
            write_json(path, NOISE["a"].tolist())
        elif name.startswith("nds"):
            fetch._store({name: NOISE})
        else:
            _write_arrays(path, NOISE, {})

    with pytest.raises(CannotWrite, match="cannot be written") as caught, room_for(5_000):
        write()
    assert_one_sentence(caught.value)
    assert str(path) in str(caught.value)
    if name != "tracking.jsonl":  # to which lines are appended
        assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(
        fetch,
        "_function",
        lambda reference: lambda file: dict.fromkeys(read_manifest("nds-darts").tables, NOISE),
    )
    (tmp_path / "DARTS.json").write_text("[]")
    with (
        pytest.raises(CannotWrite, match=r"data/nds/darts\.npz cannot be written") as caught,
        room_for(5_000),
    ):
        import_file("nds-darts", tmp_path / "DARTS.json")
    assert_one_sentence(caught.value)
    assert [file.name for file in (tmp_path / "data").rglob("*.npz")] == []
    with room_for(5_000):
        assert main(["data", "import", "nds-darts", "--file", str(tmp_path / "DARTS.json")]) == 2
    assert "darts.npz" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["e.npz", "e.safetensors"])
def test_the_command_encode(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    (tmp_path / "a.txt").write_text(f"{cell}\n" * 10)
    command = [
        "encode",
        "--space",
        "nasbench201",
        "--input",
        str(tmp_path / "a.txt"),
        "--encoder",
        "path",
        "--out",
        str(tmp_path / name),
    ]
    with room_for(300):
        assert main(command) == 2
    error = capsys.readouterr().err
    assert f"{name} cannot be written" in error
    assert error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
