"""A container registry on loopback: the part of the OCI distribution protocol that a push and a pull use."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Registry:
    """address: host:port. closed: it refuses every push, as without a login."""

    address: str = ""
    closed: bool = False
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    registry: Registry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, registry = urlsplit(self.path).path, self.server.registry
        if path == "/v2/":
            self._answer(200)
        elif (found := re.search(r"/blobs/(sha256:\w+)$", path)) and found[1] in registry.blobs:
            self._answer(200, registry.blobs[found[1]], {"Docker-Content-Digest": found[1]})
        elif (found := re.search(r"/manifests/(.+)$", path)) and found[1] in registry.manifests:
            kind, content = registry.manifests[found[1]]
            self._answer(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest(content)})
        else:
            self._answer(404)

    def do_POST(self) -> None:
        if self.server.registry.closed:
            self._answer(403, b'{"errors": [{"code": "DENIED", "message": "requested access is denied"}]}')
            return
        name = f"{len(self.server.registry.uploads)}"
        self.server.registry.uploads[name] = b""
        self._answer(202, headers={"Location": f"{urlsplit(self.path).path}{name}", "Range": "0-0"})

    def do_PATCH(self) -> None:
        path, uploads = urlsplit(self.path).path, self.server.registry.uploads
        name = path.rsplit("/", 1)[1]
        uploads[name] += self._body()
        self._answer(202, headers={"Location": path, "Range": f"0-{len(uploads[name]) - 1}"})

    def do_PUT(self) -> None:
        parts, registry = urlsplit(self.path), self.server.registry
        body, name = self._body(), parts.path.rsplit("/", 1)[1]
        if "/blobs/uploads/" in parts.path:
            content = registry.uploads.pop(name) + body
            expected = parse_qs(parts.query)["digest"][0]
            assert digest(content) == expected
            registry.blobs[expected] = content
        else:
            kind = self.headers["Content-Type"]
            registry.manifests[name] = registry.manifests[digest(body)] = (kind, body)
        self._answer(201, headers={"Docker-Content-Digest": digest(body)})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def serve_registry() -> Iterator[Registry]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.registry = Registry(f"127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.registry
        server.shutdown()
