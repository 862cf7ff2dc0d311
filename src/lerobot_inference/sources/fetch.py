"""Make a verified copy of a source, once."""

from __future__ import annotations

import shutil
from pathlib import Path

from lerobot_inference.errors import UsageError
from lerobot_inference.files import replace_folder, require_replaceable, storage_errors
from lerobot_inference.sources.check import Check, anything, check_copy
from lerobot_inference.sources.folder import Folder, copy
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.manifest import MANIFEST_FILE, Manifest, read_manifest
from lerobot_inference.sources.retry import retried
from lerobot_inference.sources.snapshot import Source, fingerprint
from lerobot_inference.sources.transfer import INCOMPLETE, transfer
from lerobot_inference.types import Progress, silent


def fetch(
    source: Folder | Source,
    kind: Kind,
    output: Path,
    *,
    check: Check = anything,
    require_pinned: bool = False,
    progress: Progress = silent,
) -> Manifest:
    """Copy or download `source` to `output`, verify it and leave a manifest there.

    A copy that is already there, whole and of the same revision, is kept and nothing is transferred. What `check`
    refuses doesn't get to `output`. Raises UsageError for an unpinned source when pinned ones are required and for a
    folder that holds something else than an earlier download, InputError when nothing usable is there, ServiceError
    when the source can't be reached (what was downloaded stays for the next try), StorageError.
    """
    require_replaceable(output, "download", MANIFEST_FILE)
    present = read_manifest(output)
    if present and present.kind != kind.value:
        raise UsageError(f"{output} holds {present.source}, a {present.kind}", hint="name a folder for each")
    output = output.resolve()
    if isinstance(source, Folder):
        return copy(source.path, kind, output, check, progress)
    if require_pinned and source.pin_hint:
        raise UsageError(
            f"{source.name} is not pinned: {source.revision or 'what it names'} can move",
            hint=source.pin_hint,
        )
    return _download(source, kind, output, check, progress)


def _download(source: Source, kind: Kind, output: Path, check: Check, progress: Progress) -> Manifest:
    if not source.pin_hint and (kept := _kept(output, source.name, source.revision, check)):
        return kept
    snapshot = retried(lambda: source.open(kind))
    if kept := _kept(output, snapshot.source, snapshot.revision, check):
        return kept
    partial = output.with_name(f".{output.name}.{fingerprint(snapshot.files)[:12]}.partial")
    with storage_errors(output):
        files = transfer(snapshot, partial, source.name, progress)
        manifest = Manifest(source=snapshot.source, kind=kind.value, revision=snapshot.revision, files=files)
        manifest.write(partial)
        shutil.rmtree(partial / INCOMPLETE, ignore_errors=True)  # an earlier try may have ended right here
        check_copy(partial, snapshot.source, check)
        replace_folder(partial, output)
    return manifest


def _kept(output: Path, source: str, revision: str | None, check: Check) -> Manifest | None:
    """The manifest of a whole copy of that very revision, where one lies in `output`."""
    present = read_manifest(output)
    if present is None or (present.source, present.revision) != (source, revision) or present.mismatch(output):
        return None
    check(output)
    return present
