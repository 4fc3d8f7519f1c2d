"""A web server that serves given files and misbehaves on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """One request; the behaviours below are given it with the file's content."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.close_connection = True
        queue = self.server.behaviours.get(self.path, [])
        behaviour = queue.pop(0) if len(queue) > 1 else queue[0] if queue else good
        content = self.server.files.get(self.path)
        try:
            if content is None:
                answer(self, b"", status=404)
            else:
                behaviour(self, content)
        except OSError:  # the client has seen enough
            pass

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """``files`` by path; ``behaviours`` of the next requests for a path, of which the last stays;
    ``requests`` so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviours: dict[str, list[Behaviour]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        pass


Behaviour = Callable[[Handler, bytes], None]


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


def answer(
    handler: Handler, body: bytes, *, status: int = 200, length: int | None = None, **headers: str
) -> None:
    handler.send_response(status)
    if length != -1:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def _wanted(handler: Handler, content: bytes) -> tuple[int, dict[str, str]]:
    """Where the answer begins, with the headers that say so."""
    wanted = handler.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
    return start, {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if wanted else {}


def good(handler: Handler, content: bytes) -> None:
    start, headers = _wanted(handler, content)
    answer(handler, content[start:], status=206 if headers else 200, **headers)


def without_ranges(handler: Handler, content: bytes) -> None:
    answer(handler, content)


def truncating(share: float, *, ranges: bool = True, stated: bool = True) -> Behaviour:
    """Ends early, after a share of the file, with or without a Content-Length that says that there would be
    more.
    """

    def behaviour(handler: Handler, content: bytes) -> None:
        start, headers = _wanted(handler, content) if ranges else (0, {})
        part = content[start : start + int(share * len(content))]
        answer(
            handler,
            part,
            status=206 if headers else 200,
            length=len(content) - start if stated else -1,
            **headers,
        )

    return behaviour


def corrupting(handler: Handler, content: bytes) -> None:
    good(handler, content[:-1] + bytes([content[-1] ^ 1]))


def silent(handler: Handler, content: bytes) -> None:
    handler.server.release.wait(20)


def stalling(handler: Handler, content: bytes) -> None:
    start, headers = _wanted(handler, content)
    answer(
        handler,
        content[start : start + 1000],
        status=206 if headers else 200,
        length=len(content) - start,
        **headers,
    )
    handler.server.release.wait(20)


def dripping(handler: Handler, content: bytes) -> None:
    answer(handler, b"", length=len(content))
    for byte in content:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def circling(handler: Handler, content: bytes) -> None:
    answer(handler, b"", status=302, Location=f"{handler.server.url}{handler.path}")


def redirecting(path: str) -> Behaviour:
    return lambda handler, content: answer(handler, b"", status=301, Location=f"{handler.server.url}{path}")


def failing(status: int) -> Behaviour:
    return lambda handler, content: answer(handler, b"sorry", status=status)


def endless(handler: Handler, content: bytes) -> None:
    answer(handler, content, length=-1)
    while True:
        handler.wfile.write(bytes(2**16))


def misstating(difference: int) -> Behaviour:
    return lambda handler, content: answer(
        handler, content + bytes(max(difference, 0)), length=len(content) + difference
    )


def closing(handler: Handler, content: bytes) -> None:
    pass


def babbling(handler: Handler, content: bytes) -> None:
    handler.wfile.write(b"\x00\x01nonsense\r\n\r\n")


def resuming_elsewhere(handler: Handler, content: bytes) -> None:
    start, headers = _wanted(handler, content)
    answer(
        handler,
        content[start:],
        status=206 if headers else 200,
        Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}",
    )


def refusing_ranges(handler: Handler, content: bytes) -> None:
    answer(handler, b"", status=416) if handler.headers.get("Range") else answer(handler, content)
