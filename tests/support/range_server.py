"""A web server on this computer for tests: byte ranges, faults on demand, and a log of what was asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class RangeServer:
    """What a test sees of the server.

    Args:
        folder: what it serves.
        url: its address, without a slash at the end.
        faults: path -> what goes wrong with the next requests for it, in order: a status code, ``"truncated"``
            (the answer ends after half of what it promises) or ``"reset"`` (the connection is closed without one).
        headers: path -> headers that an answer for it has too.
    """

    folder: Path
    url: str = ""
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, part: str = "") -> list[tuple[str, int]]:
        """Path and bytes sent of every request for a path that contains ``part``."""
        return [request for request in self.requests if part in request[0]]

    def sent(self, part: str = "") -> int:
        """Bytes sent for such paths."""
        return sum(size for _, size in self.asked(part))

    def next_fault(self, path: str) -> int | str | None:
        with self._lock:
            waiting = self.faults.get(path)
            return waiting.pop(0) if waiting else None

    def note(self, path: str, size: int) -> None:
        with self._lock:
            self.requests.append((path, size))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, served: RangeServer, *args) -> None:
        self.served = served
        super().__init__(*args)

    def log_message(self, format, *args) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.served.next_fault(path)
        if fault == "reset":
            self.served.note(path, 0)
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._refuse(path, fault)
            return
        file = self.served.folder / path.lstrip("/")
        if not file.is_file():
            self._refuse(path, 404)
            return
        self._send(path, file, body=body, truncated=fault == "truncated")

    def _refuse(self, path: str, status: int) -> None:
        self.served.note(path, 0)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, file: Path, *, body: bool, truncated: bool) -> None:
        size = file.stat().st_size
        first, last = 0, size - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
        if asked and first >= size:
            self._refuse(path, 416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        for name, value in self.served.headers.get(path, {}).items():
            self.send_header(name, value)
        self.end_headers()
        length = (last - first + 1) // (2 if truncated else 1) if body else 0
        with file.open("rb") as stream:
            stream.seek(first)
            self.wfile.write(stream.read(length))
        self.served.note(path, length)
        if truncated:
            self.close_connection = True


@contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    """Serve a folder while the block runs."""
    served = RangeServer(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, served))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that goes away is no event
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
