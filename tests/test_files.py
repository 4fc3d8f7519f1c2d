"""Files: written whole or not at all, also on a disk without room."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import archenc
from archenc.commands.app import main
from archenc.commands.predictors import _write_arrays
from archenc.datasets.sources import fetch
from archenc.datasets.sources.fetch import import_file
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import CannotWrite, CorruptFile, DataNotFound, InvalidParameter
from archenc.files import documents
from archenc.files import trusted as files
from archenc.files.machine import machine, pretraining_machine, versions
from archenc.files.trusted import write_json
from archenc.training.tracking import create_tracker
from tests.bad_input import assert_one_sentence

EXPECTED = {"rows": ((None, 3), "f"), "names": ((4,), "S")}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return {
        "rows": np.arange(12, dtype=np.float32).reshape(4, 3),
        "names": np.array([b"a", b"bc", b"d", b"e"]),
    }


@pytest.fixture
def table(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "table.npz"
    np.savez_compressed(path, **arrays, other=np.zeros(1))
    return path


def test_atomic_write_puts_the_whole_file_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.txt"
    with files.atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["result.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def interrupted() -> None:
        with files.atomic_write(path) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    files.write_json(path, {"tau": 0.5, "name": "größer"})
    assert documents.read_json(path) == {"tau": 0.5, "name": "größer"}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"tau": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["tau"] == 0.5
    assert os.listdir(tmp_path) == ["run.json"]


def test_texts_are_written_all_or_none(tmp_path: Path) -> None:
    paths = files.write_texts(tmp_path / "new", {"a.txt": "1\n", "sub/b.txt": "größer"})
    assert [path.read_text(encoding="utf-8") for path in paths] == ["1\n", "größer"]
    for texts, error in (
        ({"a.txt": "2", "../c.txt": ""}, InvalidParameter),
        ({"a.txt": "2", "sub": ""}, CannotWrite),
    ):
        with pytest.raises(error) as caught:
            files.write_texts(tmp_path / "new", texts)
        assert_one_sentence(caught.value)
        assert sorted(os.listdir(tmp_path / "new")) == ["a.txt", "sub"]
        assert paths[0].read_text() == "1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_nothing_is_left_where_a_file_grows_too_large(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import resource, signal, sys
        from archenc.errors import CannotWrite
        from archenc.files.trusted import write_texts
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_texts(sys.argv[1], {"small.txt": "1", "large.txt": "2" * 100_000})
        except CannotWrite as error:
            print(error)
    """)
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert (
        said
        == f"{tmp_path / 'large.txt'} cannot be written (File too large); make room or choose another place\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.json", "sub/a.json", "..a", "größer", "link inside"])
def test_names_stay_below_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.json").touch()
    (tmp_path / "link inside").symlink_to(tmp_path / "a.json")
    assert files.inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/../../x", "/etc/passwd", "a\0b", "link", "link/x", "linked/passwd"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("..")
    (tmp_path / "linked").symlink_to("/etc")
    with pytest.raises(InvalidParameter) as caught:
        files.inside(tmp_path, name)
    assert_one_sentence(caught.value)


def test_safe_names_are_plain_and_differ_where_texts_do() -> None:
    texts = [
        "../x",
        "..",
        "",
        "/",
        "a b",
        "a-b ",
        "a|b",
        "\x00",
        "\ud800",
        "x" * 5_000,
        "x" * 5_001,
        "-x",
        ".hidden",
        "名前",
    ]
    names = [files.safe_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,140}", name) for name in names)
    assert files.safe_name("nasbench201-v1.2_x") == "nasbench201-v1.2_x"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataNotFound) as caught:
            files.read_bytes(path, 10)
        assert_one_sentence(caught.value)
        with pytest.raises(OSError, match=re.escape(str(path))):
            files.sha256(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b" " * 200])
def test_bad_json_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"run\.json") as caught:
        documents.read_json(path, max_bytes=100 if content.isspace() else 10**6)
    assert_one_sentence(caught.value)


def test_missing_files_are_a_typed_error(tmp_path: Path) -> None:
    for read in (documents.read_json, lambda path: files.open_npz(path, {}, 1)):
        with pytest.raises(DataNotFound, match=r"absent\.file") as caught:
            read(tmp_path / "absent.file")
        assert_one_sentence(caught.value)


def test_open_npz_gives_exactly_what_was_asked_for(table: Path, arrays: dict[str, np.ndarray]) -> None:
    read = files.open_npz(table, EXPECTED, 10_000)
    assert set(read) == set(EXPECTED)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def _lying_header(path: Path) -> None:
    """An array whose header declares a million rows over twelve numbers."""
    whole = path.with_suffix(".npy")
    np.save(whole, np.zeros((1_000_000, 3), dtype=np.float32))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rows.npy", whole.read_bytes()[:176])
        archive.writestr("names.npy", b"")


def _damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    good = {"rows": np.zeros((4, 3), dtype=np.float32), "names": np.array([b"a"] * 4)}
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "not a zip":
        path.write_bytes(b"rows,names\n1,2\n")
    elif kind == "flipped bit":
        at = content.index(b"rows.npy") + 60
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    elif kind == "missing array":
        np.savez(path, rows=good["rows"])
    elif kind == "wrong shape":
        np.savez(path, **(good | {"rows": np.zeros((4, 2), dtype=np.float32)}))
    elif kind == "wrong number of axes":
        np.savez(path, **(good | {"rows": np.zeros(4, dtype=np.float32)}))
    elif kind == "wrong dtype":
        np.savez(path, **(good | {"rows": np.zeros((4, 3), dtype=np.int64)}))
    elif kind == "objects":
        np.savez(path, **(good | {"rows": np.full((4, 3), None)}))
    elif kind == "too large":
        np.savez_compressed(path, **(good | {"rows": np.zeros((100_000, 3), dtype=np.float32)}))
    elif kind == "not an array":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("rows.npy", b"hello")
    elif kind == "header lies":
        _lying_header(path)


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "truncated",
        "not a zip",
        "flipped bit",
        "missing array",
        "wrong shape",
        "wrong number of axes",
        "wrong dtype",
        "objects",
        "too large",
        "not an array",
        "header lies",
    ],
)
def test_a_bad_npz_is_a_typed_error(table: Path, kind: str) -> None:
    _damage(table, kind)
    with pytest.raises(CorruptFile, match=r"table\.npz") as caught:
        files.open_npz(table, EXPECTED, 10_000 if kind != "header lies" else 10**9)
    assert_one_sentence(caught.value)


def test_content_digest_ignores_compression_and_sees_every_value(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    digest = files.content_digest(arrays)
    np.savez(tmp_path / "plain.npz", **arrays)
    assert files.content_digest(files.open_npz(tmp_path / "plain.npz", EXPECTED, 10_000)) == digest
    assert files.content_digest({**arrays, "rows": arrays["rows"].astype(np.float64)}) != digest
    assert files.content_digest({**arrays, "rows": arrays["rows"].reshape(3, 4)}) != digest
    changed = arrays["rows"].copy()
    changed[3, 2] += 1
    assert files.content_digest({**arrays, "rows": changed}) != digest


def test_sha256_is_that_of_the_bytes(table: Path) -> None:
    assert files.sha256(table) == hashlib.sha256(table.read_bytes()).hexdigest()


def test_data_root_is_the_variable_or_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    assert files.data_root() == tmp_path
    monkeypatch.delenv("ARCHENC_DATA")
    assert files.data_root() == files.cache_root() / "data"


def test_a_missing_table_names_the_folder_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="ARCHENC_DATA") as caught:
        files.find_table("nasbench201/table.npz")
    assert str(tmp_path) in str(caught.value)
    assert_one_sentence(caught.value)
    (tmp_path / "nasbench201").mkdir()
    (tmp_path / "nasbench201" / "table.npz").touch()
    assert files.find_table("nasbench201/table.npz") == tmp_path / "nasbench201" / "table.npz"


# -- the facts about a machine that files of results keep: their names are part of fi ------------------------


def test_run_files_and_cards_say_what_computed_them() -> None:
    cores, threads = os.cpu_count(), torch.get_num_threads()
    assert machine() == {"cpu": machine()["cpu"], "cores": cores, "threads": threads}
    assert machine()["cpu"]
    card = pretraining_machine("cpu")
    known = {"cpus": cores, "threads": threads, "device": "cpu", "torch": torch.__version__}
    assert card == {"processor": card["processor"], **known}


@pytest.mark.parametrize("package", ["numpy", "scipy", "torch", "scikit-learn", "lightgbm", "xgboost"])
def test_versions_of_what_computes_are_known(package: str) -> None:
    assert versions()["archenc"] == archenc.__version__
    assert versions()[package][0].isdigit()


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
