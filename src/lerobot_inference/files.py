"""Files are written whole or not at all, and known by their sha256."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lerobot_inference.errors import StorageError, UsageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's "no space", "not permitted" and "in the way" into a StorageError about `path`."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EFBIG: "the file would be larger than this process may write",
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.ENOTDIR: "a file is where a folder should be",
            errno.EEXIST: "a file is where a folder should be",
            errno.EISDIR: "a folder is where the file should be",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            raise
        raise StorageError(
            f"{path}: {reason}", hint="free some space or choose another folder, then run again"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block ends well, remove it otherwise.

    Raises StorageError when the disk is full or can't be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` when the block ends well.

    Raises StorageError when the disk is full or can't be written, and when another process writes `path`.
    """
    path = path.resolve()  # what a link leads to is replaced, not the link
    temporary = path.with_name(f".{path.name}.partial")
    with storage_errors(path), claimed(temporary):
        clear(temporary)  # of one that was killed
        try:
            yield temporary
            replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep other processes out of it until the block ends. Raises StorageError where one is in it."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network's file system may know no locks
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(
                    f"{folder}: another process writes into it", hint="wait for it to end, or choose another --output"
                ) from error
        yield
    finally:
        os.close(place)


def clear(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def require_replaceable(path: Path, what: str, *marks: str) -> None:
    """Raise UsageError for a folder that holds something, and not the `marks`: the files of every earlier `what`."""
    if Path.cwd().is_relative_to(path.resolve()):
        raise UsageError(f"{path} is the folder that this runs in, or around it", hint="name a folder inside it")
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not all((path / mark).is_file() for mark in marks)):
        raise UsageError(
            f"{path} is not empty and holds no earlier {what}", hint="name a new folder; this one is kept as it is"
        )


def replace_folder(new: Path, path: Path) -> None:
    """Put the finished folder `new` where `path` is or was; killed in between, it leaves no half of either."""
    old = path.with_name(f".{path.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if path.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if path.exists():
        path.replace(old)
    new.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`, in order; also where a folder is a link to another disk."""
    found: list[Path] = []
    for parent, folders, names in folder.walk(follow_symlinks=True):
        folders[:] = [name for name in folders if not parent.resolve().is_relative_to((parent / name).resolve())]
        found += [parent / name for name in names if (parent / name).is_file()]
    return sorted(found)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
