"""The Hugging Face Hub: resolve a revision to a commit, download its files, verify each.

The token comes from the environment (HF_TOKEN) or the user's own login, never from an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from lerobot_inference.errors import InputError, ServiceError, require
from lerobot_inference.files import sha256_file
from lerobot_inference.sources.source import Kind
from lerobot_inference.types import Progress

DOWNLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit: sha256 for large files (LFS), else the git blob id."""

    name: str
    size: int
    sha256: str | None
    blob_id: str


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository, and those of its files that are worth having."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


def resolve(repository: str, kind: Kind, revision: str | None) -> Snapshot:
    """Which commit `revision` (None: the default branch) is now. Raises InputError, ServiceError."""
    hub = require("huggingface_hub", "hub")
    with _hub_errors(repository):
        info = hub.HfApi().repo_info(repository, repo_type=kind.value, revision=revision, files_metadata=True)
    files = tuple(
        RemoteFile(entry.rfilename, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        for entry in info.siblings
        if any(fnmatch(entry.rfilename, pattern) for pattern in kind.patterns)
    )
    if not files:
        raise InputError(f"{repository}@{info.sha}: holds none of the files of a {kind.name.lower()}")
    return Snapshot(repository, info.sha, files)


def download(snapshot: Snapshot, kind: Kind, folder: Path, progress: Progress) -> dict[str, str]:
    """Download every file of `snapshot` into `folder`, resuming what an earlier try left, and verify it.

    Returns name -> sha256 of the verified bytes.

    Raises ServiceError when the Hub fails (the folder is kept), InputError when a file's bytes are not those
    that the Hub announced.
    """
    hub = require("huggingface_hub", "hub")
    hub.utils.disable_progress_bars()
    what, total = f"download {snapshot.repository}", len(snapshot.files)
    hashes: dict[str, str] = {}
    progress(what, 0, total)
    with _hub_errors(snapshot.repository), ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        tasks = {
            pool.submit(
                hub.hf_hub_download,
                snapshot.repository,
                file.name,
                repo_type=kind.value,
                revision=snapshot.commit,
                local_dir=folder,
            ): file
            for file in snapshot.files
        }
        for done, task in enumerate(as_completed(tasks), start=1):
            file = tasks[task]
            hashes[file.name] = _verify(Path(task.result()), file)
            progress(what, done, total)
    return hashes


def _verify(path: Path, file: RemoteFile) -> str:
    """The file's sha256, once it is known to be what the Hub announced."""
    sha256 = sha256_file(path)
    same = sha256 == file.sha256 if file.sha256 else _git_blob_id(path) == file.blob_id
    if path.stat().st_size != file.size or not same:
        path.unlink()
        raise InputError(f"{file.name}: its bytes are not those the Hub announced", hint="download again")
    return sha256


def _git_blob_id(path: Path) -> str:
    """How git names a file: sha1 of `blob <size>`, a zero byte and the content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    hub = require("huggingface_hub.errors", "hub")
    httpx = require("httpx", "hub")
    try:
        yield
    except hub.GatedRepoError as error:
        raise InputError(
            f"{repository}: access to this repository must be granted on the Hub",
            hint="ask for access, then set HF_TOKEN or run: hf auth login",
        ) from error
    except hub.RevisionNotFoundError as error:
        raise InputError(f"{repository}: no such revision", hint="look up the branch, tag or commit") from error
    except hub.RepositoryNotFoundError as error:
        raise InputError(
            f"{repository}: no such repository on the Hugging Face Hub, or it is private",
            hint="check the name; for a private one set HF_TOKEN or run: hf auth login",
        ) from error
    except (hub.HfHubHTTPError, hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, httpx.HTTPError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ServiceError(
            f"{repository}: the Hugging Face Hub could not be reached: {first_line}",
            hint="run the same command again; what was downloaded is kept",
        ) from error
