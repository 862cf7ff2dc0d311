"""A local folder: copied, so that what is evaluated can't change while it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.errors import InputError, UsageError
from lerobot_inference.files import atomic_folder, sha256_file
from lerobot_inference.sources.check import Check, check_copy
from lerobot_inference.sources.kind import Kind
from lerobot_inference.sources.manifest import Manifest, list_files, read_manifest
from lerobot_inference.types import Progress


@dataclass(frozen=True)
class Folder:
    """A folder that exists."""

    path: Path

    @classmethod
    def parse(cls, text: str, revision: str | None) -> Folder | None:
        """The folder that `text` names; None when there is none. Raises UsageError for one with a revision."""
        path = Path(text).expanduser()
        if not path.is_dir():
            return None
        if revision:
            raise UsageError(f"{text} is a local folder, which has no revision {revision!r}")
        return cls(path)


def copy(folder: Path, kind: Kind, output: Path, check: Check, progress: Progress) -> Manifest:
    """Copy what is worth having, unless `output` is that copy. Raises InputError, StorageError."""
    names = kind.select([path.as_posix() for path in list_files(folder)], str(folder))
    origin = read_manifest(folder)
    manifest = Manifest(
        source=origin.source if origin else str(folder.resolve()),
        kind=kind.value,
        revision=origin.revision if origin else None,
        files={name: sha256_file(folder / name) for name in names},
    )
    if read_manifest(output) == manifest and manifest.mismatch(output) is None:
        check(output)
        return manifest
    with atomic_folder(output) as partial:
        for done, name in enumerate(names):
            progress(f"copy {kind.name.lower()}", done, len(names))
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, partial / name)
        if damaged := manifest.mismatch(partial):
            raise InputError(damaged, hint="the source changed while it was copied; run again")
        manifest.write(partial)
        check_copy(partial, str(folder), check)
    progress(f"copy {kind.name.lower()}", len(names), len(names))
    return manifest
