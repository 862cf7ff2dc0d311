"""A server that stands before another one and, from a given request on, is gone."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Cut(Enum):
    """How the request with the number of the cut ends; NEVER: as every other one does."""

    NEVER = "never"
    REQUEST = "the request does not arrive, nor does any later one"
    ANSWER = "it arrives and its answer does not; no later one arrives"
    ONE_ANSWER = "it arrives and its answer does not; the server is back at once"


class CuttingProxy(ThreadingHTTPServer):
    """Forwards to `target`, an address. at: number of the request that is cut, the first being 1."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.address = f"http://127.0.0.1:{self.server_port}"
        self._lock = threading.Lock()
        self.mend()

    def cut(self, how: Cut, at: int) -> None:
        """Count from here on, and cut so."""
        self.how, self.at, self.count = how, at, 0

    def mend(self) -> None:
        """Let everything pass, and count from here on."""
        self.cut(Cut.NEVER, 0)

    def next_number(self) -> int:
        with self._lock:
            self.count += 1
            return self.count


class _Handler(BaseHTTPRequestHandler):
    server: CuttingProxy

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_GET(self) -> None:
        number, how, at = self.server.next_number(), self.server.how, self.server.at
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dead = how in (Cut.REQUEST, Cut.ANSWER) and number > at
        if dead or (how is Cut.REQUEST and number == at):
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(self.server.target)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if how in (Cut.ANSWER, Cut.ONE_ANSWER) and number == at:
            self.close_connection = True
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815


@contextmanager
def cutting_proxy(target: str) -> Iterator[CuttingProxy]:
    """Serve until the block ends."""
    proxy = CuttingProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
