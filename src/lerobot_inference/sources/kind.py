"""What is fetched, and which of a source's files belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import PurePosixPath, PureWindowsPath

from lerobot_inference.errors import InputError
from lerobot_inference.sources.manifest import MANIFEST_FILE

BUNDLE = (
    "manifest.json",
    "manifest.json.sig",
    "contract.json",
    "policy.onnx",
    "policy.weights",
    "statistics.safetensors",
    "README.md",
)
"""Where the first is, a policy is a bundle, and nothing but this belongs to it: see checkpoint/bundle.py."""


class Kind(StrEnum):
    """What is fetched. The values are the Hub's own repository types."""

    POLICY = "model"
    DATASET = "dataset"

    @property
    def patterns(self) -> tuple[str, ...]:
        """The files worth having, of a policy that is no bundle; pickles and code are never fetched."""
        if self is Kind.POLICY:
            return ("*.json", "*.safetensors", "README.md", "LICENSE*")
        return ("meta/*", "data/*", "videos/*", "README.md", "LICENSE*")

    def select(self, names: Iterable[str], where: str) -> list[str]:
        """Those of `names` that are worth having: hidden files and an earlier manifest are left where they are.

        names: paths with slashes, below the source's root. where: the source, for messages.
        Raises InputError when there are none, and for a name that would be written outside the folder.
        """
        names = list(names)
        patterns = BUNDLE if self is Kind.POLICY and BUNDLE[0] in names else self.patterns
        found = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
        for name in found:
            _check(name, where)
        found = [name for name in found if name[0] != "." and PurePosixPath(name).name != MANIFEST_FILE]
        if not found:
            raise InputError(
                f"{where}: holds none of the files of a {self.name.lower()}", hint=f"expected {self.expected}"
            )
        folders = {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}
        if both := sorted(folders.intersection(found)):
            raise InputError(f"{where}: {both[0]!r} is listed as a file and as a folder")
        return found

    @property
    def expected(self) -> str:
        """The patterns, for messages."""
        return ", ".join(self.patterns)


def _check(name: str, where: str) -> None:
    """Raise InputError unless `name` stays below the folder it is written to, on any operating system."""
    plain = name.isprintable() and PurePosixPath(name).as_posix() == name and "\\" not in name
    if not plain or ".." in PurePosixPath(name).parts or PureWindowsPath(name).anchor:
        raise InputError(
            f"{where}: refused, it lists a file named {name!r}",
            hint="a name must stay inside the folder it is written to",
        )
