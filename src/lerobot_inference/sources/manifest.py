"""download.json: what was fetched, from where, and the sha256 of every file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lerobot_inference.errors import InputError
from lerobot_inference.files import files_below, sha256_file

MANIFEST_FILE = "download.json"
"""The file of a fetched folder that says where it is from."""


class Manifest(BaseModel):
    """Lies in the fetched folder. files: relative path -> sha256, the manifest itself left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    kind: str
    revision: str | None
    files: dict[str, str]

    def mismatch(self, folder: Path) -> str | None:
        """The first file that is missing or has other bytes than when it was fetched; None when all is well."""
        for name, expected in self.files.items():
            path = folder / name
            if not path.is_file():
                return f"{path}: file is missing"
            if sha256_file(path) != expected:
                return f"{path}: sha256 differs from the one in {MANIFEST_FILE}"
        return None

    def write(self, folder: Path) -> None:
        """Leave it in the fetched folder."""
        (folder / MANIFEST_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None for a folder that was not fetched. Raises InputError when it is damaged."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path}: not a download manifest", hint="delete the folder and download again") from error


def read_origin(folder: Path) -> tuple[str, str | None]:
    """Where the folder's content came from and its revision; its own path and None when it was not fetched."""
    manifest = read_manifest(folder)
    return (manifest.source, manifest.revision) if manifest else (str(folder), None)


def list_files(folder: Path) -> list[Path]:
    """Every file below `folder`, relative to it, in order; the manifest and hidden folders left out."""
    found = (path.relative_to(folder) for path in files_below(folder))
    return [path for path in found if path.name != MANIFEST_FILE and not path.parts[0].startswith(".")]
