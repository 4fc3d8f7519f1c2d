"""Downloading from servers that misbehave: never a wrong file under its final name, and an error that says
what to do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archenc.datasets.sources import download as module
from archenc.datasets.sources import manifest
from archenc.datasets.sources.download import Patience, download, local_path
from archenc.datasets.sources.manifest import Source
from archenc.errors import ArchencError, CannotWrite, CorruptFile, DataNotFound
from tests.bad_input import assert_one_sentence
from tests.datasets import server as web
from tests.datasets.server import Behaviour, Server

CONTENT = os.urandom(300_000)
SOURCE = Source(
    name="scores",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    repository="someone/scores",
    commit="0123456789" * 4,
    path="data/scores.csv",
)
PATH = f"/{SOURCE.key}"
HASTE = Patience(
    connect=1, silence=0.3, window=0.2, slowest=100_000, attempts=3, back_off=0.01, redirects=3, lock=10
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARCHENC_MIRROR", raising=False)
    monkeypatch.setattr(module, "MIRRORS", ())
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with web.serving() as server:
        server.files[PATH] = CONTENT
        monkeypatch.setattr(manifest, "PUBLIC_HOST", server.url)
        yield server


def visible(folder: Path) -> list[str]:
    """Files under their final names."""
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def refused(error: type[ArchencError], message: str, cache: Path) -> None:
    with pytest.raises(error, match=message) as caught:
        download(SOURCE, HASTE)
    assert_one_sentence(caught.value)
    assert "ARCHENC_MIRROR" in str(caught.value)
    assert visible(cache) == []


# -- what works in the end -----------------------------------------------------------------------------------

WORKS: dict[str, tuple[list[Behaviour], int]] = {  # behaviours, requests
    "at once": ([web.good], 1),
    "without ranges": ([web.without_ranges], 1),
    "500 twice": ([web.failing(500), web.failing(503), web.good], 3),
    "asked to wait": ([web.failing(429), web.good], 2),
    "truncated": ([web.truncating(0.5), web.good], 2),
    "truncated without saying so": ([web.truncating(0.5, stated=False), web.good], 2),
    "truncated without ranges": ([web.truncating(0.5), web.without_ranges], 2),
    "truncated again and again": ([web.truncating(0.15)], 7),
    "stalled": ([web.stalling, web.good], 2),
    "silent": ([web.silent, web.good], 2),
    "dripping": ([web.dripping, web.good], 2),
    "closed at once": ([web.closing, web.good], 2),
    "no HTTP": ([web.babbling, web.good], 2),
    "resumed from another place": ([web.truncating(0.5), web.resuming_elsewhere, web.good], 3),
    "cannot resume": ([web.truncating(0.5), web.refusing_ranges], 3),
}


@pytest.mark.parametrize("case", WORKS)
def test_what_passes_is_waited_for(server: Server, cache: Path, case: str) -> None:
    server.behaviours[PATH], requests = [*WORKS[case][0]], WORKS[case][1]
    path = download(SOURCE, HASTE)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == requests
    assert path == local_path(SOURCE)
    assert visible(cache) == ["scores.csv"]
    assert parts(cache) == []


def test_an_interrupted_download_goes_on_where_it_ended(server: Server) -> None:
    server.behaviours[PATH] = [web.truncating(0.5), web.good]
    download(SOURCE, HASTE)
    assert server.requests == [(PATH, None), (PATH, "bytes=150000-")]


def test_a_redirect_is_followed(server: Server) -> None:
    server.files["/elsewhere"] = CONTENT
    server.behaviours[PATH] = [web.redirecting("/elsewhere")]
    assert download(SOURCE, HASTE).read_bytes() == CONTENT


def test_a_damaged_part_is_thrown_away(server: Server) -> None:
    local_path(SOURCE).parent.mkdir(parents=True)
    local_path(SOURCE).with_name(".scores.csv.part").write_bytes(bytes(1000))
    assert download(SOURCE, HASTE).read_bytes() == CONTENT
    assert server.requests == [(PATH, "bytes=1000-"), (PATH, None)]


def test_a_damaged_file_in_the_cache_is_replaced(server: Server) -> None:
    local_path(SOURCE).parent.mkdir(parents=True)
    local_path(SOURCE).write_bytes(bytes(len(CONTENT)))
    assert download(SOURCE, HASTE).read_bytes() == CONTENT


def test_a_file_in_the_cache_is_never_downloaded_again(server: Server) -> None:
    first, again = download(SOURCE, HASTE), download(SOURCE, HASTE)
    assert first == again
    assert len(server.requests) == 1


def test_the_name_that_git_gives_a_content_is_a_checksum(server: Server, cache: Path) -> None:
    blob = "ce013625030ba8dba906f756967f9e9ca394464a"  # what git hash-object says of it
    source = Source(
        "hello", 6, git_blob=blob, repository="someone/scores", commit=SOURCE.commit, path="hello"
    )
    server.files[f"/{source.key}"] = b"hello\n"
    assert download(source, HASTE).read_bytes() == b"hello\n"
    local_path(source).write_bytes(b"hullo\n")
    assert not source.matches(local_path(source))


# -- what does not -------------------------------------------------------------------------------------------

FAILS: dict[str, tuple[Behaviour, type[ArchencError], str, int]] = {  # behaviour, error, message, requests
    "404": (web.failing(404), DataNotFound, "answers 404", 1),
    "403": (web.failing(403), DataNotFound, "answers 403", 1),
    "500": (web.failing(500), DataNotFound, "answers 500", 3),
    "corrupts": (web.corrupting, CorruptFile, "other content", 1),
    "silent": (web.silent, DataNotFound, "does not answer in time", 3),
    "stalls": (web.stalling, DataNotFound, "does not answer in time", 3),
    "drips": (web.dripping, DataNotFound, "less than 100,000 bytes a second", 3),
    "redirects forever": (web.circling, DataNotFound, "redirects more than 3 times", 4),
    "never ends": (web.endless, CorruptFile, "more bytes than the file has", 1),
    "states more": (web.misstating(5), CorruptFile, "offers 300,005 bytes instead of 300,000", 1),
    "states less": (web.misstating(-5), CorruptFile, "offers 299,995 bytes instead of 300,000", 1),
    "closes at once": (web.closing, DataNotFound, "cannot be reached", 3),
    "no HTTP": (web.babbling, DataNotFound, "cannot be reached", 3),
    "truncates at the same place": (
        web.truncating(0.5, ranges=False),
        DataNotFound,
        "150,000 of 300,000|breaks the connection",
        4,
    ),
    "truncates without gain": (
        web.truncating(0.01),
        DataNotFound,
        "of 300,000 bytes|breaks the connection",
        3,
    ),
}


@pytest.mark.parametrize("case", FAILS)
def test_what_does_not_pass_is_refused(server: Server, cache: Path, case: str) -> None:
    behaviour, error, message, requests = FAILS[case]
    server.behaviours[PATH] = [behaviour]
    refused(error, message, cache)
    assert len(server.requests) == requests
    assert sum(path.stat().st_size for path in parts(cache)) <= len(CONTENT)
    assert not parts(cache) or error is DataNotFound, "what is known to be wrong is not kept"
    server.behaviours[PATH] = [web.good]  # and nothing of it spoils the next call
    assert download(SOURCE, HASTE).read_bytes() == CONTENT


def test_no_server_at_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web.serving() as gone:
        monkeypatch.setattr(manifest, "PUBLIC_HOST", gone.url)
    refused(DataNotFound, "cannot be reached", cache)


# -- mirrors -------------------------------------------------------------------------------------------------


def test_a_mirror_is_asked_first(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[f"/mirror{PATH}"] = CONTENT
    monkeypatch.setenv("ARCHENC_MIRROR", f"{server.url}/mirror/")
    assert download(SOURCE, HASTE).read_bytes() == CONTENT
    assert server.requests == [(f"/mirror{PATH}", None)]


def test_a_folder_can_be_the_mirror(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHENC_MIRROR", str(tmp_path))
    (tmp_path / SOURCE.key).parent.mkdir(parents=True)
    (tmp_path / SOURCE.key).write_bytes(CONTENT)
    assert download(SOURCE, HASTE).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("wrong", [None, bytes(len(CONTENT)), b"short"])
def test_the_next_address_helps_where_one_fails(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes | None
) -> None:
    monkeypatch.setenv("ARCHENC_MIRROR", str(tmp_path))
    if wrong is not None:
        (tmp_path / SOURCE.key).parent.mkdir(parents=True)
        (tmp_path / SOURCE.key).write_bytes(wrong)
    server.behaviours[PATH] = [web.truncating(0.4, ranges=False)]  # its part is completed by the next
    server.files["/other/someone/scores@" + SOURCE.commit + "/data/scores.csv"] = CONTENT
    monkeypatch.setattr(
        module, "MIRRORS", (f"{server.url}/other/{{owner}}/{{repository}}@{{commit}}/{{path}}",)
    )
    assert download(SOURCE, HASTE).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=120000-"


def test_every_address_is_named_when_all_fail(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHENC_MIRROR", str(tmp_path))
    server.behaviours[PATH] = [web.failing(404)]
    refused(DataNotFound, r"the folder in ARCHENC_MIRROR is not there, 127\.0\.0\.1:\d+ answers 404", cache)


# -- processes and disks -------------------------------------------------------------------------------------

CHILD = """
import sys
from tests.datasets.test_fetch_server import HASTE, Source, download, manifest, module
manifest.PUBLIC_HOST, size, sha256 = sys.argv[1], int(sys.argv[2]), sys.argv[3]
module.MIRRORS = ()
from archenc.errors import ArchencError
source = Source(
    "scores", size, sha256, repository="someone/scores", commit="0123456789" * 4, path="data/scores.csv"
)
try:
    download(source, HASTE)
except ArchencError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def child(server: Server, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, server.url, str(SOURCE.size), SOURCE.sha256]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **more
    )


def test_two_processes_fetch_the_same_file_once(server: Server, cache: Path) -> None:
    def slow(handler: Any, content: bytes) -> None:
        web.answer(handler, content[:100_000], length=len(content))
        time.sleep(0.1)
        handler.wfile.write(content[100_000:])

    server.behaviours[PATH] = [slow]
    children = [child(server), child(server)]
    assert [process.communicate()[1] for process in children] == ["", ""]
    assert [process.returncode for process in children] == [0, 0]
    assert local_path(SOURCE).read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert visible(cache) == ["scores.csv"]


def test_a_killed_process_leaves_a_part_that_the_next_call_completes(server: Server, cache: Path) -> None:
    def half(handler: Any, content: bytes) -> None:
        web.answer(handler, content[:150_000], length=len(content))
        while not parts(cache) or parts(cache)[0].stat().st_size < 100_000:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)

    server.behaviours[PATH] = [half, web.good]
    process = child(server)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    assert visible(cache) == []
    assert len(parts(cache)) == 1
    assert download(SOURCE, HASTE).read_bytes() == CONTENT
    assert server.requests[1][1] is not None, "it goes on"
    assert parts(cache) == []


def test_a_limit_of_the_disk_is_a_sentence_and_leaves_nothing(server: Server, cache: Path) -> None:
    process = child(server, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    message = process.communicate(timeout=20)[1].strip()
    assert process.returncode == 1
    kind, _, sentence = message.partition(": ")
    assert kind == "CannotWrite"
    assert "make room for 300,000 bytes" in sentence
    assert visible(cache) == []
    assert parts(cache) == []


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module._Transfer, "_chunks", full)
    with pytest.raises(CannotWrite, match=r"No space left on device.*make room for 300,000 bytes") as caught:
        download(SOURCE, HASTE)
    assert_one_sentence(caught.value)
    assert visible(cache) == []
    assert parts(cache) == []


def test_a_cache_that_cannot_be_made_is_a_sentence(server: Server, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(CannotWrite, match="ARCHENC_CACHE") as caught:
        download(SOURCE, HASTE)
    assert_one_sentence(caught.value)
    assert server.requests == []


def test_a_lock_that_is_held_for_too_long_is_a_sentence(server: Server, cache: Path) -> None:
    local_path(SOURCE).parent.mkdir(parents=True)
    with module.locked(local_path(SOURCE), 1), pytest.raises(CannotWrite, match="another process") as caught:
        download(SOURCE, Patience(lock=0.05))
    assert_one_sentence(caught.value)
