"""The protocol that every model registry follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHAMPION = "champion"
"""The alias, or the value of the tag `stage`, of the version that robots should run."""
DEFAULT_MODEL_NAME = "lerobot-act"


@dataclass(frozen=True)
class ModelVersion:
    """One version as the registry tells it. run_id: of the run that logged it; empty when there is none."""

    version: str
    tags: Mapping[str, str]
    run_id: str


class ModelRegistry(Protocol):
    """Holds numbered versions of named models; one version of each name may be its champion.

    Every method raises ServiceError when the registry can't be reached or refuses.
    """

    def champion(self, model: str) -> ModelVersion | None:
        """The champion; None when there is none."""

    def add(self, model: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
        """Register the artifacts at `source`, logged by run `run_id`, and return the new version."""

    def get(self, model: str, version: str) -> ModelVersion:
        """One version, as it can be found now."""

    def fetch(self, model: str, version: str, folder: Path) -> Path:
        """Download a version's files into `folder`, as a user of the registry would; return where they lie."""

    def promote(self, model: str, version: str) -> None:
        """Make this version the champion, and no other."""
