"""What a source holds at one moment: a revision, the files worth having, and how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from lerobot_inference.files import sha256_file
from lerobot_inference.sources.kind import Kind


class Checksum(NamedTuple):
    """What a source says of a file's bytes. algorithm: sha256, md5, or git (the blob id); value: hexadecimal."""

    algorithm: str
    value: str

    def fits(self, path: Path) -> bool:
        """Whether the file's bytes have this checksum."""
        if self.algorithm == "sha256":
            return sha256_file(path) == self.value
        size = path.stat().st_size
        start = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)  # how git names a file
        empty = start if self.algorithm == "git" else hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: empty).hexdigest() == self.value


@dataclass(frozen=True)
class RemoteFile:
    """name: path below the source's root. size: bytes. tag: another one means other bytes.

    checksum: None where the source knows none.
    """

    name: str
    size: int
    tag: str
    checksum: Checksum | None


@dataclass(frozen=True)
class Snapshot:
    """source: what the manifest says it is, and what can be typed to get it again.

    read(file, start): the file's bytes from `start` on, piece by piece; at most one reader a file at a time.

    It raises TransientError for what may work when tried again, InputError and ServiceError for what won't.
    """

    source: str
    revision: str
    files: tuple[RemoteFile, ...]
    read: Callable[[RemoteFile, int], Iterator[bytes]]


class Source(Protocol):
    """Where something can be fetched from. One file of this folder each; see SOURCES in source.py."""

    @property
    def name(self) -> str:
        """What it is called in messages; never a secret."""

    @property
    def revision(self) -> str | None:
        """The revision that was asked for; None when that was left open."""

    @property
    def pin_hint(self) -> str | None:
        """How to name what can't change behind our back; None when the source does."""

    def open(self, kind: Kind) -> Snapshot:
        """What it holds now. Raises InputError, ServiceError, UsageError."""


def fingerprint(files: tuple[RemoteFile, ...]) -> str:
    """Hex sha256 of a listing: another one means that some file was added, removed or written."""
    lines = sorted(f"{file.name}\0{file.size}\0{file.tag}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
