"""A server on loopback that speaks the part of the Hugging Face Hub's HTTP interface that a download uses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BRANCH = "main"


@dataclass
class Hub:
    """What is served (repository -> folder), what was asked for, and how it misbehaves.

    corrupt: file whose bytes arrive changed. fail: file that answers 500 for as long as it is set.
    """

    repositories: dict[str, Path]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    corrupt: str | None = None
    fail: str | None = None

    @property
    def downloads(self) -> list[str]:
        return [request for request in self.requests if request.startswith("GET") and "/resolve/" in request]


def large(path: Path) -> bool:
    """Stored with LFS, so known by its sha256 and not its git blob id."""
    return path.suffix in (".safetensors", ".mp4", ".parquet")


def etag(path: Path) -> str:
    content = path.read_bytes()
    if large(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    hub: Hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.hub.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/"):
            self.describe(path.split("/"))
        else:
            self.resolve(path.removeprefix("datasets/").split("/"))

    def describe(self, parts: list[str]) -> None:
        """The commit of a revision and what it holds."""
        name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else BRANCH
        folder = self.server.hub.repositories.get(name)
        if folder is None:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if revision not in (BRANCH, COMMIT):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = [sibling(file, folder) for file in sorted(folder.rglob("*")) if file.is_file()]
        body = {"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
        return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def resolve(self, parts: list[str]) -> None:
        """One file of a commit."""
        hub, name, revision, file_name = self.server.hub, "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if revision != COMMIT:
            return self.answer(400, b"files must be fetched by commit, never by branch", {})
        if file_name == hub.fail and self.command == "GET":
            return self.answer(500, b"", {})
        file = hub.repositories[name] / file_name
        content = file.read_bytes()
        if file_name == hub.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return self.answer(200, content, {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def sibling(file: Path, folder: Path) -> dict[str, object]:
    """How the Hub lists a file."""
    size, blob = file.stat().st_size, etag(file)
    entry: dict[str, object] = {"rfilename": file.relative_to(folder).as_posix(), "size": size, "blobId": blob}
    if large(file):
        entry["lfs"] = {"sha256": blob, "size": size, "pointerSize": 130}
    return entry


@contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[Hub]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = Hub(repositories, url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
