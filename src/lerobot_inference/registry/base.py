"""The protocol that every model registry follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lerobot_inference.errors import UsageError

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
        """Register the artifacts at `source`, logged by run `run_id`, and return the version: one for each run."""

    def get(self, model: str, version: str) -> ModelVersion:
        """One version, as it can be found now."""

    def fetch(self, model: str, version: str, folder: Path) -> Path:
        """Download a version's files into `folder`, as a user of the registry would; return where they lie."""

    def promote(self, model: str, version: str, in_place_of: str | None) -> None:
        """Make this version the champion in place of another, or of none.

        Of several promotions at the same moment one prevails; the others find its version as the champion afterwards.
        """


def check_model_name(name: str) -> None:
    """Raise UsageError for a name that some registry would not take, or that would need quoting."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", name):
        raise UsageError(
            f"--model-name {name!r} is not a model name", hint="use letters, digits, dot, dash and underscore"
        )
