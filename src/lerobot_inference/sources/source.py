"""Source strings: `./folder` or `org/name` on the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lerobot_inference.errors import UsageError

COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Kind(StrEnum):
    """What is fetched. The values are the Hub's own repository types."""

    POLICY = "model"
    DATASET = "dataset"

    @property
    def patterns(self) -> tuple[str, ...]:
        """The files worth having; pickles and code are never fetched."""
        if self is Kind.POLICY:
            return ("*.json", "*.safetensors", "README.md", "LICENSE*")
        return ("meta/*", "data/*", "videos/*", "README.md", "LICENSE*")


@dataclass(frozen=True)
class Source:
    """Either `path` is set (a local folder) or `repository` (org/name on the Hub).

    revision: branch, tag or commit on the Hub; None is the default branch.
    """

    path: Path | None = None
    repository: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return self.repository or str(self.path)

    @property
    def pinned(self) -> bool:
        """True when what it names can't change behind our back: a local folder or a 40-hex commit."""
        return self.path is not None or bool(self.revision and COMMIT.fullmatch(self.revision))


def parse_source(text: str, revision: str | None = None) -> Source:
    """A folder that exists is that folder; otherwise `org/name` is a repository on the Hub.

    Raises UsageError for anything else.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        if revision:
            raise UsageError(f"{text} is a local folder, which has no revision {revision!r}")
        return Source(path=path)
    if HUB_NAME.fullmatch(text):
        return Source(repository=text, revision=revision)
    raise UsageError(
        f"{text}: no such folder, and not an org/name on the Hugging Face Hub",
        hint="give the path of a folder that exists, or a repository such as alizaidi/hve-robo-act-train",
    )
