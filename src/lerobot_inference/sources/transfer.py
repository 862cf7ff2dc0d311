"""Download a snapshot's files: several at once, each from the byte where an earlier try stopped, each verified."""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import BinaryIO

from lerobot_inference.errors import InputError, StorageError
from lerobot_inference.files import sha256_file
from lerobot_inference.sources.retry import TransientError, retried
from lerobot_inference.sources.snapshot import RemoteFile, Snapshot
from lerobot_inference.types import Progress

DOWNLOADS_AT_ONCE = 8
INCOMPLETE = ".incomplete"
"""Folder, inside the one that is downloaded to, of the files that are not whole yet."""


def transfer(snapshot: Snapshot, folder: Path, where: str, progress: Progress) -> dict[str, str]:
    """Download every file into `folder`. where: the source, for messages.

    Returns name -> sha256 of the verified bytes. Raises InputError when a file's bytes are not those that were
    announced, ServiceError when the source can't be reached; what was downloaded stays for the next try.
    """
    what, total = f"download {where}", len(snapshot.files)
    hashes: dict[str, str] = {}
    stop = Event()
    progress(what, 0, total)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        tasks = {pool.submit(_download, snapshot, file, folder, where, stop): file for file in snapshot.files}
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                hashes[tasks[task].name] = task.result()
                progress(what, done, total)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return {file.name: hashes[file.name] for file in snapshot.files}


class _Stopped(Exception):  # noqa: N818 - no error: another file's is being told
    """The download of this file is no longer wanted."""


def _download(snapshot: Snapshot, file: RemoteFile, folder: Path, where: str, stop: Event) -> str:
    """Fetch one file, unless an earlier try did, and return its sha256."""
    path, partial = folder / file.name, folder / INCOMPLETE / file.name
    if path.is_file() and _is_whole(path, file):
        return sha256_file(path)
    for each in (path, partial):
        each.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    while partial.stat().st_size < file.size:
        retried(lambda: _go_on(snapshot, file, partial, where, stop), stop.wait)
    if not _is_whole(partial, file):
        partial.unlink()
        raise InputError(f"{where}: {file.name}: its bytes are not those that were announced", hint="download again")
    partial.replace(path)
    return sha256_file(path)


def _go_on(snapshot: Snapshot, file: RemoteFile, partial: Path, where: str, stop: Event) -> None:
    """Read on from where `partial` ends. Raises TransientError only when not a single byte came."""
    start = partial.stat().st_size
    try:
        with partial.open("ab") as target:
            _claim(target, partial)
            for piece in snapshot.read(file, start):
                if stop.is_set():
                    raise _Stopped
                if target.tell() + len(piece) > file.size:
                    target.truncate(0)
                    raise InputError(
                        f"{where}: {file.name}: is larger than the {file.size} bytes that were announced",
                        hint="download again",
                    )
                target.write(piece)
    except TransientError:
        if partial.stat().st_size == start:
            raise
        return
    if partial.stat().st_size == start:
        raise TransientError(f"{where}: {file.name}: ends at byte {start} of {file.size}", hint="download again")


def _claim(target: BinaryIO, partial: Path) -> None:
    """Keep other processes from writing here too, for as long as the file is open."""
    try:
        fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(f"{partial}: another process is downloading to it", hint="wait for it to end") from error


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether the bytes at `path` are those that were announced."""
    return path.stat().st_size == file.size and (file.checksum is None or file.checksum.fits(path))
