"""From a manifest to tables: what is fetched, what is left alone, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from archenc import load_dataset
from archenc.datasets.cli import app
from archenc.datasets.sources import cli as fetch_cli
from archenc.datasets.sources import download, manifest
from archenc.datasets.sources.download import Patience
from archenc.datasets.sources.fetch import fetch, import_file
from archenc.datasets.sources.manifest import manifest_names, read_manifest, read_manifests, remedy_for
from archenc.errors import ArchencError, CannotWrite, CorruptFile, DataNotFound, UnknownName
from tests.bad_input import assert_one_sentence
from tests.datasets import made_up as recipe
from tests.datasets import server as web
from tests.datasets.made_up import COMMIT, DIGESTS, FIRST, SECOND, described, source
from tests.datasets.server import Server

HASTE = Patience(connect=1, silence=0.3, attempts=2, back_off=0.01, lock=5)


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of manifests, with ``made`` and ``own`` in it, an empty cache and an empty data root."""
    file = tmp_path / "manifests.yaml"
    file.write_text("{}")
    monkeypatch.setattr(manifest, "FILE", file)
    monkeypatch.setattr(download, "MIRRORS", ())
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("ARCHENC_MIRROR", raising=False)
    write(file, "made")
    own = {
        "recipe": None,
        "sources": None,
        "import": "tests.datasets.made_up:read",
        "tables": {"own/numbers.npz": ""},
        "part_of_all": False,
    }
    write(file, "own", **own)
    recipe.calls.clear()
    yield file
    read_manifests.cache_clear()


@pytest.fixture
def server(manifests: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with web.serving() as server:
        server.files = {
            f"/someone/numbers/{COMMIT}/first.txt": FIRST,
            f"/someone/numbers/{COMMIT}/second.txt": SECOND,
        }
        monkeypatch.setattr(manifest, "PUBLIC_HOST", server.url)
        yield server


def write(file: Path, name: str, **changes: Any) -> None:
    """Put a manifest that is in order, with changes, among those of the file."""
    manifests = yaml.safe_load(file.read_text()) | {name: described(**changes)}
    file.write_text(yaml.safe_dump(manifests, sort_keys=False))
    read_manifests.cache_clear()


def data(tmp_path: Path) -> list[str]:
    """Everything under the data root but locks."""
    found = (path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(tmp_path / "data")) for path in found)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


# -- fetching ------------------------------------------------------------------------------------------------


def test_tables_are_built_from_public_files(server: Server, tmp_path: Path) -> None:
    written = fetch("made", HASTE)
    assert [str(path.relative_to(tmp_path / "data")) for path in written] == ["made/sum.npz", "made/both.npz"]
    with np.load(tmp_path / "data" / "made" / "sum.npz", allow_pickle=False) as table:
        assert table["sum"].tolist() == [11, 22, 33]
    assert recipe.calls == [["first", "second"]]
    assert data(tmp_path) == ["made/both.npz", "made/sum.npz"]


def test_nothing_is_asked_for_again(server: Server) -> None:
    fetch("made", HASTE)
    server.requests.clear()
    assert fetch("made", HASTE) == []
    assert server.requests == []
    assert len(recipe.calls) == 1


def test_a_damaged_table_is_built_again_from_the_cache(server: Server, tmp_path: Path) -> None:
    fetch("made", HASTE)
    server.requests.clear()
    table = tmp_path / "data" / "made" / "sum.npz"
    whole = table.read_bytes()
    for damaged in (whole[:-20], b"", whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        table.write_bytes(damaged)
        assert fetch("made", HASTE) == [table]
        assert table.read_bytes() == whole
    np.savez(table, sum=np.array([11, 22, 34]))
    assert fetch("made", HASTE) == [table]
    assert server.requests == []


def test_all_takes_what_is_part_of_all(server: Server) -> None:
    assert [path.name for path in fetch("all", HASTE)] == ["sum.npz", "both.npz"]


def test_a_table_may_have_no_digest(server: Server, manifests: Path) -> None:
    write(manifests, "made", tables=dict.fromkeys(DIGESTS, ""))
    assert len(fetch("made", HASTE)) == 2
    assert fetch("made", HASTE) == []


def test_a_folder_of_the_files_is_enough(
    manifests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mirror" / "someone" / "numbers" / COMMIT
    folder.mkdir(parents=True)
    (folder / "first.txt").write_bytes(FIRST)
    (folder / "second.txt").write_bytes(SECOND)
    monkeypatch.setenv("ARCHENC_MIRROR", str(tmp_path / "mirror"))
    assert len(fetch("made", HASTE)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": DIGESTS | {"made/sum.npz": "0" * 64}}, "nothing was written"),
        ({"tables": {"made/sum.npz": DIGESTS["made/sum.npz"]}}, "instead of"),
        ({"recipe": "tests.datasets.made_up:one_table"}, "instead of"),
    ],
)
def test_tables_other_than_the_promised_ones_are_not_written(
    server: Server, manifests: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(manifests, "made", **changes)
    with pytest.raises(CorruptFile, match=message) as caught:
        fetch("made", HASTE)
    assert_one_sentence(caught.value)
    assert data(tmp_path) == []


def test_one_missing_source_means_no_table(server: Server, tmp_path: Path) -> None:
    del server.files[f"/someone/numbers/{COMMIT}/second.txt"]
    with pytest.raises(DataNotFound, match=r"second\.txt cannot be fetched .*404") as caught:
        fetch("made", HASTE)
    assert_one_sentence(caught.value)
    assert data(tmp_path) == []
    assert recipe.calls == []


def test_a_disk_that_is_full_when_the_table_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, **arrays: np.ndarray) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        with pytest.raises(CannotWrite, match=r"No space left on device.*make room.*ARCHENC_DATA") as caught:
            fetch("made", HASTE)
    assert_one_sentence(caught.value)
    assert data(tmp_path) == []
    assert len(fetch("made", HASTE)) == 2


def test_what_a_killed_process_left_beside_a_table_is_removed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data" / "made").mkdir(parents=True)
    for name in (".sum.0a1b2c3d.npz", "my-own.npz", ".sum.npz"):
        (tmp_path / "data" / "made" / name).write_bytes(b"half of it")
    fetch("made", HASTE)
    assert data(tmp_path) == ["made/.sum.npz", "made/both.npz", "made/my-own.npz", "made/sum.npz"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"run 'archenc data fetch made'"),
        (
            {"recipe": None, "import": "tests.datasets.made_up:read"},
            r"https://example.org/numbers.*archenc data import made --file FILE",
        ),
        ({"recipe": None, "requirement": "numbers==1.0"}, r"pip install --no-deps numbers==1.0"),
        ({"recipe": None}, r"see https://example.org/numbers"),
    ],
)
def test_what_is_not_here_says_how_to_get_it(manifests: Path, changes: dict[str, Any], message: str) -> None:
    write(manifests, "made", **changes)
    assert re.search(message, read_manifest("made").remedy)
    assert remedy_for("made/sum.npz") == read_manifest("made").remedy
    assert remedy_for("made/difference.npz") == ""


def test_what_cannot_be_fetched_says_what_can_be_done(manifests: Path) -> None:
    with pytest.raises(DataNotFound, match="archenc data import own --file FILE") as caught:
        fetch("own", HASTE)
    assert_one_sentence(caught.value)


def test_an_unknown_name_is_refused(manifests: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'made'") as caught:
        fetch("mad", HASTE)
    assert_one_sentence(caught.value)


def test_two_that_fetch_at_once_take_turns(server: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(fetch, ["made", "made"], [HASTE, HASTE]))
    assert sorted(map(len, written)) == [0, 2]
    assert len(recipe.calls) == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "name", [name for name in manifest_names() if read_manifest(name).tables and name != "nasbench101-space"]
)
def test_a_benchmark_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match=f"archenc data (fetch|import) {name}") as caught:
        load_dataset(name)
    assert_one_sentence(caught.value)


# -- importing -----------------------------------------------------------------------------------------------


def test_a_file_is_imported(manifests: Path, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("4 5 6")
    assert import_file("own", tmp_path / "numbers.txt") == [tmp_path / "data" / "own" / "numbers.npz"]
    assert data(tmp_path) == ["own/numbers.npz"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("own", "four", CorruptFile, "whole numbers"),
        ("own", None, DataNotFound, "there is no file"),
        ("made", "4 5 6", DataNotFound, "archenc data fetch made"),
        ("owned", "4 5 6", UnknownName, "did you mean 'own'"),
    ],
)
def test_an_import_that_is_refused(
    manifests: Path, tmp_path: Path, name: str, content: str | None, error: type[ArchencError], message: str
) -> None:
    if content is not None:
        (tmp_path / "numbers.txt").write_text(content)
    with pytest.raises(error, match=message) as caught:
        import_file(name, tmp_path / "numbers.txt")
    assert_one_sentence(caught.value)
    assert data(tmp_path) == []


# -- the command line ----------------------------------------------------------------------------------------


def test_the_command_fetches_and_says_where(server: Server, tmp_path: Path) -> None:
    output = run("fetch", "all")
    assert "made: made/sum.npz, made/both.npz in" in output
    assert f"the tables lie in {tmp_path / 'data'}" in output
    assert "made: is there already" in run("fetch", "made")


def test_one_data_set_that_fails_does_not_keep_the_others_from_being_fetched(
    server: Server, manifests: Path, tmp_path: Path
) -> None:
    write(
        manifests, "lost", sources={"first": source(b"x", "lost.txt"), "second": source(SECOND, "second.txt")}
    )
    with pytest.raises(ArchencError, match=r"1 of 2 data sets failed \(lost\)"):
        run("fetch", "all")
    assert data(tmp_path) == ["made/both.npz", "made/sum.npz"]


def test_the_command_imports(manifests: Path, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("4 5 6")
    assert str(tmp_path / "data" / "own" / "numbers.npz") in run(
        "import", "own", "--file", str(tmp_path / "numbers.txt")
    )


def test_a_manifest_is_shown_with_everything_in_it(server: Server) -> None:
    lines = "\n".join(fetch_cli.manifest_lines(read_manifest("made")))
    for part in (
        "Someone: Numbers, 2020",
        "MIT",
        "numbers/sum: the sum of both",
        "someone/numbers @ 0123456789",
        "first.txt",
        "5 bytes",
    ):
        assert part in lines
    assert f"SHA-256 {hashlib.sha256(FIRST).hexdigest()}" in lines
    assert DIGESTS["made/sum.npz"] in lines
    assert "in the cache" not in lines
    fetch("made", HASTE)
    assert lines.count("in the cache") == 0
    assert "\n".join(fetch_cli.manifest_lines(read_manifest("made"))).count("in the cache") == 2


def test_files_are_verified(server: Server, tmp_path: Path) -> None:
    made = read_manifest("made")
    assert fetch_cli.verified_files(made) == []
    fetch("made", HASTE)
    assert [line.split()[0] for line in fetch_cli.verified_files(made)] == ["whole", "whole"]
    table = tmp_path / "data" / "made" / "sum.npz"
    np.savez(table, sum=np.array([11, 22, 34]))
    with pytest.raises(
        CorruptFile, match=r"sum\.npz is not what was published; run 'archenc data fetch made'"
    ):
        fetch_cli.verified_files(made)
    fetch("made", HASTE)
    download.local_path(made.sources["first"]).write_bytes(b"1 2 4")
    with pytest.raises(CorruptFile, match=r"first\.txt is not what was published") as caught:
        fetch_cli.verified_files(made)
    assert_one_sentence(caught.value)


def test_a_benchmark_that_is_not_here_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "nasbench201" not in manifest_names():
        pytest.skip("has no manifest")
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    output = run("show", "nasbench201")
    for part in (
        "nasbench201: not here yet; run 'archenc data fetch nasbench201'",
        "ICLR 2020",
        "sources",
        "SHA-256",
        "licence",
    ):
        assert part in output
