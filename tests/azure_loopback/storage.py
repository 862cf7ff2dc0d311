"""Blob storage: accounts, containers and blobs, in memory. Read and written with a SAS or a token, never a key."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree import ElementTree

from azure_loopback.identity import has_token_for
from azure_loopback.server import Request, Response, Service, route

SIGNATURE = "loopback"
"""The signature in every SAS that this cloud hands out."""
SAS = f"sv=2024-11-04&ss=b&srt=sco&sp=racwl&sig={SIGNATURE}"


@dataclass(frozen=True)
class Blob:
    content: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    written: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def headers(self) -> dict[str, str]:
        md5 = hashlib.md5(self.content, usedforsecurity=False)
        return {
            "ETag": f'"0x{md5.hexdigest()[:15].upper()}"',
            "Content-MD5": b64encode(md5.digest()).decode(),
            "Last-Modified": format_datetime(self.written, usegmt=True),
            "x-ms-blob-type": "BlockBlob",
            **{f"x-ms-meta-{name}": value for name, value in self.metadata.items()},
        }


class Storage(Service):
    """blobs: account/container/name -> Blob."""

    host = "*.blob.core.windows.net"

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self._blocks: dict[tuple[str, str], bytes] = {}

    def put(self, account: str, container: str, files: Mapping[str, bytes]) -> None:
        """Store files as someone else would have before."""
        self.blobs |= {f"{account}/{container}/{name}": Blob(content) for name, content in files.items()}

    @route("PUT", r"/(?P<container>[^/]+)/(?P<name>.+)")
    def write(self, request: Request, container: str, name: str) -> Response:
        if refusal := self._refusal(request):
            return refusal
        key, what = self._key(request, container, name), request.query.get("comp")
        metadata = {h.removeprefix("x-ms-meta-"): v for h, v in request.headers.items() if h.startswith("x-ms-meta-")}
        if what == "block":
            self._blocks[key, request.query["blockid"]] = request.body
            return Response(201)
        if what == "metadata":
            if key not in self.blobs:
                return self._missing()
            self.blobs[key] = Blob(self.blobs[key].content, metadata)
            return Response(200, headers=self.blobs[key].headers)
        if what == "blocklist":
            names = [found.text or "" for found in ElementTree.fromstring(request.body)]  # noqa: S314
            self.blobs[key] = Blob(b"".join(self._blocks.pop((key, block)) for block in names), metadata)
            return Response(201, headers=self.blobs[key].headers)
        if key in self.blobs and request.headers.get("if-none-match") == "*":
            return self._error(409, "BlobAlreadyExists")
        self.blobs[key] = Blob(request.body, metadata)
        return Response(201, headers=self.blobs[key].headers)

    @route("HEAD", r"/(?P<container>[^/]+)/(?P<name>.+)")
    def properties(self, request: Request, container: str, name: str) -> Response:
        if refusal := self._refusal(request):
            return refusal
        blob = self.blobs.get(self._key(request, container, name))
        return Response(200, blob.content, blob.headers) if blob else self._missing()

    @route("GET", r"/(?P<container>[^/]+)/(?P<name>.+)")
    def read(self, request: Request, container: str, name: str) -> Response:
        if refusal := self._refusal(request):
            return refusal
        blob = self.blobs.get(self._key(request, container, name))
        if blob is None:
            return self._missing()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range", request.headers.get("range", "")))
        if wanted is None:
            return Response(200, blob.content, blob.headers)
        first, size = int(wanted[1]), len(blob.content)
        last = min(int(wanted[2] or size), size - 1)
        if first >= size:
            return self._error(416, "InvalidRange")
        place = {"Content-Range": f"bytes {first}-{last}/{size}"}
        return Response(206, blob.content[first : last + 1], blob.headers | place)

    @route("GET", r"/(?P<container>[^/]+)/?")
    def listing(self, request: Request, container: str) -> Response:
        if refusal := self._refusal(request):
            return refusal
        root, prefix = self._key(request, container, ""), request.query.get("prefix", "")
        results = ElementTree.Element("EnumerationResults", ContainerName=container)
        blobs = ElementTree.SubElement(results, "Blobs")
        for key in sorted(key for key in self.blobs if key.startswith(root + prefix)):
            _describe(ElementTree.SubElement(blobs, "Blob"), key.removeprefix(root), self.blobs[key])
        ElementTree.SubElement(results, "NextMarker")
        return Response(200, ElementTree.tostring(results, "utf-8"), {"Content-Type": "application/xml"})

    @staticmethod
    def _key(request: Request, container: str, name: str) -> str:
        return f"{request.host.partition('.')[0]}/{container}/{name}"

    def _refusal(self, request: Request) -> Response | None:
        if request.query.get("sig") == SIGNATURE or has_token_for(request, "https://storage.azure.com"):
            return None
        return self._error(403, "AuthorizationFailure")

    def _missing(self) -> Response:
        return self._error(404, "BlobNotFound")

    @staticmethod
    def _error(status: int, code: str) -> Response:
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        return Response(status, body.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})


def _describe(element: ElementTree.Element, name: str, blob: Blob) -> None:
    ElementTree.SubElement(element, "Name").text = name
    properties = ElementTree.SubElement(element, "Properties")
    shown = {"Content-Length": str(len(blob.content)), "BlobType": "BlockBlob", "AccessTier": "Hot"}
    headers = blob.headers
    shown |= {"Etag": headers["ETag"].strip('"')}
    shown |= {key: headers[key] for key in ("Content-MD5", "Last-Modified")}
    for key, value in shown.items():
        ElementTree.SubElement(properties, key).text = value
    metadata = ElementTree.SubElement(element, "Metadata")
    for key, value in blob.metadata.items():
        ElementTree.SubElement(metadata, key).text = value
