"""Make a verified copy of a source, once."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path

from lerobot_inference.errors import InputError, UsageError
from lerobot_inference.files import atomic_folder, replace_folder, sha256_file, storage_errors
from lerobot_inference.sources.hub import download, resolve
from lerobot_inference.sources.manifest import Manifest, list_files, read_manifest
from lerobot_inference.sources.source import Kind, Source
from lerobot_inference.types import Progress, silent


def fetch(
    source: Source, kind: Kind, output: Path, *, require_pinned: bool = False, progress: Progress = silent
) -> Manifest:
    """Copy or download `source` to `output`, verify it and leave a manifest there.

    A copy that is already there, whole and of the same revision, is kept and nothing is transferred. Raises
    UsageError for an unpinned source when pinned ones are required, InputError when nothing usable is there,
    ServiceError when the Hub can't be reached (what was downloaded stays for the next try), StorageError.
    """
    if require_pinned and not source.pinned:
        raise UsageError(
            f"{source} is not pinned: revision {source.revision or 'of the default branch'} can move",
            hint="name the commit by its 40 hexadecimal digits",
        )
    if source.path is not None:
        return _copy(source.path, kind, output, progress)
    return _download(source, kind, output, progress)


def _copy(folder: Path, kind: Kind, output: Path, progress: Progress) -> Manifest:
    names = [path for path in list_files(folder) if _wanted(path.as_posix(), kind)]
    if not names:
        raise InputError(
            f"{folder}: holds none of the files of a {kind.name.lower()}", hint=f"expected {', '.join(kind.patterns)}"
        )
    origin = read_manifest(folder)
    manifest = Manifest(
        source=origin.source if origin else str(folder.resolve()),
        kind=kind.value,
        revision=origin.revision if origin else None,
        files={name.as_posix(): sha256_file(folder / name) for name in names},
    )
    if read_manifest(output) == manifest and manifest.mismatch(output) is None:
        return manifest
    with atomic_folder(output) as partial:
        for done, name in enumerate(names):
            progress(f"copy {kind.name.lower()}", done, len(names))
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, partial / name)
        if damaged := manifest.mismatch(partial):
            raise InputError(damaged, hint="the source changed while it was copied; run again")
        manifest.write(partial)
    progress(f"copy {kind.name.lower()}", len(names), len(names))
    return manifest


def _download(source: Source, kind: Kind, output: Path, progress: Progress) -> Manifest:
    repository = str(source)
    if source.pinned and (kept := _kept(output, repository, source.revision)):
        return kept
    snapshot = resolve(repository, kind, source.revision)
    if kept := _kept(output, repository, snapshot.commit):
        return kept
    partial = output.with_name(f".{output.name}.{snapshot.commit[:12]}.partial")
    with storage_errors(output):
        hashes = download(snapshot, kind, partial, progress)
        files = {name: hashes[name] for name in (path.as_posix() for path in list_files(partial))}
        manifest = Manifest(source=repository, kind=kind.value, revision=snapshot.commit, files=files)
        manifest.write(partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        replace_folder(partial, output)
    return manifest


def _kept(output: Path, repository: str, commit: str | None) -> Manifest | None:
    """The manifest of a whole copy of that very commit, where one lies in `output`."""
    present = read_manifest(output)
    if present is None or (present.source, present.revision) != (repository, commit):
        return None
    return present if present.mismatch(output) is None else None


def _wanted(name: str, kind: Kind) -> bool:
    return any(fnmatch(name, pattern) for pattern in kind.patterns)
