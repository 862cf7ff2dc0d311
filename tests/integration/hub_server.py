"""A server on loopback that speaks the part of the Hugging Face Hub's HTTP interface that a download uses."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BRANCH = "main"
LISTING = "the listing"
"""Stands in `busy` for what answers which commit and which files."""


@dataclass
class Hub:
    """What is served (repository -> folder), what was asked for, and how it misbehaves.

    sent: file -> (first byte, bytes sent) of each answer. tokens: file -> what its last request was authorised by.
    corrupt: file whose bytes arrive changed. fail: file that answers 500 for as long as it is set.
    cut: file -> bytes after which each next answer's connection breaks. busy: file -> statuses that it answers first.
    retry_after: seconds that an error asks to wait. status: repository -> (status, error code) of all its answers.
    missing: file that is listed only. longer: file that goes on after its announced end. ranges: whether a part of a
    file can be asked for. listed: names that the listing holds besides. cdn: address that files are redirected to.
    echo: whether errors tell the token that the request held. commit: what the branch is now.
    """

    repositories: dict[str, Path]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    sent: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    corrupt: str | None = None
    fail: str | None = None
    cut: dict[str, list[int]] = field(default_factory=dict)
    busy: dict[str, list[int]] = field(default_factory=dict)
    retry_after: str = "0"
    status: dict[str, tuple[int, str]] = field(default_factory=dict)
    missing: str | None = None
    longer: str | None = None
    ranges: bool = True
    listed: tuple[str, ...] = ()
    cdn: str | None = None
    echo: bool = False
    commit: str = COMMIT

    @property
    def variables(self) -> dict[str, str]:
        """Where they are set before huggingface_hub is imported, it asks this Hub."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}

    @property
    def downloads(self) -> list[str]:
        return [request for request in self.requests if request.startswith("GET") and "/resolve/" in request]

    def behave(self) -> None:
        """Forget what was asked for and every way to misbehave."""
        vars(self).update(vars(Hub(self.repositories, self.url)))


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

    def do_GET(self) -> None:
        hub = self.server.hub
        hub.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/"):
            self.describe(path.split("/"))
        else:
            self.resolve(path.removeprefix("datasets/").split("/"))

    def describe(self, parts: list[str]) -> None:
        """The commit of a revision and what it holds."""
        hub, name, revision = self.server.hub, "/".join(parts[2:4]), parts[5] if len(parts) > 5 else BRANCH
        if hub.busy.get(LISTING):
            return self.refuse(hub.busy[LISTING].pop(0))
        if name in hub.status:
            return self.refuse(*hub.status[name])
        folder = hub.repositories.get(name)
        if folder is None:
            return self.refuse(404, "RepoNotFound")
        if revision not in (BRANCH, hub.commit):
            return self.refuse(404, "RevisionNotFound")
        siblings = [sibling(file, folder) for file in sorted(folder.rglob("*")) if file.is_file()]
        siblings += [{"rfilename": name, "size": 2, "blobId": "0" * 40} for name in hub.listed]
        body = {"id": name, "sha": hub.commit, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
        return self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def resolve(self, parts: list[str]) -> None:
        """One file of a commit."""
        hub, name, revision, file_name = self.server.hub, "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        hub.tokens[file_name] = self.headers.get("Authorization")
        if revision != hub.commit:
            return self.answer(400, b"files must be fetched by commit, never by branch", {})
        if hub.cdn:
            return self.answer(302, b"", {"Location": f"{hub.cdn}{self.path}?X-Signature=of-the-cdn"})
        if hub.busy.get(file_name):
            return self.refuse(hub.busy[file_name].pop(0))
        if file_name == hub.fail:
            return self.refuse(500)
        file = hub.repositories[name] / file_name
        if file_name == hub.missing or not file.is_file():
            return self.refuse(404, "EntryNotFound")
        content = file.read_bytes()
        if file_name == hub.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if file_name == hub.longer:
            content += content
        return self.send_file(file_name, content, {"ETag": f'"{etag(file)}"', "X-Repo-Commit": hub.commit})

    def send_file(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        """What was asked for of a file, or all of it; cut short where that is how the Hub misbehaves."""
        hub = self.server.hub
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if hub.ranges else None
        start = int(asked[1]) if asked else 0
        if asked and start >= len(content):
            return self.refuse(416)
        if asked:
            headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        cut = hub.cut[name].pop(0) if hub.cut.get(name) else None
        part = content[start:] if cut is None else content[start : start + cut]
        hub.sent.setdefault(name, []).append((start, len(part)))
        self.answer(206 if asked else 200, part, headers, len(content) - start)
        if cut is not None:
            self.close_connection = True
        return None

    def refuse(self, status: int, code: str = "") -> None:
        """An error as the Hub words it."""
        told = self.headers.get("Authorization", "") if self.server.hub.echo else ""
        headers = {"Retry-After": self.server.hub.retry_after} | ({"X-Error-Code": code} if code else {})
        if told:
            headers |= {"X-Error-Message": told, "X-HF-Warning": f"token; {told}", "X-Request-Id": told}
        self.answer(status, json.dumps({"error": told}).encode(), headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body) if length is None else length)}).items():
            self.send_header(key, value)
        self.end_headers()
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
