"""Downloading: one public file into the cache, whole and checked, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from urllib3.exceptions import HTTPError

import archenc
from archenc.datasets.sources.manifest import Source
from archenc.errors import ArchencError, CannotWrite, CorruptFile, DataNotFound
from archenc.files.trusted import cache_root, inside

MIRRORS = ("https://cdn.jsdelivr.net/gh/{owner}/{repository}@{commit}/{path}",)
"""Other public hosts of files in repositories, tried in order after the first one."""

CHUNK = 2**16
_TRANSIENT = {408, 425, 429}  # and everything from 500 on
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Patience:
    """How long and how often a server is waited for.

    Attributes:
        connect: seconds until a connection stands.
        silence: seconds without a byte after which a connection is given up.
        window: seconds in which ``window * slowest`` bytes must arrive.
        slowest: bytes a second.
        attempts: how often an address is tried in vain before the next one; an attempt that brings a
            twentieth of the file is not in vain, but ten times as many is the end.
        back_off: seconds before the second attempt; doubled each time.
        redirects: how many are followed.
        lock: seconds to wait for another process that fetches the same file.
    """

    connect: float = 10.0
    silence: float = 30.0
    window: float = 60.0
    slowest: int = 1024
    attempts: int = 4
    back_off: float = 1.0
    redirects: int = 5
    lock: float = 3600.0


PATIENCE = Patience()


class _Failure(Exception):
    """An attempt that failed, with the reason; ``again`` if the same address may do better, ``gained`` bytes
    that are kept.
    """

    def __init__(self, reason: str, *, again: bool, gained: int = 0, content: bool = False) -> None:
        super().__init__(reason)
        self.again = again
        self.gained = gained
        self.content = content


class Stopped(ArchencError):
    """A download that was told to stop; what has arrived is kept for the next call."""


def local_path(source: Source) -> Path:
    """Where the file lies in the cache once it is fetched."""
    return inside(cache_root() / "downloads", source.key)


def addresses(source: Source) -> list[str]:
    """Where to look for the file, in order: ``$ARCHENC_MIRROR`` (an address or a folder), its public place,
    other hosts.
    """
    own = os.environ.get("ARCHENC_MIRROR", "").strip()
    found = [f"{own.rstrip('/')}/{source.key}"] if own else []
    found.append(source.public_url)
    if source.repository:
        owner, repository = source.repository.split("/")
        found += [
            mirror.format(owner=owner, repository=repository, commit=source.commit, path=source.path)
            for mirror in MIRRORS
        ]
    return found


def download(
    source: Source,
    patience: Patience = PATIENCE,
    *,
    report: Callable[[int], None] = lambda size: None,
    stop: threading.Event | None = None,
) -> Path:
    """The local copy of a source, which is downloaded unless it is in the cache.

    What arrives is kept under a hidden name beside the final one, where the next attempt, also of a later
    call, goes on. Two processes that want the same file take turns. The file gets its name only when its
    checksum is right.

    Args:
        source: the file.
        patience: how long to wait.
        report: called with the number of bytes that have arrived, again and again.
        stop: set it to end the download at the next opportunity.

    Raises:
        DataNotFound: no address gives the file.
        CorruptFile: what the addresses give is something else.
        CannotWrite: the disk is full, the cache cannot be written, or another process holds the file for too
            long.
    """
    final = local_path(source)
    if not source.matches(final):
        with writing(final, source.size), locked(final, patience.lock):
            if not source.matches(final):
                _Transfer(source, final, patience, report, stop or threading.Event()).run()
                return final
    report(source.size)
    return final


@dataclass(frozen=True)
class _Transfer:
    """One file on its way to its ``final`` place in the cache, with the arguments of :func:`download`."""

    source: Source
    final: Path
    patience: Patience
    report: Callable[[int], None]
    stop: threading.Event

    @property
    def part(self) -> Path:
        """What has arrived."""
        return self.final.with_name(f".{self.final.name}.part")

    def run(self) -> None:
        """Bring the file from the first address that gives it; raises as :func:`download` does."""
        if self.source.matches(self.part):  # whole, but the process ended before it could say so
            os.replace(self.part, self.final)
            return
        failures = []
        for address in addresses(self.source):
            try:
                self._try_address(address)
            except _Failure as failure:
                failures.append((address, failure))
                continue
            os.replace(self.part, self.final)
            return
        reasons = ", ".join(f"{_host(address)} {failure}" for address, failure in failures)
        error = CorruptFile if all(failure.content for _, failure in failures) else DataNotFound
        raise error(
            f"the file {self.source.key} cannot be fetched ({reasons}); "
            "check the network and try again, or set ARCHENC_MIRROR to an address or a folder that holds it "
            "at this path"
        )

    def _try_address(self, address: str) -> None:
        """Bring the part to the right content from one address, in several attempts, or raise a _Failure."""
        in_vain = 0
        for attempt in range(10 * self.patience.attempts):
            if attempt and self.stop.wait(self.patience.back_off * 2 ** max(in_vain - 1, 0)):
                raise Stopped(
                    f"the download of {self.source.key} was stopped; run the command again to go on"
                )
            resumed = self.part.exists()
            try:
                if "://" in address:
                    self._receive(address)
                else:
                    self._copy(Path(address).expanduser())
                if self.source.matches(self.part):
                    return
                raise _Failure("sends other content than the published one", again=resumed, content=True)
            except _Failure as failure:
                if failure.content:
                    self.part.unlink(missing_ok=True)
                in_vain = 0 if 20 * failure.gained >= self.source.size else in_vain + 1
                if not failure.again or in_vain >= self.patience.attempts:
                    raise
        raise _Failure("breaks off again and again", again=False)

    def _copy(self, file: Path) -> None:
        if not file.is_file():
            raise _Failure("is not there", again=False)
        if not self.source.matches(file):
            raise _Failure("holds other content than the published one", again=False, content=True)
        with open(file, "rb") as incoming, open(self.part, "wb") as outgoing:
            shutil.copyfileobj(incoming, outgoing)

    def _receive(self, url: str) -> None:
        """One request, which goes on where the part ends; raises :class:`_Failure` unless it then has the
        right size.
        """
        before = at = self.part.stat().st_size if self.part.exists() else 0
        if before >= self.source.size:
            self.part.unlink()
            before = at = 0
        try:
            with requests.Session() as session:
                session.max_redirects = self.patience.redirects
                with self._answer(session, url, at) as response:
                    at = self._start(response, at)
                    with open(self.part, "ab" if at else "wb") as outgoing:
                        for chunk in self._chunks(response, self.source.size - at):
                            outgoing.write(chunk)
                            at += len(chunk)
                            self.report(at)
        except requests.TooManyRedirects:
            raise _Failure(f"redirects more than {self.patience.redirects} times", again=False) from None
        except (requests.RequestException, HTTPError) as error:
            again = not isinstance(error, ValueError)
            raise _Failure(_reason(error), again=again, gained=at - before) from None
        except _Failure as failure:
            failure.gained = at - before
            raise
        if at < self.source.size:
            raise _Failure(f"ends after {at:,} of {self.source.size:,} bytes", again=True, gained=at - before)

    def _answer(self, session: requests.Session, url: str, start: int) -> requests.Response:
        """What the server answers to a request for the file from position ``start`` on."""
        headers = {"User-Agent": f"archenc/{archenc.__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        return session.get(
            url, headers=headers, stream=True, timeout=(self.patience.connect, self.patience.silence)
        )

    def _start(self, response: requests.Response, start: int) -> int:
        """The position from which an answer goes on, 0 for one from the beginning; raises :class:`_Failure`
        for any other.
        """
        status = response.status_code
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if status == 416 or (status == 206 and not goes_on):
            self.part.unlink(missing_ok=True)
            raise _Failure("cannot go on where the last attempt ended", again=True)
        if status not in (200, 206):
            raise _Failure(f"answers {status}", again=status in _TRANSIENT or status >= 500)
        start = 0 if status == 200 else start
        length, size = response.headers.get("Content-Length", ""), self.source.size
        if length.isdecimal() and int(length) != size - start:
            reason = f"offers {int(length) + start:,} bytes instead of {size:,}"
            raise _Failure(reason, again=False, content=True)
        return start

    def _chunks(self, response: requests.Response, expected: int) -> Iterator[bytes]:
        """The answer in pieces as they arrive; raises :class:`_Failure` when it is longer than expected or
        too slow.
        """
        since, arrived, received = time.monotonic(), 0, 0
        while chunk := response.raw.read1(min(CHUNK, expected - received + 1), decode_content=False):
            received += len(chunk)
            arrived += len(chunk)
            if received > expected:
                raise _Failure("sends more bytes than the file has", again=False, content=True)
            yield chunk
            if self.stop.is_set():
                raise Stopped(f"the download of {response.url} was stopped; run the command again to go on")
            now = time.monotonic()
            if now - since >= self.patience.window:
                if arrived < self.patience.slowest * (now - since):
                    reason = f"sends less than {self.patience.slowest:,} bytes a second"
                    raise _Failure(reason, again=True)
                since, arrived = now, 0


def _reason(error: Exception) -> str:
    """Why a request failed."""
    if "timed out" in str(error):
        return "does not answer in time"
    lost = "cannot be reached" if isinstance(error, requests.RequestException) else "breaks the connection"
    return f"{lost} ({type(error).__name__})"


def _host(address: str) -> str:
    return urlsplit(address).netloc if "://" in address else "the folder in ARCHENC_MIRROR"


# -- the local side ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(final: Path, seconds: float) -> Iterator[None]:
    """Hold what belongs to ``final`` against other processes and threads; the lock ends with the process,
    however it ends.
    """
    lock = FileLock(final.with_name(f".{final.name}.lock"), timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise CannotWrite(
            f"another process has been fetching {final} for {seconds:g} seconds; wait for it or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writing(final: Path, size: int) -> Iterator[None]:
    """Make the folder of ``final``; in the block an error of the disk becomes :class:`CannotWrite`, and what
    filled it is removed.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as refused:
        # the system's own error, also where a writer caught it
        error = refused.__cause__ if isinstance(refused, CannotWrite) else refused
        if not isinstance(error, OSError) or isinstance(error, ArchencError):
            raise
        if error.errno in _NO_ROOM:
            final.with_name(f".{final.name}.part").unlink(missing_ok=True)
        room = (
            f"make room for {size:,} bytes"
            if error.errno in _NO_ROOM
            else "check the permissions of its folder"
        )
        raise CannotWrite(
            f"the file {final} cannot be written ({error.strerror or error}); {room}, "
            "or set ARCHENC_CACHE (downloads) and ARCHENC_DATA (tables) to folders on another disk"
        ) from None
