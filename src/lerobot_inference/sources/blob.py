"""A folder on Azure blob storage: `https://<account>.blob.<suffix>/<container>/<folder>`.

Access is by identity (DefaultAzureCredential), never by an account key or a signature in the address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from lerobot_inference.azure_ml import credential, explain
from lerobot_inference.errors import InputError, UsageError, require
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.retry import BUSY, KEPT, TransientError
from lerobot_inference.sources.snapshot import Checksum, RemoteFile, Snapshot, fingerprint

type Blob = Any
"""BlobProperties, which is imported when it is used."""
type Container = Any
"""A ContainerClient."""

HOST = re.compile(
    r"[a-z0-9]{3,24}(\.z\d{1,2})?\.blob\."
    r"(core\.windows\.net|core\.usgovcloudapi\.net|core\.chinacloudapi\.cn|storage\.azure\.net)"
)
"""Azure's own: whoever is asked is shown a token that opens all of our storage."""
PIECE_BYTES = 4 * 2**20  # what one request fetches, and so what a cut connection can cost
PIN_HINT = "name the revision that a download printed: it stands for the name, size and ETag of every file"
FORM = "https://<account>.blob.core.windows.net/<container>/<folder>"


@dataclass(frozen=True)
class BlobFolder:
    """A folder of a container. folder: without slashes at its ends; empty for the whole container.

    revision: the fingerprint that a download printed, to get those very bytes or none; None is what is there now.
    """

    host: str
    container: str
    folder: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str, revision: str | None) -> BlobFolder | None:
        """The folder that an address names; None for text that is no web address. Raises UsageError."""
        if not re.match(r"https?:", text, re.IGNORECASE):
            return None
        url = urlsplit(text)
        shown = without_secrets(text)
        if url.query or url.fragment or "@" in url.netloc:
            raise UsageError(
                f"{shown}: the address must hold no signature or password, which would be kept with the download",
                hint="give it up to the `?`; access is by identity: az login, or the compute's managed identity",
            )
        host, parts = url.netloc.lower(), [unquote(part) for part in url.path.strip("/").split("/")]
        if url.scheme != "https" or not HOST.fullmatch(host) or not all(map(_is_plain, parts)):
            raise UsageError(f"{shown}: not a folder on Azure blob storage", hint=f"expected {FORM}")
        return cls(host, parts[0], "/".join(parts[1:]), revision)

    @property
    def name(self) -> str:
        """The address."""
        return "/".join(filter(None, (f"https://{self.host}", self.container, self.folder)))

    @property
    def pin_hint(self) -> str | None:
        """Blobs can be written over at any time; a fingerprint says what they were."""
        return None if self.revision else PIN_HINT

    def open(self, kind: Kind) -> Snapshot:
        """What lies in the folder. Raises InputError when it is not what the revision stands for, ServiceError."""
        return check_revision(self.list(kind), self.name, self.revision)

    def list(self, kind: Kind) -> Snapshot:
        """What lies in the folder now. Raises InputError, ServiceError."""
        storage = require("azure.storage.blob", "azure")
        logging.getLogger("azure").setLevel(logging.ERROR)  # it warns of what is tried again
        container = storage.ContainerClient(
            f"https://{self.host}",
            self.container,
            credential=credential(),
            retry_total=0,  # ours are tried again by retry.py
            max_single_get_size=PIECE_BYTES,
            max_chunk_get_size=PIECE_BYTES,
        )
        root = f"{self.folder}/" if self.folder else ""  # with the slash: a/cell is no part of a/cell-2
        with _blob_errors(self.name):
            blobs = list(container.list_blobs(name_starts_with=root, include=["metadata"]))
        below = (blob for blob in blobs if blob.name.startswith(root) and not _is_folder(blob))
        listed = {blob.name.removeprefix(root): _describe(blob, root) for blob in below}
        files = tuple(listed[name] for name in kind.select(listed, self.name))
        return Snapshot(self.name, fingerprint(files), files, partial(_read, container, self.name, root))


def without_secrets(address: str) -> str:
    """What may be shown of an address that was typed: no password and no signature."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", address, maxsplit=1)[0])


def check_revision(snapshot: Snapshot, name: str, revision: str | None) -> Snapshot:
    """The snapshot, if it is the one that `revision` stands for. name: of the source. Raises InputError."""
    if revision not in (None, snapshot.revision):
        raise InputError(
            f"{name}: holds other files than revision {revision}; now it is {snapshot.revision}",
            hint="look at what changed, then name the revision of now",
        )
    return snapshot


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and not any(character in part for character in "/\\?#") and part.isprintable()


def _is_folder(blob: Blob) -> bool:
    """Accounts with a hierarchical namespace list their folders too."""
    return (blob.metadata or {}).get("hdi_isfolder") == "true"


def _describe(blob: Blob, root: str) -> RemoteFile:
    md5 = blob.content_settings.content_md5
    checksum = Checksum("md5", bytes(md5).hex()) if md5 else None
    return RemoteFile(blob.name.removeprefix(root), blob.size, blob.etag.strip('"'), checksum)


def _read(container: Container, where: str, root: str, file: RemoteFile, start: int) -> Iterator[bytes]:
    """The blob's bytes, as long as it is the one that was listed."""
    core = require("azure.core", "azure")
    unchanged = {"etag": f'"{file.tag}"', "match_condition": core.MatchConditions.IfNotModified}
    with _blob_errors(f"{where}: {file.name}"):
        yield from container.download_blob(f"{root}{file.name}", offset=start, **unchanged).chunks()


@contextmanager
def _blob_errors(what: str) -> Iterator[None]:
    """What goes wrong with storage, as errors of ours."""
    core = require("azure.core.exceptions", "azure")
    try:
        yield
    except core.ResourceModifiedError as error:
        raise InputError(f"{what}: was written over while it was downloaded", hint="download again") from error
    except core.ResourceNotFoundError as error:
        raise InputError(f"{what}: not found on Azure blob storage", hint=f"check each part of {FORM}") from error
    except core.AzureError as error:
        status = getattr(error, "status_code", None)
        if isinstance(error, core.ClientAuthenticationError) or status not in (None, *BUSY):
            raise explain(what, error) from error
        reason = f"it answered {status}" if status else type(error).__name__
        raise TransientError(f"{what}: Azure blob storage could not be reached: {reason}", hint=KEPT) from error
