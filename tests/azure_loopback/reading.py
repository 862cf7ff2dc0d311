"""Blob storage as a download meets it: listings in pages, folders that are listed too, reads that break."""

from __future__ import annotations

from xml.etree import ElementTree

from azure_loopback.server import Request, Response, route
from azure_loopback.storage import Blob, Storage

PAGE = 3
"""Blobs in one answer to a listing."""


class ReadStorage(Storage):
    """sent: blob -> (first byte, bytes sent) of each read. without_md5: blobs whose checksum nobody knows.

    cut: blob -> bytes after which each next read breaks. busy_from: blob -> byte from which on reads answer 503.
    corrupt: blob whose bytes arrive changed. written_over: blob that is another one by the time it is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[tuple[int, int]]] = {}
        self.without_md5: set[str] = set()
        self.cut: dict[str, list[int]] = {}
        self.busy_from: dict[str, int] = {}
        self.corrupt = self.written_over = ""

    def add_folder(self, key: str) -> None:
        """List a folder, as accounts with a hierarchical namespace do."""
        self.blobs[key] = Blob(b"", {"hdi_isfolder": "true"})

    @route("GET", r"/(?P<container>[^/]+)/(?P<name>.+)")
    def read_part(self, request: Request, container: str, name: str) -> Response:
        """A read, held to the ETag that was asked for."""
        answer, key = self.read(request, container, name), self._key(request, container, name)
        if answer.status not in (200, 206):
            return answer
        if (
            key == self.written_over
            or request.headers.get("if-match", answer.headers["ETag"]) != answer.headers["ETag"]
        ):
            return self._error(412, "ConditionNotMet")
        start, body = int(answer.headers.get("Content-Range", "bytes 0").split("-")[0].split()[1]), answer.body
        if start >= self.busy_from.get(key, start + 1):
            return self._error(503, "ServerBusy")
        if key == self.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        cut = self.cut[key].pop(0) if self.cut.get(key) else len(body)
        self.sent.setdefault(key, []).append((start, len(body[:cut])))
        rest = {"Content-Length": str(len(body)), "Connection": "close"} if cut < len(body) else {}
        return Response(answer.status, body[:cut], dict(answer.headers) | rest)

    @route("GET", r"/(?P<container>[^/]+)/?")
    def page(self, request: Request, container: str) -> Response:
        """One page of a listing."""
        answer = self.listing(request, container)
        if answer.status != 200:
            return answer
        results = ElementTree.fromstring(answer.body)  # noqa: S314 - our own
        ElementTree.SubElement(results, "Prefix").text = request.query.get("prefix")  # the SDK asks for pages with it
        blobs, following = results[0], results[1]
        first = int(request.query.get("marker") or 0)
        for blob in list(blobs):
            properties = blob.find("Properties")
            md5 = properties.find("Content-MD5") if properties is not None else None
            if f"{self._key(request, container, '')}{blob.findtext('Name')}" in self.without_md5 and md5 is not None:
                properties.remove(md5)  # type: ignore[union-attr]
        listed = list(blobs)
        for blob in listed[:first] + listed[first + PAGE :]:
            blobs.remove(blob)
        following.text = str(first + PAGE) if first + PAGE < len(listed) else None
        return Response(200, ElementTree.tostring(results, "utf-8"), answer.headers)
