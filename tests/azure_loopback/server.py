"""A loopback server that plays Azure, whatever host the unpatched SDKs ask for.

It is an HTTPS proxy that answers every `CONNECT host:443` itself, with a certificate for that very host. A program is
led to it as a company's network would do it, by environment variables alone, and can reach nothing else:

    with serve(Workspace(), Storage()) as cloud:
        subprocess.run([...], env=os.environ | cloud.environment)      # HTTPS_PROXY, REQUESTS_CA_BUNDLE, PATH with `az`
        assert cloud.called("PUT", r".*/jobs/\\w+")

`az` is the stand-in program in login/: it hands DefaultAzureCredential a token for whatever is asked for, which the
routes check. To add a service, write a file with a class of its own and give an instance to `serve`:

    class Models(Service):
        host = "management.azure.com"                                  # or a pattern, "*.blob.core.windows.net"

        @route("GET", WORKSPACE + r"/models/(?P<name>[^/]+)")
        def model(self, request: Request, name: str) -> Response:
            return Response.json({...})

The first service whose host and route fit answers. What fits none is a 501 and is kept in `cloud.unknown`, which is
how the calls that an SDK makes are found out. A test makes the cloud misbehave with `cloud.fail`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

import trustme

LOGIN = Path(__file__).with_name("login")
"""Folder of the stand-in `az`."""
RESET = 0
"""The status of a fault that cuts the connection instead of answering."""


@dataclass(frozen=True)
class Request:
    """One call. path: decoded, without the query; headers: names in lower case."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: Any, status: int = 200) -> Self:
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    @classmethod
    def error(cls, status: int, code: str, message: str) -> Self:
        """An error as Azure Resource Manager words it."""
        return cls.json({"error": {"code": code, "message": message}}, status)


type Route = Callable[..., Response]


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Mark a method of a Service as the answer to the calls whose whole path fits `pattern`, in any case."""

    def mark(function: Route) -> Route:
        function.__dict__.setdefault("routes", []).append((method, re.compile(pattern, re.IGNORECASE)))
        return function

    return mark


class Service:
    """Some routes of one host, and what they remember. `cloud` is set when it is served."""

    host: str
    cloud: Cloud

    def find(self, request: Request) -> Callable[[], Response] | None:
        """The answer to a request, not yet given."""
        if not fnmatch(request.host, self.host):
            return None
        for function in vars(type(self)).values():  # in the order in which they are written
            for method, pattern in getattr(function, "routes", ()):
                if method == request.method and (found := pattern.fullmatch(request.path)):
                    return partial(function, self, request, **found.groupdict())
        return None


@dataclass
class Fault:
    """What goes wrong with the next `times` calls that fit."""

    method: str
    pattern: re.Pattern[str]
    response: Response
    times: int


@dataclass
class Cloud:
    """What is served and what was asked. environment: variables that lead a program here."""

    services: tuple[Service, ...]
    environment: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    unknown: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fail(self, method: str, pattern: str, response: Response | int, times: int = 1) -> None:
        """Answer the next calls that fit `pattern` (all of path) like this; RESET cuts the connection."""
        response = response if isinstance(response, Response) else Response(response)
        self.faults.append(Fault(method, re.compile(pattern, re.IGNORECASE), response, times))

    def called(self, method: str, pattern: str) -> list[Request]:
        """The calls whose whole path fits, in order."""
        return [r for r in self.requests if r.method == method and re.fullmatch(pattern, r.path, re.IGNORECASE)]

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.pattern.fullmatch(request.path):
                fault.times -= 1
                return fault.response
        for service in self.services:
            if answer := service.find(request):
                return answer()
        self.unknown.append(request)
        return Response.error(501, "NotImplemented", f"no route for {request.method} {request.url}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    cloud: Cloud
    authority: trustme.CA

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cloud, self.authority = cloud, trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        """TLS with a certificate for this host."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self.authority.issue_cert(host).configure_cert(self._contexts[host])
            return self._contexts[host]

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is its own affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    host = ""

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_CONNECT(self) -> None:
        """Begin a tunnel that ends here: from now on this connection speaks TLS, as the host that was asked for."""
        self.host = self.path.rpartition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.context(self.host).wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)  # type: ignore[assignment]

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        request = Request(
            self.command,
            self.host,
            unquote(path),
            dict(parse_qsl(query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        if not self.host:  # asked without a tunnel, so not over TLS
            self.send_error(403, "only TLS is served here")
            return
        response = self.server.cloud.answer(request)
        if response.status == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in ({"Content-Length": str(len(response.body))} | dict(response.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815


@contextmanager
def serve(*services: Service) -> Iterator[Cloud]:
    """Serve until the block ends."""
    cloud = Cloud(services)
    for service in services:
        service.cloud = cloud
    server = _Server(cloud)
    with tempfile.TemporaryDirectory(prefix="azure-loopback-") as folder:
        authority = Path(folder) / "authority.pem"
        server.authority.cert_pem.write_to_path(authority)
        proxy = f"http://127.0.0.1:{server.server_port}"
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy)
        cloud.environment = proxies | {
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(authority),
            "PATH": f"{LOGIN}{os.pathsep}{os.environ['PATH']}",
            "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
        }
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield cloud
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
