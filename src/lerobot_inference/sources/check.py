"""What must not be used is refused before it takes the place of what is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lerobot_inference.errors import CheckpointError

type Check = Callable[[Path], None]
"""Raises CheckpointError for a folder that must not be used."""


def anything(_: Path) -> None:
    """The check that refuses nothing."""


def check_copy(folder: Path, source: str, check: Check) -> None:
    """Check a copy that is not in its place yet. source: what the message names in place of `folder`.

    Raises CheckpointError as `check` does; the copy is removed then, since another would be the same.
    """
    try:
        check(folder)
    except CheckpointError as error:
        shutil.rmtree(folder)
        hint = error.hint.replace(str(folder), source) if error.hint else None
        raise CheckpointError(error.message.replace(str(folder), source), hint=hint) from error
