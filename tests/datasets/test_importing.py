"""Importing files of the user's: a wrong one is looked at before any work, and what is in an archive stays in
it.
"""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from archenc.commands.app import main
from archenc.datasets.recipes import nasbench101, nasbench101_full, raw
from archenc.datasets.sources.fetch import import_file
from archenc.datasets.sources.manifest import manifest_names, read_manifest
from archenc.errors import ArchencError, CorruptFile, DataNotFound
from archenc.files.trusted import open_npz
from tests.bad_input import assert_one_sentence
from tests.datasets.made_up import frame

IMPORTED = [name for name in manifest_names() if read_manifest(name).importer]


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


WRONG = {
    "empty": b"",
    "text": b"Not found\n" * 100,
    "page": b"<!DOCTYPE html><html></html>",
    "zeros": bytes(2**16),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "records of something else": frame(b"[1, 2]") * 3,
    "list": b"[1, 2, 3]",
    "lists": b'{"top": [{}], "mid": []}',
    "deep": b"[" * 100_000,
    "blank": b" " * 2**22,
    "other archive": zipped("readme.txt", b"nothing"),
    "results of something else": zipped("a/results_1.json", b"[]"),
    "logs of something else": zipped("log_stats_model_1.json", b"{}"),
}


@pytest.fixture(autouse=True)
def no_long_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def enumerated() -> None:
        raise AssertionError("the space was enumerated for a file that is none")

    monkeypatch.setattr(nasbench101_full, "enumerated", enumerated)
    monkeypatch.setattr(nasbench101, "enumerated", enumerated)
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("content", WRONG)
@pytest.mark.parametrize("name", IMPORTED)
def test_a_wrong_file_is_refused_before_any_work(name: str, content: str, tmp_path: Path) -> None:
    family = name.removeprefix("nds-")
    spelling = {"darts": "DARTS", "nasnet": "NASNet", "amoeba": "Amoeba", "pnas": "PNAS", "enas": "ENAS"}
    file = tmp_path / (f"{spelling[family]}.json" if family in spelling else "file.zip")
    file.write_bytes(WRONG[content])
    with pytest.raises(CorruptFile) as caught:
        import_file(name, file)
    assert_one_sentence(caught.value)
    assert str(file) in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", IMPORTED)
def test_what_is_no_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for place in ("nowhere", "pipe", "folder"):
        with pytest.raises(ArchencError) as caught:
            import_file(name, tmp_path / place)
        assert_one_sentence(caught.value)
    assert main(["data", "import", name, "--file", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- archives ------------------------------------------------------------------------------------------------

FORM = raw.re.compile(r"(?s:.*)\.json")


def members(
    place: Path, max_bytes: int = 1000, max_files: int = 10, max_total: int = 5000
) -> list[tuple[str, bytes]]:
    return list(raw.read_files(place, FORM, max_bytes=max_bytes, max_files=max_files, max_total=max_total))


def test_names_in_an_archive_become_no_paths(tmp_path: Path) -> None:
    file = tmp_path / "made" / "a.zip"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../../escaped.json", "/etc/escaped.json", "a/./b.json", "line\nbreak.json"):
            archive.writestr(name, b"{}")
        link = zipfile.ZipInfo("link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    before = sorted(tmp_path.rglob("*"))
    assert dict(members(file))["link.json"] == b"/etc/passwd", "a link is the text that it holds"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_would_be_inflated_whole_is_refused(tmp_path: Path, method: int) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(zipped("a.json", b"{}", method))
    with pytest.raises(CorruptFile, match=r"'a\.json', which is not deflated") as caught:
        members(file)
    assert_one_sentence(caught.value)
    np.savez(tmp_path / "plain.npz", a=np.zeros(3))
    content = zipfile.ZipFile(tmp_path / "plain.npz").read("a.npy")
    (tmp_path / "a.npz").write_bytes(zipped("a.npy", content, method))
    with pytest.raises(CorruptFile, match=r"'a\.npy', which is not deflated"):
        open_npz(tmp_path / "a.npz", None, 1000)


def test_no_more_is_inflated_than_a_member_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header says 500 bytes of what inflates to 64 MiB."""
    content = bytearray(zipped("a.json", bytes(2**26)))
    for at in (content.index(b"PK\x03\x04") + 22, content.index(b"PK\x01\x02") + 24):
        content[at : at + 4] = (500).to_bytes(4, "little")
    file = tmp_path / "a.zip"
    file.write_bytes(content)
    most = [0]
    original = zipfile.ZipExtFile._read1  # type: ignore[attr-defined]

    def counting(stream: zipfile.ZipExtFile, n: int) -> bytes:
        most.append(n)
        return original(stream, n)  # type: ignore[no-any-return]

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", counting)
    with pytest.raises(CorruptFile, match="not a whole zip file") as caught:
        members(file)
    assert_one_sentence(caught.value)
    assert max(most) <= 1001, "pieces are asked for by their size"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([1001], r"'0\.json' is larger than 1,000 bytes"),
        ([10] * 11, "more than 10 files"),
        ([900] * 6, "inflates to 5,400 bytes, more than the 5,000 expected"),
    ],
)
def test_sizes_are_bounded_before_anything_is_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int], message: str
) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, size in enumerate(sizes):
            archive.writestr(f"{number}.json", bytes(size))
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(CorruptFile, match=message) as caught:
        members(file)
    assert_one_sentence(caught.value)


def test_folders_are_bounded_too(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"{number}.json").write_text("{}")
    with pytest.raises(CorruptFile, match="more than 10 files"):
        members(tmp_path)
    assert len(members(tmp_path, max_files=11)) == 11
    (tmp_path / "0.json").write_text(" " * 1001)
    with pytest.raises(CorruptFile, match="larger than the 1,000 bytes"):
        members(tmp_path, max_files=11)


def test_a_number_of_any_size_in_a_log(tmp_path: Path) -> None:
    from tests.datasets.test_nasbench_nlp import log

    run = log()
    run["val_losses"] = [10**400] * len(run["val_losses"])
    (tmp_path / "log_stats_model_1_x.json").write_text(json.dumps(run))
    from archenc.datasets.recipes.nasbench_nlp import read_logs

    with pytest.raises(CorruptFile, match="is not that of a run") as caught:
        read_logs(tmp_path)
    assert_one_sentence(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="cannot be read") as caught:
        members(tmp_path / "a.zip")
    assert_one_sentence(caught.value)
