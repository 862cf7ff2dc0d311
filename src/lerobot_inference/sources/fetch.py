"""Make a verified copy of a source, once."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path

from lerobot_inference.errors import InputError, UsageError
from lerobot_inference.files import atomic_folder, sha256_file, storage_errors
from lerobot_inference.sources.hub import download, resolve
from lerobot_inference.sources.manifest import MANIFEST_FILE, Manifest, list_files, read_manifest
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
    if _present(output, manifest):
        return manifest
    with atomic_folder(output) as partial:
        for done, name in enumerate(names):
            progress(f"copy {kind.name.lower()}", done, len(names))
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, partial / name)
        _finish(manifest, partial)
    progress(f"copy {kind.name.lower()}", len(names), len(names))
    return manifest


def _download(source: Source, kind: Kind, output: Path, progress: Progress) -> Manifest:
    repository = str(source)
    present = read_manifest(output)
    if present and source.pinned and present.revision == source.revision and _present(output, present):
        return present
    snapshot = resolve(repository, kind, source.revision)
    if present and present.source == repository and present.revision == snapshot.commit and _present(output, present):
        return present
    partial = output.with_name(f".{output.name}.{snapshot.commit[:12]}.partial")
    with storage_errors(output):
        download(snapshot, kind, partial, progress)
        names = list_files(partial)
        manifest = Manifest(
            source=repository,
            kind=kind.value,
            revision=snapshot.commit,
            files={name.as_posix(): sha256_file(partial / name) for name in names},
        )
        _finish(manifest, partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        if output.exists():
            shutil.rmtree(output)
        partial.replace(output)
    return manifest


def _finish(manifest: Manifest, folder: Path) -> None:
    damaged = manifest.mismatch(folder)
    if damaged:
        raise InputError(damaged, hint="the source changed while it was copied; run again")
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _present(output: Path, manifest: Manifest) -> bool:
    return read_manifest(output) == manifest and manifest.mismatch(output) is None


def _wanted(name: str, kind: Kind) -> bool:
    return any(fnmatch(name, pattern) for pattern in kind.patterns)
